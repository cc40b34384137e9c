//! The data folder refuses what it should, in one line, and touches nothing.

use super::*;

async fn refused(dir: &Path) -> String {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let refused = Shards::open(options(dir, 2), parts(&disk)).await;
    let text = refused.err().expect("a refusal").to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_use_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 2).await;
    write(&shards, 0..5).await;
    let text = refused(dir.path()).await;
    assert!(text.ends_with("is in use by another process"), "{text}");
    write(&shards, 5..10).await;
    shards.close().await;
    let shards = open(dir.path(), 2).await;
    assert_eq!(numbers(&view(&shards).await), (0..10).collect());
    shards.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_newer_version_is_refused_untouched() {
    let dir = tempfile::tempdir().expect("a folder");
    open(dir.path(), 2).await.close().await;
    let (newest, newer) = (DATA_VERSION, DATA_VERSION + 1);
    fs::write(dir.path().join("format"), format!("janua data {newer}\n")).expect("a file");
    let text = refused(dir.path()).await;
    let wanted = format!("data version {newer}, this program reads up to {newest}");
    assert!(text.contains(&wanted), "{text}");
    assert!(dir.path().join("clean").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_shards_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    open(dir.path(), 4).await.close().await;
    let text = refused(dir.path()).await;
    assert!(text.contains("was founded with 4 shards, not 2"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_something_else_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("format"), "a book\n").expect("a file");
    assert!(refused(dir.path()).await.contains("is no Janua data folder"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_its_format_file_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    open(dir.path(), 2).await.close().await;
    fs::remove_file(dir.path().join("format")).expect("a removed file");
    assert!(refused(dir.path()).await.contains("it has a log"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_made_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("a file");
    assert!(refused(&file.join("data")).await.contains("cannot be used"));
}
