//! A rebuild while everything goes on: what an old Raft instance has under way comes to nothing,
//! and nobody reads a tree that is still being filled.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use openraft::RaftMetrics;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::type_config::TypeConfigExt;

use super::*;
use crate::engine::raft::{Membership, Types};
use crate::engine::shard::Running;
use crate::engine::tree::{Haste, Tree};

const COUNT: &[u8] = b"count";
/// The observer hears of this number.
const TOLD: u64 = 1_000;

/// Like `Pairs`, and counts, so that an entry that is applied twice shows.
struct Counting;

impl Logic for Counting {
    fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        proposal: Proposal,
    ) -> Result<Outcome, Fault> {
        if proposal.proposed.0 == TOLD {
            transaction.effect(Effect::Tenant(TenantNumber(1)));
        }
        let count: u64 = transaction.get(COUNT)?.unwrap_or(0);
        transaction.put(COUNT.to_vec(), &(count + 1))?;
        Pairs.apply(transaction, proposal)
    }
}

fn tree(shard: &Shard) -> Arc<Tree> {
    shard.core.tree().expect("a tree")
}

async fn until(mut met: impl FnMut() -> bool) {
    while !met() {
        tokio::task::yield_now().await;
    }
}

fn count(view: &View) -> u64 {
    let transaction = Transaction::new(view);
    transaction.get(COUNT).expect("a record").expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_instance_has_under_way_does_not_reach_the_rebuilt_tree() {
    let dir = tempfile::tempdir().expect("a folder");
    let parts = Parts { logic: Arc::new(Counting), ..Parts::default() };
    let shards = Shards::open(options(dir.path(), 1), parts).await.expect("an open data folder");
    write(&shards, 0..200).await;
    let rebuilt = shard(&shards).clone();
    let old = tree(&rebuilt);
    let reader = view(&shards).await;
    let write_behind = |number| {
        let shard = rebuilt.clone();
        tokio::runtime::Handle::current().spawn(async move { shard.write(proposal(number)).await })
    };
    let users = Arc::strong_count(&rebuilt.core);
    let (reached, released) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let gate = (reached.clone(), released.clone());
    rebuilt.observe(Arc::new(move |_| {
        gate.0.store(true, Ordering::SeqCst);
        while !gate.1.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }));
    let held = write_behind(TOLD);
    until(|| reached.load(Ordering::SeqCst)).await;
    let next = rebuilt.core.log.last().map(|last| last.index + 1);
    let queued = write_behind(TOLD + 1);
    // Once it is committed, it is queued behind the one of which the observer is being told.
    let metrics = rebuilt.running().expect("an instance").metrics.clone();
    until(|| metrics.borrow_watched().local_committed.map(|id| id.index) >= next).await;

    old.spoil(&left(7));
    assert!(reader.get(&left(7)).is_err());
    until(|| !Arc::ptr_eq(&old, &tree(&rebuilt))).await;
    released.store(true, Ordering::SeqCst);
    // Either answer will do: the log has both.
    drop((held.await, queued.await));
    wait_until_it_leads(&rebuilt).await;
    until(|| Arc::strong_count(&rebuilt.core) <= users).await;

    write(&shards, 200..300).await;
    let all: BTreeSet<u64> = (0..300).chain([TOLD, TOLD + 1]).collect();
    let view = view(&shards).await;
    assert_eq!(numbers(&view), all);
    assert_eq!(count(&view), all.len() as u64);
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_lost_in_a_rebuild_is_asked_for_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 1).await;
    write(&shards, 0..10).await;
    let rebuilt = shard(&shards).clone();
    let old = tree(&rebuilt);
    rebuilt.core.snapshot_pending.store(true, Ordering::SeqCst);
    old.spoil(&left(7));
    assert!(view(&shards).await.get(&left(7)).is_err());
    until(|| !Arc::ptr_eq(&old, &tree(&rebuilt))).await;
    wait_until_it_leads(&rebuilt).await;
    write_until_purged(&shards, 10).await;
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_gives_way_to_no_lesser_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 1).await;
    write(&shards, 0..20).await;
    let core = shard(&shards).core.clone();
    let taken = tokio::task::spawn_blocking(move || {
        let tree = core.tree().expect("a tree");
        let (_, older) = core.take_snapshot(&tree).expect("a snapshot");
        let behind = core.loaded_tree(&older, Haste::AllCores).expect("a tree");
        (core, tree, behind)
    });
    let (core, tree, behind) = taken.await.expect("a task");
    write(&shards, 20..40).await;
    let taken = tokio::task::spawn_blocking(move || {
        let (newest, _) = core.take_snapshot(&tree).expect("a snapshot");
        let empty = core.fresh_tree().expect("a tree");
        for lesser in [empty, behind] {
            assert!(core.take_snapshot(&lesser).is_err());
        }
        tree.spoil(&left(7));
        assert!(tree.get(&left(7)).is_err());
        assert!(core.take_snapshot(&tree).is_err());
        let present = core.snapshots.current(core.shard).expect("a folder").expect("a snapshot");
        assert_eq!(present.meta(core.shard).expect("a head"), newest);
        let verified = present.verify(core.shard, || ControlFlow::Continue(()));
        verified.expect("a whole snapshot");
    });
    taken.await.expect("a task");
    assert_eq!(shard(&shards).core.poison.reason(), None);
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_waits_through_a_rebuild_gets_no_unfinished_tree() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 1).await;
    write(&shards, 0..20).await;
    let core = shard(&shards).core.clone();
    let sound = view(&shards).await;
    // Without a lease a leader asks its quorum.
    let running = shard(&shards).running().expect("an instance");
    let members = openraft::Membership::new_with_defaults(vec![BTreeSet::from([1, 2])], []);
    let unheard = RaftMetrics {
        membership_config: Arc::new(Membership::new(None, members)),
        last_quorum_acked: None,
        ..running.metrics.borrow_watched().clone()
    };
    let (_told, metrics) = Types::watch_channel(unheard);
    let mut leader = Running::new(running.raft.clone());
    leader.metrics = metrics;
    *shard(&shards).running.write() = Some(Arc::new(leader));
    loop {
        let mut read = pin!(shard(&shards).read());
        if futures::poll!(read.as_mut()).is_pending() {
            core.exchange(core.fresh_tree().expect("a tree"));
            let read = read.await;
            assert!(read.is_err(), "a tree that has nothing yet was read");
            break;
        }
    }
    // Who has read before learns that it is gone, not that there is nothing.
    assert!(sound.get(&left(7)).is_err());
    assert!(sound.scan(b"a/", None, &mut |_, _| ControlFlow::Continue(())).is_err());
    shards.close().await;
}
