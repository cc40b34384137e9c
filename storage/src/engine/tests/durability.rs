//! What was acknowledged is there after a restart.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 4).await;
    assert!(shards.health().is_ready(), "{:?}", shards.health());
    write(&shards, 0..100).await;
    assert_eq!(numbers(&view(&shards).await), (0..100).collect());
    shards.close().await;

    let shards = open(dir.path(), 4).await;
    assert_eq!(numbers(&view(&shards).await), (0..100).collect());
    shards.close().await;
}

/// What a node leaves that is killed now, which writes nothing more to its log: of sled's files whatever is
/// there.
async fn killed(shards: Shards, dir: &Path, left: &Path) {
    for shard in shards.iter() {
        let running = shard.running().expect("an instance");
        running.raft.shutdown().await.expect("an end");
        shard.core.log.settle().await.expect("the log is written");
    }
    for part in ["log", "snapshots"] {
        copy(&dir.join(part), &left.join(part));
    }
    for part in ["format", "state/conf", "state/db"] {
        fs::create_dir_all(left.join("state")).expect("a folder");
        fs::copy(dir.join(part), left.join(part)).expect("a copy");
    }
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_node_leaves_is_whole_whatever_sled_had_by_then() {
    let mut dir = tempfile::tempdir().expect("a folder");
    let mut written = 0;
    for more in 0..4 {
        let shards = open(dir.path(), 2).await;
        assert_eq!(numbers(&view(&shards).await), (0..written).collect());
        let purged = shard(&shards).core.log.purged();
        while shard(&shards).core.log.purged() == purged {
            write(&shards, written..written + 50).await;
            written += 50;
        }
        write(&shards, written..written + more).await;
        written += more;
        let left = tempfile::tempdir().expect("a folder");
        killed(shards, dir.path(), left.path()).await;
        dir = left;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_without_a_lease_asks_the_quorum() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 1).await;
    let confirmations = shard(&shards).confirmations.clone();
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let (sender, confirmed) = tokio::sync::oneshot::channel();
            confirmations.try_send(sender).expect("room");
            confirmed
        })
        .collect();
    for confirmed in asked {
        assert_eq!(confirmed.await.expect("an answer"), Ok(()));
    }
    shards.close().await;
    let (sender, confirmed) = tokio::sync::oneshot::channel();
    // Whether it is still heard or not, it is not confirmed.
    drop(confirmations.try_send(sender));
    assert!(!matches!(confirmed.await, Ok(Ok(()))));
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_are_reported_before_the_reply() {
    struct Telling;
    impl Logic for Telling {
        fn apply(&self, transaction: &mut Transaction<'_>, _: Proposal) -> Result<Outcome, Fault> {
            transaction.effect(Effect::Tenant(TenantNumber(1)));
            transaction.accept();
            Ok(Ok(Reply::Done))
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let parts = Parts { logic: Arc::new(Telling), ..Parts::default() };
    let shards = Shards::open(options(dir.path(), 1), parts).await.expect("an open data folder");
    let heard = Arc::new(parking_lot::Mutex::new(0));
    let hearing = heard.clone();
    let observer = move |effects: &[Effect]| *hearing.lock() += effects.len();
    shard(&shards).observe(Arc::new(observer));
    for number in 1..=10 {
        shard(&shards).write(proposal(number)).await.expect("a write").expect("a reply");
        assert_eq!(*heard.lock(), number as usize);
    }
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_applying_stops_its_shard_and_no_other() {
    struct Faulty;
    impl Logic for Faulty {
        fn apply(&self, _: &mut Transaction<'_>, proposal: Proposal) -> Result<Outcome, Fault> {
            match proposal.proposed.0 {
                0 => panic!("a bug"),
                _ => Ok(Ok(Reply::Done)),
            }
        }
    }
    let dir = tempfile::tempdir().expect("a folder");
    let parts = Parts { logic: Arc::new(Faulty), ..Parts::default() };
    let shards = Shards::open(options(dir.path(), 2), parts).await.expect("an open data folder");
    let failed = shard(&shards).write(proposal(0)).await;
    assert!(failed.is_err(), "{failed:?}");
    let mut leadership = shard(&shards).leadership();
    leadership.wait_for(|now| !now.leads).await.expect("an end");
    assert!(shard(&shards).read().await.is_err());
    let reasons = shards.health().reasons;
    assert!(matches!(reasons.as_slice(), [reason] if reason.contains("a bug")), "{reasons:?}");
    let other = shards.of(TenantNumber(2));
    other.write(proposal(1)).await.expect("a write").expect("a reply");
    shards.close().await;
}
