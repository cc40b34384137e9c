//! Damage is met, never served: the state is rebuilt, and what only a backup can mend is named.

use openraft::storage::RaftLogStorage;
use raft_engine::env::{FileSystem, Handle};

use super::*;
use crate::engine::log::files::LogFiles;
use crate::engine::raft::Vote;

async fn refused(dir: &Path) -> String {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let refused = Shards::open(options(dir, 2), parts(&disk)).await;
    refused.err().expect("a refusal").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_met_while_running_is_rebuilt() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 2).await;
    write(&shards, 0..300).await;
    let spoiled = shard(&shards).clone();
    let mut leadership = spoiled.leadership();
    spoiled.core.tree().expect("a tree").spoil(&left(7));
    let read = view(&shards).await.get(&left(7));
    assert!(matches!(read, Err(Fault::Damaged(_))), "{read:?}");
    leadership.wait_for(|now| !now.leads).await.expect("a rebuild");
    wait_until_it_leads(&spoiled).await;
    assert_eq!(numbers(&view(&shards).await), (0..300).collect());
    write(&shards, 300..310).await;
    assert!(shards.health().is_ready(), "{:?}", shards.health());
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_met_while_applying_is_rebuilt() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 2).await;
    write(&shards, 0..50).await;
    let spoiled = shard(&shards).clone();
    spoiled.core.tree().expect("a tree").spoil(&left(7));
    assert!(spoiled.write(proposal(7)).await.is_err());
    wait_until_it_leads(&spoiled).await;
    while spoiled.read().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(numbers(&view(&shards).await), (0..50).collect());
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_the_state_nothing_is_lost() {
    for seed in 0..40 {
        let dir = tempfile::tempdir().expect("a folder");
        let older = dir.path().join("older");
        let shards = open(dir.path(), 2).await;
        write(&shards, 0..100).await;
        crash(shards, dir.path()).await;
        copy(&dir.path().join("state"), &older);
        let shards = open(dir.path(), 2).await;
        write(&shards, 100..300).await;
        crash(shards, dir.path()).await;
        harm_state(dir.path(), &older, &mut Dice(seed));
        let shards = open(dir.path(), 2).await;
        assert_eq!(numbers(&view(&shards).await), (0..300).collect(), "seed {seed}");
        write(&shards, 300..310).await;
        shards.close().await;
    }
}

