//! What is committed and not yet in sled: it is read as if it were, and reaches it in whole runs.

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
fn a_snapshot_stands_for_nothing_that_sled_has_not() {
    let (_dir, store) = store();
    let tree = store.fresh(ShardId(0)).expect("a tree");
    commit(&tree, 0, &[("a", Some("x"))]);
    let meta = tree.walk(|_| Ok(()), |_| Ok(())).expect("a walk");
    assert_eq!(meta.last_applied, Some(at(0)));
    assert_eq!(reopened(&store).meta().last_applied, meta.last_applied);
}
