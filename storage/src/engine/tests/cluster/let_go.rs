//! Replicas that are given up, what is left of them, and for whom they vote.

use super::*;

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
    asks_for_a_vote(asker, last, Request::PreVote).await
}

async fn asks_for_a_vote(
    asker: &Linked,
    last: Option<LogId>,
    how: impl FnOnce(VoteRequest<Types>) -> Request,
) -> Result<Answer, Lost> {
    let peer = asker.shards.link().expect("links").peer(3);
    assert!(peer.up_within(PATIENCE).await);
    let request = VoteRequest::new(Vote::new(99, asker.shards.node_id()), last);
    let asked = peer.ask(shard(&asker.shards).id(), how(request));
    peer.answer(asked.expect("a connection"), PATIENCE).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_just_started_gives_no_vote() {
    let [first, _second, third] = three().await;
    let started = shard(&third.shards);
    has_caught_up(shard(&first.shards), &[2, 3]).await;
    let last = shard(&first.shards).core.log.last();
    let says_so = |answer: Result<Answer, Lost>| {
        answer.err().is_some_and(|problem| problem.to_string().contains("has just started"))
    };
    let refused = async {
        // On a busy machine a question may come too late.
        for how in [Request::PreVote, Request::Vote] {
            while !says_so(asks_for_a_vote(&first, last, how).await) {
                started.let_go(async { false }.boxed()).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("an answer to one who asks at once");
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

/// What a node that has stopped has of the shard of the tests.
async fn survived(node: &Linked) -> Option<Survived> {
    node.shards.close().await;
    let survivor = Survivor::open(&options(node.folder.path(), 2)).expect("a data folder");
    survivor.survived(shard(&node.shards).id()).await.expect("a sound folder")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_survives_says_how_far_they_have_come_and_whether_they_had_a_vote() {
    let [first, second, third] = three().await;
    write(&first.shards, 0..20).await;
    let leader = shard(&first.shards);
    leader.set_voters([1, 2].into()).await.expect("voters");
    has_caught_up(leader, &[2, 3]).await;
    let last = leader.core.log.last().map(|last| last.index);
    for node in [&third, &second] {
        let survived = survived(node).await.expect("a replica");
        assert_eq!(Some(survived.last.index), last);
        assert_eq!((survived.time, survived.held), (Moment(19), None));
        assert!(survived.has_voter(1) && !survived.has_voter(3));
    }
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
    assert_eq!(survived(&third).await, None);
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
