//! What was acknowledged is there after a restart.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a folder");
    let shards = open(dir.path(), 4).await;
    assert!(shards.founded_now());
    assert!(shards.health().is_ready(), "{:?}", shards.health());
    let shard = shards.of(TenantNumber(1));
    for number in 0..100 {
        shard.write(proposal(number)).await.expect("a write").expect("a reply");
    }
    assert!(has(&shard.read().await.expect("a read"), 99));
    shards.close().await;

    let shards = open(dir.path(), 4).await;
    assert!(!shards.founded_now());
    let view = shards.of(TenantNumber(1)).read().await.expect("a read");
    assert!((0..100).all(|number| has(&view, number)));
    shards.close().await;
}
