//! A disk that fails: nothing is acknowledged that is not durable, and nothing is served after.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_before_its_sync() {
    let dir = tempfile::tempdir().expect("a folder");
    let disk = MemoryDisk::default();
    let shards = open_on(&disk, dir.path()).await;
    disk.faults().stuck_sync.store(true, Ordering::SeqCst);
    let syncs = disk.syncs();
    let writes: Vec<_> = (0..64)
        .map(|number| {
            let shard = shard(&shards).clone();
            tokio::runtime::Handle::current()
                .spawn(async move { shard.write(proposal(number)).await })
        })
        .collect();
    // The first batch is at its sync once the log has it in memory.
    while shard(&shards).core.log.last().is_none_or(|last| last.index < 65) {
        tokio::task::yield_now().await;
    }
    assert!(writes.iter().all(|write| !write.is_finished()));
    assert_eq!(numbers(&view(&shards).await), BTreeSet::new());
    disk.faults().stuck_sync.store(false, Ordering::SeqCst);
    for write in futures::future::join_all(writes).await {
        write.expect("a task").expect("a write").expect("a reply");
    }
    let used = disk.syncs() - syncs;
    assert!(used < 32, "64 writes took {used} syncs");
    shards.close().await;
}

/// After the fault no write is acknowledged, no read is served, and the reason is told; after a
/// restart everything acknowledged before is there.
async fn poisons(fault: impl Fn(&MemoryDisk) -> &AtomicBool, reason: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    let disk = MemoryDisk::default();
    let shards = open_on(&disk, dir.path()).await;
    write(&shards, 0..20).await;
    fault(&disk).store(true, Ordering::SeqCst);
    assert!(shard(&shards).write(proposal(20)).await.is_err());
    // The fault goes away, and changes nothing.
    fault(&disk).store(false, Ordering::SeqCst);
    assert!(shard(&shards).write(proposal(21)).await.is_err());
    for shard in shards.iter() {
        assert!(shard.read().await.is_err());
    }
    let reasons = shards.health().reasons;
    assert!(reasons.len() == 1 && reasons[0].contains(reason), "{reasons:?}");
    shards.close().await;
    drop(shards);

    disk.restart(|_| 0).expect("power");
    let shards = open_on(&disk, dir.path()).await;
    let found = numbers(&view(&shards).await);
    assert!(found.is_superset(&(0..20).collect()), "{found:?}");
    write(&shards, 30..40).await;
    shards.close().await;
}

/// Does not come to an end at 0 before it is released.
#[derive(Default)]
struct Stuck {
    reached: AtomicBool,
    released: AtomicBool,
}

impl Logic for Stuck {
    fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        proposal: Proposal,
    ) -> Result<Outcome, Fault> {
        self.reached.store(true, Ordering::SeqCst);
        while proposal.proposed.0 == 0 && !self.released.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        Pairs.apply(transaction, proposal)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_answered_although_its_raft_instance_has_ended() {
    let dir = tempfile::tempdir().expect("a folder");
    let (disk, logic) = (MemoryDisk::default(), Arc::new(Stuck::default()));
    let parts = Parts { disk: Arc::new(disk.clone()), logic: logic.clone(), ..Parts::default() };
    let shards = Shards::open(options(dir.path(), 1), parts).await.expect("an open data folder");
    let writer = shard(&shards).clone();
    let waiting =
        tokio::runtime::Handle::current().spawn(async move { writer.write(proposal(0)).await });
    while !logic.reached.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    disk.faults().failing_sync.store(true, Ordering::SeqCst);
    assert!(shard(&shards).write(proposal(1)).await.is_err());
    let answer = waiting.await.expect("a task");
    assert!(answer.is_err_and(|error| error.reason.contains("fsync failed")));
    logic.released.store(true, Ordering::SeqCst);
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_poisons() {
    poisons(|disk| &disk.faults().failing_sync, "fsync failed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_poisons() {
    poisons(|disk| &disk.faults().full, "log cannot be written").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_write_poisons() {
    poisons(|disk| &disk.faults().torn_writes, "torn write").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_cannot_be_synced_poisons() {
    let dir = tempfile::tempdir().expect("a folder");
    let disk = MemoryDisk::default();
    let shards = open_on(&disk, dir.path()).await;
    write(&shards, 0..5).await;
    disk.faults().failing_sync.store(true, Ordering::SeqCst);
    let core = shard(&shards).core.clone();
    let taken = tokio::task::spawn_blocking(move || {
        let tree = core.tree().expect("a tree");
        core.take_snapshot(&tree).is_ok()
    });
    assert!(!taken.await.expect("a task"));
    assert!(shard(&shards).read().await.is_err());
    assert!(shards.health().reasons[0].contains("snapshot"), "{:?}", shards.health());
    shards.close().await;
}
