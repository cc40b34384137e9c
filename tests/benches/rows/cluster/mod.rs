//! Three nodes on this machine, each row beside its reference in the same run.

pub mod failover;
pub mod idle;
pub mod rates;
pub mod snapshot;

use janua_tests::cluster::Cluster;

use super::shipped;
use crate::load::Target;

/// Shards as they are shipped.
const SHARDS: u64 = 16;

/// Three nodes as they are shipped, with limits that count but do not bite.
async fn three() -> Cluster {
    Cluster::made_of(3, SHARDS, Box::new(shipped)).await
}

/// All nodes of a cluster: where they are met, and their processes.
fn everywhere(cluster: &Cluster) -> Target {
    Target {
        addresses: cluster.nodes().iter().map(|node| node.api.address()).collect(),
        processes: processes(cluster),
    }
}

/// One node of a cluster, with the CPU of all.
fn only(cluster: &Cluster, number: usize) -> Target {
    let addresses = vec![cluster.node(number).api.address()];
    Target { addresses, processes: processes(cluster) }
}

fn processes(cluster: &Cluster) -> Vec<u32> {
    cluster.nodes().iter().map(|node| node.process_id()).collect()
}
