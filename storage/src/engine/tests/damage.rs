//! Damage is met, never served: the state is rebuilt, and what only a backup can mend is named.

use super::*;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_missing_after_a_crash_is_noticed() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 2).await;
    write(&shards, 0..100).await;
    crash(shards, dir.path()).await;
    {
        let db = sled::open(dir.path().join("state")).expect("a state");
        for name in db.tree_names() {
            db.open_tree(name).expect("a tree").remove(left(7)).expect("a removal");
        }
    }
    let shards = open(dir.path(), 2).await;
    assert_eq!(numbers(&view(&shards).await), (0..100).collect());
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
    let mut written = 0;
    while shard(&shards).core.log.purged().is_none() {
        write(&shards, written..written + 50).await;
        written += 50;
    }
    let path = shard(&shards).core.snapshots.path(shard(&shards).id());
    crash(shards, dir.path()).await;
    let mut content = fs::read(&path).expect("a snapshot");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    fs::write(&path, content).expect("a flipped byte");

    // The state is whole, so the snapshot is not needed.
    let shards = open(dir.path(), 2).await;
    assert_eq!(numbers(&view(&shards).await), (0..written).collect());
    crash(shards, dir.path()).await;

    fs::remove_dir_all(dir.path().join("state")).expect("a removed state");
    let text = refused(dir.path()).await;
    assert!(text.contains(&path.display().to_string()), "{text}");
}
