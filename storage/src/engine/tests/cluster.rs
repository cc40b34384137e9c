//! Several nodes in one process, linked over loopback.

use std::collections::BTreeMap;
use std::net::TcpListener;
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
use crate::engine::raft::{LogId, Vote};
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
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = Options { node: id, founds: id == 1, ..options(folder.path(), 2) };
    let parts = Parts { door: Some(door), ..parts(&disk) };
    let shards = Shards::open(options, parts).await.expect("an open data folder");
    for other in others {
        other.shards.link().expect("links").learn(id, &address);
    }
    Linked { shards, folder, address }
}

/// Three nodes that vote in the shard of the tests, and the first of which leads it.
async fn three() -> [Linked; 3] {
    let first = linked(1, &[]).await;
    let second = linked(2, &[&first]).await;
    let third = linked(3, &[&first, &second]).await;
    let leader = shard(&first.shards);
    for id in [2, 3] {
        leader.add_learner(id).await.expect("a learner");
    }
    has_caught_up(leader, &[2, 3]).await;
    leader.set_voters([1, 2, 3].into()).await.expect("voters");
    [first, second, third]
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
async fn a_node_that_is_no_member_votes_for_nobody_and_leads_nothing() {
    let first = linked(1, &[]).await;
    let second = linked(2, &[&first]).await;
    assert!(!shard(&second.shards).is_member());
    assert!(shard(&second.shards).read().await.err().expect("no leader").is_not_leader());
    write(&first.shards, 0..3).await;
    assert!(shard(&first.shards).is_alone());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_let_go_is_given_up_and_may_come_back() {
    let [first, second, third] = three().await;
    write(&first.shards, 0..20).await;
    let (leader, stray) = (shard(&first.shards), shard(&third.shards));
    has_caught_up(leader, &[2, 3]).await;
    assert!(!leader.has_let_go(3).await.expect("a leader"));
    leader.set_voters([1, 2].into()).await.expect("voters");
    leader.remove_learners([3].into()).await.expect("no learner");
    // What the leader shows of itself is a moment behind what it has committed.
    let shows = async {
        while !leader.has_let_go(3).await.expect("a leader") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, shows).await.expect("it has let it go");
    assert!(!leader.has_let_go(2).await.expect("a leader"));
    shard(&second.shards).has_let_go(3).await.expect_err("no leader");
    until("nothing was heard for long", || stray.is_stray()).await;
    stray.let_go(async { false }.boxed()).await;
    assert_eq!(followed(&third).len(), 20);
    until("nothing was heard for long", || stray.is_stray()).await;
    let voted = stray.core.log.voted_term();
    stray.let_go(async { true }.boxed()).await;
    assert!(followed(&third).is_empty() && !stray.is_stray() && !stray.is_member());
    assert_eq!(stray.core.log.voted_term(), voted);
    write(&first.shards, 20..30).await;
    leader.add_learner(3).await.expect("a learner");
    until("it has everything again", || followed(&third).len() == 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_was_under_way_to_a_replica_that_was_let_go_comes_to_nothing() {
    let [first, _second, third] = three().await;
    write_until_purged(&first.shards, 0).await;
    let (leader, stray) = (shard(&first.shards), shard(&third.shards));
    has_caught_up(leader, &[3]).await;
    // What an instance has that is shut down and still at work.
    let mut old = Machine::new(stray.core.clone(), None).expect("a tree");
    let copied = third.folder.path().join("snapshots").join("shard-1-from-1.tmp");
    fs::copy(leader.core.snapshots.path(leader.id()), &copied).expect("a snapshot");
    let sent = SnapshotFile::open(&RealDisk, &copied).expect("a snapshot");
    let meta = sent.meta(stray.id()).expect("a head");
    leader.set_voters([1, 2].into()).await.expect("voters");
    leader.remove_learners([3].into()).await.expect("no learner");
    stray.let_go(async { true }.boxed()).await;
    assert!(old.install_snapshot(&meta, sent).await.is_err());
    assert!(old.build_snapshot().await.is_err());
    let left = stray.core.snapshots.current(stray.id()).expect("a folder");
    assert!(left.is_none(), "a replica that was given up has a snapshot");
}

/// What node 3 answers when it is asked through another one whether it would vote.
async fn would_vote(asker: &Linked, last: Option<LogId>) -> Result<Answer, Lost> {
    let peer = asker.shards.link().expect("links").peer(3);
    assert!(peer.up_within(PATIENCE).await);
    let request = VoteRequest::new(Vote::new(99, asker.shards.node_id()), last);
    let asked = peer.ask(shard(&asker.shards).id(), Request::PreVote(request));
    peer.answer(asked.expect("a connection"), PATIENCE).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gave_up_what_it_held_votes_for_nobody_who_has_less() {
    let [first, _second, third] = three().await;
    write(&first.shards, 0..20).await;
    let (leader, stray) = (shard(&first.shards), shard(&third.shards));
    has_caught_up(leader, &[2, 3]).await;
    leader.set_voters([1, 2].into()).await.expect("voters");
    leader.remove_learners([3].into()).await.expect("no learner");
    // The entry that lets it go need not have come to it.
    let held = stray.core.log.last();
    stray.let_go(async { true }.boxed()).await;
    let last = leader.core.log.last();
    let less = held.map(|held| LogId::new(held.leader_id, held.index - 1));
    until("it has been there for long enough", || stray.pulse.may_vote(false).is_ok()).await;
    for too_little in [None, less] {
        let refused = would_vote(&first, too_little).await.err().expect("a refusal").to_string();
        assert!(refused.contains("held more"), "{refused}");
    }
    assert!(stray.core.log.lacks_what_it_held());
    let votes = async { while would_vote(&first, last).await.is_err() {} };
    tokio::time::timeout(PATIENCE, votes).await.expect("an answer to who has all of it");
    let asked = Request::Transfer(TransferLeaderRequest::new(Vote::new(1, 1), 3, last));
    let asked = first.shards.link().expect("links").peer(3).ask(leader.id(), asked);
    assert!(asked.expect("a connection").await.expect("an answer").is_err());
    leader.add_learner(3).await.expect("a learner");
    until("it has everything again", || followed(&third).len() == 20).await;
    assert!(!stray.core.log.lacks_what_it_held());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_up_stays_so_after_a_start() {
    let [first, second, third] = three().await;
    write_until_purged(&first.shards, 0).await;
    let leader = shard(&first.shards);
    has_caught_up(leader, &[2, 3]).await;
    leader.set_voters([1, 2].into()).await.expect("voters");
    leader.remove_learners([3].into()).await.expect("no learner");
    shard(&third.shards).let_go(async { true }.boxed()).await;
    third.shards.close().await;
    drop((second, third.shards));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = Options { node: 3, founds: false, ..options(third.folder.path(), 2) };
    let opened = Shards::open(options, parts(&disk)).await.expect("an open data folder");
    assert!(shard(&opened).core.log.last().is_none());
    assert!(shard(&opened).core.log.lacks_what_it_held());
    assert!(!shard(&opened).is_member());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_let_go_is_ready_without_the_shard() {
    let [first, _second, third] = three().await;
    let leader = shard(&first.shards);
    leader.set_voters([1, 2].into()).await.expect("voters");
    leader.remove_learners([3].into()).await.expect("no learner");
    let stray = shard(&third.shards);
    until("nothing was heard for long", || stray.is_stray()).await;
    assert!(stray.heard_leader().is_none());
    assert!(stray.quorum_problem().is_none());
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
