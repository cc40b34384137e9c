//! What is committed and not yet in sled: it is read as if it were, and reaches it in whole runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::engine::raft::LogId;
use crate::engine::tree::store::Store;
use crate::engine::tree::{Tree, Writes};
use crate::ids::ShardId;

const CACHE: u64 = 1024 * 1024;

fn at(index: u64) -> LogId {
    LogId::new(1.into(), index)
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(&dir.path().join("state"), CACHE).expect("a database");
    (dir, store)
}

fn commit(tree: &Tree, index: u64, writes: &[(&str, Option<&str>)]) {
    let record = |(key, value): &(&str, Option<&str>)| {
        (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()))
    };
    let writes: Writes = writes.iter().map(record).collect();
    tree.commit(&writes, Some(at(index)), None).expect("a commit");
}

fn texts(tree: &Tree, prefix: &str, after: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    let scanned = tree.scan(prefix.as_bytes(), after.map(str::as_bytes), &mut |key, value| {
        found.push(format!("{}={}", key.escape_ascii(), value.escape_ascii()));
        ControlFlow::Continue(())
    });
    scanned.expect("a scan");
    found
}

/// The tree as the next start would find it.
fn reopened(store: &Store) -> Arc<Tree> {
    store.tree(ShardId(0)).expect("a tree")
}

#[test]
fn what_waits_for_sled_is_read_over_what_it_has() {
    let (_dir, store) = store();
    let tree = store.fresh(ShardId(0)).expect("a tree");
    commit(
        &tree,
        0,
        &[("a/1", Some("x")), ("b/1", Some("x")), ("b/3", Some("x")), ("c/1", Some("x"))],
    );
    tree.settle().expect("it is written");
    commit(&tree, 1, &[("a/1", None), ("b/1", Some("y")), ("b/2", Some("y")), ("b/9", Some("y"))]);
    commit(&tree, 2, &[("b/2", Some("z")), ("b/3", None)]);
    let whole = ["b/1=y", "b/2=z", "b/9=y", "c/1=x"];
    for _ in 0..2 {
        assert_eq!(tree.get(b"a/1").expect("a read"), None);
        assert_eq!(tree.get(b"b/2").expect("a read").as_deref(), Some(b"z".as_slice()));
        assert_eq!(tree.get(b"c/1").expect("a read").as_deref(), Some(b"x".as_slice()));
        assert_eq!(texts(&tree, "", None), whole);
        assert_eq!(texts(&tree, "b/", None), whole[..3]);
        assert_eq!(texts(&tree, "b/", Some("b/1")), whole[1..3]);
        assert_eq!(texts(&tree, "a/", None), [""; 0]);
        tree.audit(|| ControlFlow::Continue(())).expect("its records add up");
        // The second time, from sled.
        tree.settle().expect("it is written");
    }
    assert_eq!(texts(&reopened(&store), "", None), whole);
}

#[test]
fn sled_gets_whole_runs_with_the_position_after_them() {
    let (_dir, store) = store();
    let tree = store.fresh(ShardId(0)).expect("a tree");
    commit(&tree, 0, &[("first", Some("x"))]);
    assert!(reopened(&store).is_fresh(), "one record is not worth a batch");
    let tree = store.fresh(ShardId(0)).expect("a tree");
    let mut written = None;
    for index in 0..2_000 {
        let keys = [format!("a/{index:06}"), format!("z/{index:06}")];
        commit(&tree, index, &[(&keys[0], Some("x")), (&keys[1], Some("x")), ("hot", Some("x"))]);
        if index % 100 == 0 {
            let found = Tree::open(ShardId(0), tree.sled()).expect("what sled has is whole");
            found.audit(|| ControlFlow::Continue(())).expect("its records add up");
            let position = found.meta().last_applied;
            let runs = position.map_or(0, |last| last.index as usize + 1);
            assert_eq!(texts(&found, "a/", None).len(), runs);
            assert_eq!(texts(&found, "z/", None).len(), runs);
            assert!(position >= written, "it never goes back");
            written = position;
        }
    }
    assert!(written > Some(at(1_000)), "{written:?}: it does not wait for ever");
}

