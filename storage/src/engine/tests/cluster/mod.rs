//! Several nodes in one process, linked over loopback.

mod let_go;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use futures::FutureExt;
use openraft::raft::{TransferLeaderRequest, VoteRequest};
use openraft::storage::{RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine};
use tempfile::TempDir;
use tokio::time::sleep;

use super::*;
use crate::engine::link::Lost;
use crate::engine::link::wire::{Answer, Request};
use crate::engine::raft::machine::Machine;
use crate::engine::raft::{LogId, Types, Vote};
use crate::engine::revival::{Survived, Survivor};
use crate::engine::snapshot::SnapshotFile;
use crate::ids::ShardId;
use crate::secret::Secret;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node, its folder, and where it is met.
struct Linked {
    shards: Shards,
    folder: TempDir,
    address: String,
}

/// Opens a node that knows these others.
async fn linked(id: u64, others: &[&Linked]) -> Linked {
    linked_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), id, others).await
}

async fn linked_on(disk: &Arc<dyn Disk>, id: u64, others: &[&Linked]) -> Linked {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let peers: BTreeMap<u64, String> =
        others.iter().map(|other| (other.shards.node_id(), other.address.clone())).collect();
    let door = Door {
        listener,
        address: address.clone(),
        secrets: Secret::given("what the members of a cluster know").into(),
        now: Moment(
            u64::try_from(UNIX_EPOCH.elapsed().expect("a clock").as_millis()).expect("a time"),
        ),
        cluster: Some([1; 16]),
        peers,
    };
    let options = Options { node: id, founds: id == 1, ..options(folder.path(), 2) };
    let parts = Parts { door: Some(door), ..parts(disk) };
    let shards = Shards::open(options, parts).await.expect("an open data folder");
    for other in others {
        other.shards.link().expect("links").learn(id, &address);
    }
    Linked { shards, folder, address }
}

/// Three nodes that vote in the shard of the tests, and the first of which leads it.
async fn three() -> [Linked; 3] {
    joined_by_two(linked(1, &[]).await).await
}

/// Two more vote in the shard of the tests.
async fn joined_by_two(first: Linked) -> [Linked; 3] {
    let second = linked(2, &[&first]).await;
    let third = linked(3, &[&first, &second]).await;
    all_vote(shard(&first.shards)).await;
    [first, second, third]
}

async fn all_vote(leader: &Shard) {
    for id in [2, 3] {
        leader.add_learner(id).await.expect("a learner");
    }
    has_caught_up(leader, &[2, 3]).await;
    leader.set_voters([1, 2, 3].into()).await.expect("voters");
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let found = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    assert!(found.is_ok(), "still waiting until {what}");
}

async fn has_caught_up(leader: &Shard, nodes: &[u64]) {
    until("the replicas have caught up", || {
        leader.members().is_some_and(|members| nodes.iter().all(|id| members.lag(*id) == 0))
    })
    .await;
}

/// Whichever of these leads the shard of the tests.
async fn leader<'a>(nodes: &[&'a Linked]) -> &'a Linked {
    let leads = || nodes.iter().copied().find(|node| shard(&node.shards).is_leader());
    until("somebody leads", || leads().is_some()).await;
    leads().expect("it did a moment ago")
}

