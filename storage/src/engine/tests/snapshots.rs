//! Snapshots are the state at one log id, and stand in for the log before it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::EntryPayload;

use super::*;
use crate::engine::raft::Proposed;
use crate::engine::tree::Haste;
use crate::engine::tree::store::Store;

/// Writes, overwrites and deletes among a thousand keys.
struct Churn;

impl Logic for Churn {
    fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        proposal: Proposal,
    ) -> Result<Outcome, Fault> {
        let number = proposal.proposed.0;
        let key = format!("key-{:03}", xxhash_rust::xxh3::xxh3_64(&number.to_be_bytes()) % 1000);
        match number % 3 {
            0 => transaction.delete(key.into_bytes()),
            _ => transaction.put(key.into_bytes(), &number)?,
        }
        transaction.accept();
        Ok(Ok(Reply::Done))
    }
}

/// What the entries up to `index` come to.
fn replayed(shard: &Shard, index: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut records = BTreeMap::new();
    for entry in shard.core.log.entries(0, index + 1).expect("the log") {
        let EntryPayload::Normal(Proposed(proposal)) = entry.payload else { continue };
        let mut transaction = Transaction::new(&records);
        Churn.apply(&mut transaction, proposal).expect("no fault").expect("a reply");
        for (key, value) in transaction.finish().writes {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
    }
    records
}

/// Writes until it is stopped.
struct Writer {
    ended: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u64>,
}

impl Writer {
    fn start(shard: &Arc<Shard>) -> Self {
        let (shard, ended) = (shard.clone(), Arc::new(AtomicBool::new(false)));
        let told = ended.clone();
        let task = tokio::runtime::Handle::current().spawn(async move {
            let mut written = 0;
            while !told.load(Ordering::SeqCst) {
                let number = 10_000 + written;
                shard.write(proposal(number)).await.expect("a write").expect("a reply");
                written += 1;
            }
            written
        });
        Self { ended, task }
    }

    /// How many it has written.
    async fn stop(self) -> u64 {
        self.ended.store(true, Ordering::SeqCst);
        self.task.await.expect("a task")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_under_writes_adds_up() {
    let dir = tempfile::tempdir().expect("a folder");
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let parts = Parts { logic: Arc::new(Churn), ..parts(&disk) };
    let options = Options { shards: 1, ..Options::new(dir.path()) };
    let shards = Shards::open(options, parts).await.expect("an open data folder");
    write(&shards, 0..2_000).await;
    let writer = Writer::start(shard(&shards));
    let tree = shard(&shards).core.tree().expect("a tree");
    let audits = tokio::task::spawn_blocking(move || {
        for _ in 0..10 {
            let mut next = tree.next_index();
            let audited = tree.audit(|| {
                // Something is written between any two steps.
                while tree.next_index() == next {
                    std::thread::yield_now();
                }
                next = tree.next_index();
                ControlFlow::Continue(())
            });
            audited.expect("a sound tree");
        }
    });
    audits.await.expect("a task");
    writer.stop().await;
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_under_writes_is_the_state_at_its_log_id() {
    let dir = tempfile::tempdir().expect("a folder");
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let parts = Parts { logic: Arc::new(Churn), ..parts(&disk) };
    let options = Options { shards: 1, ..Options::new(dir.path()) };
    let shards = Shards::open(options, parts).await.expect("an open data folder");
    let churned = shard(&shards).clone();
    write(&shards, 0..2_000).await;
    let writer = Writer::start(&churned);
    for _ in 0..10 {
        let core = churned.core.clone();
        let tree = core.tree().expect("a tree");
        let next = tree.next_index();
        let taken = tokio::task::spawn_blocking(move || core.take_snapshot(&tree)).await;
        let (meta, snapshot) = taken.expect("a task").expect("a snapshot");
        let index = meta.last_log_id.expect("a position").index;
        assert!(index + 1 >= next);
        let loaded = dir.path().join("loaded");
        let store = Store::open(&loaded, 1024 * 1024).expect("a state");
        let tree = store.fresh(churned.id()).expect("a tree");
        snapshot.load(churned.id(), &tree, Haste::AllCores).expect("a sound snapshot");
        let mut found = BTreeMap::new();
        let visited = tree.scan(b"", None, &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        });
        visited.expect("a scan");
        assert_eq!(found, replayed(&churned, index));
    }
    let written = writer.stop().await;
    assert!(written > 10, "writes went on: {written}");
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_of_the_log_takes_snapshots_and_frees_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 2).await;
    let mut written = 0;
    while dir.path().join("log/0000000000000001.raftlog").exists() {
        write(&shards, written..written + 50).await;
        written += 50;
        assert!(written < 20_000, "the first file is never freed");
    }
    shards.close().await;
    drop(shards);

    fs::remove_dir_all(dir.path().join("state")).expect("a removed state");
    let shards = open(dir.path(), 2).await;
    assert_eq!(numbers(&view(&shards).await), (0..written).collect());
    shards.close().await;
}