#[test]
fn a_large_run_does_not_wait_for_another_one() {
    let (_dir, store) = store();
    let tree = store.fresh(ShardId(0)).expect("a tree");
    let large = "x".repeat(64 * 1024);
    let keys: Vec<String> = (0..64).map(|number| format!("{number:02}")).collect();
    let run: Vec<_> = keys.iter().map(|key| (key.as_str(), Some(large.as_str()))).collect();
    commit(&tree, 0, &run);
    let found = Tree::open(ShardId(0), tree.sled()).expect("what sled has is whole");
    assert_eq!(texts(&found, "", None).len(), run.len());
}

#[test]
fn a_snapshot_stands_for_nothing_that_sled_has_not() {
    let (_dir, store) = store();
    let tree = store.fresh(ShardId(0)).expect("a tree");
    commit(&tree, 0, &[("a", Some("x"))]);
    let meta = tree.walk(|_| Ok(()), |_| Ok(())).expect("a walk");
    assert_eq!(meta.last_applied, Some(at(0)));
    assert_eq!(reopened(&store).meta().last_applied, meta.last_applied);
}

/// Runs of writes by chance, and what they come to.
struct Course {
    dice: Dice,
    runs: Vec<Writes>,
    now: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Course {
    fn new(seed: u64) -> Self {
        Self { dice: Dice(seed), runs: Vec::new(), now: BTreeMap::new() }
    }

    fn key(&mut self) -> Vec<u8> {
        let (folder, number) = (self.dice.roll(5), self.dice.roll(300));
        format!("{}/{number}", ["a", "b", "ba", "c", "d"][folder as usize]).into_bytes()
    }

    /// One more run, of which some are large enough to be written down soon.
    fn goes_on(&mut self, tree: &Tree) {
        let mut writes = Writes::new();
        for _ in 0..self.dice.roll(40) {
            let bytes = if self.dice.roll(60) == 0 { 16 * 1024 } else { self.dice.roll(20) };
            let value = vec![self.dice.roll(256) as u8; bytes as usize];
            writes.insert(self.key(), (self.dice.roll(3) > 0).then_some(value));
        }
        tree.commit(&writes, Some(at(self.runs.len() as u64)), None).expect("a commit");
        put(&mut self.now, &writes);
        self.runs.push(writes);
    }

    /// What the first runs come to.
    fn after(&self, runs: usize) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut then = BTreeMap::new();
        self.runs[..runs].iter().for_each(|run| put(&mut then, run));
        then
    }

    /// Reads a part of it by chance, which may be broken off.
    fn is_read_from(&mut self, tree: &Tree) {
        let key = self.key();
        assert_eq!(tree.get(&key).expect("a read").as_ref(), self.now.get(&key));
        let prefix = ["", "a", "a/", "b", "b/1", "ba/", "d/", "x"][self.dice.roll(8) as usize];
        let after = (self.dice.roll(2) == 0).then(|| self.key());
        let most = if self.dice.roll(2) == 0 { 2_000 } else { self.dice.roll(30) as usize + 1 };
        let mut found = Vec::new();
        let scanned = tree.scan(prefix.as_bytes(), after.as_deref(), &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        scanned.expect("a scan");
        let ours = self.now.iter().filter(|(key, _)| key.starts_with(prefix.as_bytes()));
        let ours = ours.filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after));
        let ours: Vec<_> =
            ours.take(most).map(|(key, value)| (key.clone(), value.clone())).collect();
        assert_eq!(found, ours);
    }
}

fn put(records: &mut BTreeMap<Vec<u8>, Vec<u8>>, writes: &Writes) {
    for (key, value) in writes {
        match value {
            Some(value) => records.insert(key.clone(), value.clone()),
            None => records.remove(key),
        };
    }
}

fn everything(tree: &Tree) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let scanned = tree.scan(b"", None, &mut |key, value| {
        found.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    });
    scanned.expect("a scan");
    found
}