/// The numbers in a replica that may be about to get more: only one half of each is looked at, since
/// the other may have come meanwhile.
fn followed(node: &Linked) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let replica = shard(&node.shards).follow().expect("a replica");
    let visited = replica.scan(b"z/", None, &mut |key, _| {
        found.insert(u64::from_be_bytes(*key[2..].first_chunk().expect("a number")));
        ControlFlow::Continue(())
    });
    visited.expect("a scan");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_replica_catches_up_by_a_snapshot_and_the_log_behind_it() {
    let first = linked(1, &[]).await;
    let leader = shard(&first.shards);
    let written = write_until_purged(&first.shards, 0).await;
    let second = linked(2, &[&first]).await;
    leader.add_learner(2).await.expect("a learner");
    write(&first.shards, written..written + 20).await;
    has_caught_up(leader, &[2]).await;
    let all = usize::try_from(written).expect("a count") + 20;
    until("all is applied", || followed(&second).len() == all).await;
    assert!(second.folder.path().join("snapshots").join("shard-1.snapshot").exists());
    assert!(shard(&second.shards).read().await.err().expect("a follower").is_not_leader());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_whose_installation_was_cut_short_is_no_damage() {
    let first = linked(1, &[]).await;
    let written = write_until_purged(&first.shards, 0).await;
    let sent = shard(&first.shards).core.snapshots.path(shard(&first.shards).id());
    let vote = Vote::new_committed(shard(&first.shards).core.log.voted_term(), 1);
    for heard in [true, false] {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || {
            let disk: Arc<dyn Disk> = Arc::new(RealDisk);
            let options = Options { node: 2, founds: false, ..options(folder.path(), 2) };
            Shards::open(options, parts(&disk))
        };
        let shards = open().await.expect("an open data folder");
        if heard {
            shard(&shards).core.log.clone().save_vote(&vote).await.expect("a vote");
        }
        crash(shards, folder.path()).await;
        let to = folder.path().join("snapshots").join(sent.file_name().expect("a name"));
        fs::copy(&sent, to).expect("a snapshot in its place");
        match (open().await, heard) {
            (Ok(shards), true) => {
                let replica = shard(&shards).follow().expect("a replica");
                assert!(numbers(&replica).into_iter().eq(0..numbers(&replica).len() as u64));
                assert!(numbers(&replica).len() as u64 <= written);
                let applied = shard(&shards).core.tree().expect("a tree").meta().last_applied;
                assert_eq!(shard(&shards).core.log.last(), applied);
                shards.close().await;
            }
            (Err(problem), false) => {
                assert!(problem.to_string().contains("it is gone"), "{problem}")
            }
            (Ok(_), false) => panic!("a log that was lost with its vote"),
            (Err(problem), true) => panic!("{problem}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_when_the_leader_is_gone() {
    let [first, second, third] = three().await;
    write(&first.shards, 0..20).await;
    // Gone without a word: nothing is handed over, nothing is closed in order.
    drop(first);
    let next = leader(&[&second, &third]).await;
    assert_eq!(numbers(&view(&next.shards).await).len(), 20);
    write(&next.shards, 20..30).await;
    until("the other one follows", || {
        [&second, &third].iter().all(|node| followed(node).len() == 30)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_hands_over_answers_no_read_from_then_on() {
    let [first, second, third] = three().await;
    write(&first.shards, 0..5).await;
    has_caught_up(shard(&first.shards), &[2, 3]).await;
    // It may take longer on a busy machine, and then somebody else leads.
    drop(shard(&first.shards).hand_over(2).await);
    let next = leader(&[&second, &third]).await;
    write(&next.shards, 5..6).await;
    let read = shard(&first.shards).read().await;
    assert!(read.err().expect("a refusal").is_not_leader());
    let written = shard(&first.shards).write(proposal(9)).await;
    assert!(written.expect_err("a refusal").is_not_leader());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_nothing_is_read_or_written() {
    let [first, second, third] = three().await;
    write(&first.shards, 0..5).await;
    drop((second, third));
    let alone = shard(&first.shards);
    let refused = alone.write(proposal(7)).await;
    refused.expect_err("no quorum");
    alone.read().await.err().expect("no quorum");
    until("it says so", || !first.shards.health().is_ready()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_disk_has_failed_leads_nothing_more_not_even_what_nobody_writes_to() {
    let disk = MemoryDisk::default();
    let first = linked_on(&(Arc::new(disk.clone()) as Arc<dyn Disk>), 1, &[]).await;
    let [first, second, third] = joined_by_two(first).await;
    let quiet = |node: &Linked| node.shards.shard(ShardId(0)).clone();
    all_vote(&quiet(&first)).await;
    quiet(&first).read().await.expect("a leader");
    disk.faults().full.store(true, Ordering::SeqCst);
    shard(&first.shards).write(proposal(0)).await.expect_err("a full disk");
    let next = || [&second, &third].into_iter().find(|node| quiet(node).is_leader());
    until("another one leads", || next().is_some()).await;
    let next = quiet(next().expect("it did a moment ago"));
    next.write(proposal(1)).await.expect("a write").expect("a reply");
    next.read().await.expect("a leader");
    until("it has ended", || quiet(&first).leadership().borrow().stopped).await;
    assert!(!quiet(&first).is_leader());
    quiet(&first).read().await.err().expect("a full disk");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_no_member_votes_for_nobody_and_leads_nothing() {
    let first = linked(1, &[]).await;
    let second = linked(2, &[&first]).await;
    assert!(!shard(&second.shards).is_member());
    assert!(shard(&second.shards).read().await.err().expect("no leader").is_not_leader());
    write(&first.shards, 0..3).await;
    assert!(shard(&first.shards).is_alone());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_gives_way_unless_the_node_is_alone() {
    let [first, _second, _third] = three().await;
    write(&first.shards, 0..3).await;
    let link = first.shards.link().expect("links").clone();
    link.go_by(Arc::new(|| Moment(20_000)));
    let machine = Machine::new(shard(&first.shards).core.clone(), Some(link.clone()));
    let run = || {
        let entries = shard(&first.shards).core.log.entries(0, u64::MAX).expect("the log");
        entries.into_iter().map(|entry| (entry, None)).collect::<Vec<_>>()
    };
    assert!(machine.expect("a tree").was_missed(&run()));
    // The other shard has nobody else.
    let alone = first.shards.shard(ShardId(0)).core.clone();
    assert!(!Machine::new(alone, Some(link)).expect("a tree").was_missed(&run()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_wrong_does_not_lead() {
    let [first, second, third] = three().await;
    let link = |node: &Linked| node.shards.link().expect("links").clone();
    for (node, time) in [(&first, 100_000), (&second, 100_200), (&third, 900_000)] {
        link(node).go_by(Arc::new(move || Moment(time)));
    }
    // Two are needed to tell a third.
    link(&second).peer(3);
    until("it knows", || link(&third).is_astray()).await;
    until("the others know", || !link(&first).can_take_over(3)).await;
    assert!(!link(&first).is_astray() && !link(&second).is_astray());
    drop(first);
    let next = leader(&[&second, &third]).await;
    assert_eq!(next.shards.node_id(), 2);
    write(&second.shards, 0..3).await;
}