fn remove_a_record(dir: &Path) {
    let db = sled::open(dir.join("state")).expect("a state");
    for name in db.tree_names() {
        db.open_tree(name).expect("a tree").remove(left(7)).expect("a removal");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_missing_after_a_crash_is_noticed() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 2).await;
    write(&shards, 0..100).await;
    crash(shards, dir.path()).await;
    remove_a_record(dir.path());
    let shards = open(dir.path(), 2).await;
    assert_eq!(numbers(&view(&shards).await), (0..100).collect());
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_missing_after_a_clean_stop_is_noticed_soon() {
    let dir = tempfile::tempdir().expect("a folder");
    // No snapshot, which would notice as well.
    let open = || {
        let options = Options { shards: 2, ..Options::new(dir.path()) };
        Shards::open(options, Parts { logic: Arc::new(Pairs), ..Parts::default() })
    };
    let shards = open().await.expect("an open data folder");
    write(&shards, 0..1_000).await;
    shards.close().await;
    drop(shards);
    remove_a_record(dir.path());
    let shards = open().await.expect("an open data folder");
    write(&shards, 1_000..1_100).await;
    let there = |view: View| matches!(view.get(&left(7)), Ok(Some(_)));
    while !shard(&shards).read().await.is_ok_and(there) {
        tokio::task::yield_now().await;
    }
    assert_eq!(numbers(&view(&shards).await), (0..1_100).collect());
    shards.close().await;
}

/// The newest file of the log, and its content.
fn log_file(dir: &Path) -> (PathBuf, Vec<u8>) {
    let mut files: Vec<_> = RealDisk.list(&dir.join("log")).expect("the log");
    files.retain(|path| path.extension().is_some_and(|kind| kind == "raftlog"));
    files.sort();
    let path = files.pop().expect("a file");
    let content = fs::read(&path).expect("its content");
    (path, content)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_log_is_named_not_cut() {
    for clean in [true, false] {
        let dir = tempfile::tempdir().expect("a folder");
        let wide = Options { shards: 2, ..Options::new(dir.path()) };
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let shards = Shards::open(wide, parts(&disk)).await.expect("an open data folder");
        for number in 0..50 {
            write(&shards, number..number + 1).await;
        }
        match clean {
            true => shards.close().await,
            false => crash(shards, dir.path()).await,
        }
        fs::remove_dir_all(dir.path().join("state")).expect("a removed state");
        let (path, mut content) = log_file(dir.path());
        let middle = content.len() / 2;
        content[middle] ^= 0x10;
        fs::write(&path, &content).expect("a flipped byte");
        let text = refused(dir.path()).await;
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(text.contains("restore the data folder from a backup"), "{text}");
        let left = fs::read(&path).expect("its content");
        assert!(left.starts_with(&content), "the evidence stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_that_is_needed_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 2).await;
    let written = write_until_purged(&shards, 0).await;
    let path = shard(&shards).core.snapshots.path(shard(&shards).id());
    crash(shards, dir.path()).await;
    let mut content = fs::read(&path).expect("a snapshot");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&path, content).expect("a flipped byte");

    let (state, aside) = (dir.path().join("state"), dir.path().join("aside"));
    fs::rename(&state, &aside).expect("a removed state");
    let text = refused(dir.path()).await;
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(!dir.path().join("clean").exists(), "nothing was made good");

    // While the state is whole the snapshot is not needed, and is made anew.
    fs::remove_dir_all(&state).expect("a removed state");
    fs::rename(&aside, &state).expect("the state as it was");
    let shards = open(dir.path(), 2).await;
    assert_eq!(numbers(&view(&shards).await), (0..written).collect());
    while !snapshot_is_whole(shard(&shards)) {
        tokio::task::yield_now().await;
    }
    crash(shards, dir.path()).await;
    fs::remove_dir_all(&state).expect("a removed state");
    let shards = open(dir.path(), 2).await;
    assert_eq!(numbers(&view(&shards).await), (0..written).collect());
    shards.close().await;
}

fn snapshot_is_whole(shard: &Shard) -> bool {
    let current = shard.core.snapshots.current(shard.id()).expect("a folder");
    current
        .is_some_and(|snapshot| snapshot.verify(shard.id(), || ControlFlow::Continue(())).is_ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_rots_after_a_clean_stop_is_never_cut() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 2).await;
    write(&shards, 0..5).await;
    shards.close().await;
    let (path, mut content) = log_file(dir.path());
    *content.last_mut().expect("a batch") ^= 1;
    fs::write(&path, &content).expect("a flipped byte");
    for _ in 0..2 {
        let text = refused(dir.path()).await;
        assert!(text.contains(&path.display().to_string()), "{text}");
    }
    assert_eq!(fs::read(&path).expect("its content"), content);
}

#[test]
fn only_the_newest_file_of_the_log_is_cut() {
    let dir = tempfile::tempdir().expect("a folder");
    for kind in ["raftlog", "rewrite"] {
        let files = LogFiles::new(Arc::new(RealDisk));
        let [older, newest] = [1, 2].map(|number| {
            let path = dir.path().join(format!("{number:016}.{kind}"));
            (files.create(&path).expect("a file"), path)
        });
        newest.0.truncate(0).expect("a torn tail");
        assert_eq!(files.damaged(), None);
        assert!(older.0.truncate(0).is_err());
        assert_eq!(files.damaged(), Some(older.1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_lost_its_vote_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 2).await;
    write(&shards, 0..5).await;
    let vote = Vote::new(0, 1);
    shard(&shards).core.log.clone().save_vote(&vote).await.expect("a vote");
    crash(shards, dir.path()).await;
    let text = refused(dir.path()).await;
    assert!(text.contains("its vote is older than its entries"), "{text}");
}
