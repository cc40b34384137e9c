//! The audit chain, verified in the data folder of a node that does not run.

use std::path::Path;

use janua_storage::capability::audit;
use janua_storage::engine::{Options, Parts, Shards};
use janua_storage::ids::TenantNumber;

/// Every event of the default tenant as a line of an export.
pub async fn export(data_dir: &Path) -> Vec<String> {
    let shards = Shards::open(Options::new(data_dir), Parts::default()).await;
    let shards = shards.unwrap_or_else(|error| panic!("{error}"));
    let records = shards.of(TenantNumber::DEFAULT).read().await.expect("the shard serves");
    let mut lines = Vec::new();
    audit::export(&records, TenantNumber::DEFAULT, |line| lines.push(line)).expect("events");
    drop(records);
    shards.close().await;
    lines
}

/// Verifies the default tenant's chain from its first event to its last; how many there are.
pub async fn chain_is_whole(data_dir: &Path) -> u64 {
    verified(Options::new(data_dir)).await
}

/// The same for what a node of a cluster with so many shards has.
pub async fn chain_of_a_member_is_whole(data_dir: &Path, shards: u64) -> u64 {
    let shards = u16::try_from(shards).expect("a few shards");
    verified(Options { shards, ..Options::new(data_dir) }).await
}

async fn verified(options: Options) -> u64 {
    let shards = Shards::open(options, Parts::default()).await;
    let shards = shards.unwrap_or_else(|error| panic!("{error}"));
    let shard = shards.of(TenantNumber::DEFAULT);
    // One of several nodes leads nothing while it is alone: what its replica has must be whole too.
    let records = shard.read().await.or_else(|_| shard.follow()).expect("a replica");
    let verified = audit::verify(&records, TenantNumber::DEFAULT).expect("the events can be read");
    drop(records);
    shards.close().await;
    assert!(verified.first_invalid.is_none(), "the chain is broken: {verified:?}");
    verified.checked
}