/// A tree that is met with whatever can happen to one, by chance.
fn holds_what_was_written(seed: u64) {
    let (_dir, store) = store();
    let mut tree = store.fresh(ShardId(0)).expect("a tree");
    let mut course = Course::new(seed);
    for _ in 0..300 {
        match course.dice.roll(24) {
            0 => tree.settle().expect("it is written"),
            1 => {
                // Its writer is killed, and begins again where sled has got to.
                tree = Arc::new(Tree::open(ShardId(0), tree.sled()).expect("a whole tree"));
                let runs = tree.next_index() as usize;
                assert_eq!(everything(&tree), course.after(runs));
                for (index, run) in course.runs.iter().enumerate().skip(runs) {
                    tree.commit(run, Some(at(index as u64)), None).expect("a commit");
                }
            }
            2 => {
                let mut found = BTreeMap::new();
                let runs = course.runs.len();
                let walked = tree.walk(
                    |_| Ok(()),
                    |records| {
                        found.extend(records.iter().cloned());
                        course.goes_on(&tree);
                        Ok(())
                    },
                );
                assert_eq!(
                    walked.expect("a walk").last_applied,
                    runs.checked_sub(1).map(|last| at(last as u64))
                );
                assert_eq!(found, course.after(runs));
            }
            3 => {
                let audited = tree.audit(|| {
                    course.goes_on(&tree);
                    ControlFlow::Continue(())
                });
                audited.expect("its records add up");
            }
            4..12 => course.is_read_from(&tree),
            _ => course.goes_on(&tree),
        }
    }
    assert_eq!(everything(&tree), course.now);
    tree.audit(|| ControlFlow::Continue(())).expect("its records add up");
}

#[test]
fn a_tree_holds_what_was_written_whatever_happens_to_it() {
    (0..8).for_each(holds_what_was_written);
}

/// In each run the number of the run goes under all keys of one folder, and some of another folder come
/// or go.
#[test]
fn who_reads_meanwhile_meets_every_record_once_and_none_from_before() {
    const RECORDS: usize = 30;
    let (_dir, store) = store();
    let tree = store.fresh(ShardId(0)).expect("a tree");
    let (written, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let run = |number: u64| {
        let value = || Some(number.to_be_bytes().to_vec());
        let mut writes = Writes::new();
        for at in 0..RECORDS {
            writes.insert(format!("hot/{at:03}").into_bytes(), value());
            let other = (number as usize * RECORDS + at) % 1_500;
            let stays = (number as usize / 50).is_multiple_of(2);
            writes.insert(format!("other/{other:04}").into_bytes(), value().filter(|_| stays));
        }
        tree.commit(&writes, Some(at(number)), None).expect("a commit");
    };
    run(0);
    let number = |value: &[u8]| u64::from_be_bytes(*value.first_chunk().expect("a number"));
    let read = || {
        let mut scans = 0;
        while !ended.load(Ordering::SeqCst) {
            let least = written.load(Ordering::SeqCst);
            let mut found = Vec::new();
            let scanned = tree.scan(b"", None, &mut |key, value| {
                found.push((key.to_vec(), number(value)));
                ControlFlow::Continue(())
            });
            scanned.expect("a scan");
            let single = tree.get(b"hot/007").expect("a read").expect("a record");
            let most = written.load(Ordering::SeqCst) + 1;
            assert!(found.is_sorted_by(|(one, _), (next, _)| one < next));
            let hot: Vec<_> = found.iter().filter(|(key, _)| key.starts_with(b"hot/")).collect();
            assert_eq!(hot.len(), RECORDS);
            assert!(hot.iter().all(|(_, number)| (least..=most).contains(number)), "{hot:?}");
            assert!((least..=most).contains(&number(&single)));
            scans += 1;
        }
        scans
    };
    std::thread::scope(|scope| {
        let readers = [(); 2].map(|()| scope.spawn(read));
        for number in 1..1_500 {
            run(number);
            written.store(number, Ordering::SeqCst);
        }
        ended.store(true, Ordering::SeqCst);
        for reader in readers {
            assert!(reader.join().expect("a reader") > 0);
        }
    });
}
