//! Links with the nodes that the cluster's records name, over connections of the cluster's own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use janua_storage::capability::cluster;
use janua_storage::engine::Shards;
use janua_storage::engine::link::{Channel, Link, Stream as Connection};
use janua_storage::ids::{ShardId, TenantNumber};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::{Links, Peer, Stream};

/// How often the records are looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The other nodes, as this node's replica of the cluster's records knows them.
pub struct MemberLinks {
    node: u64,
    link: Arc<Link>,
    peers: watch::Receiver<Vec<Peer>>,
    accepted: Mutex<mpsc::Receiver<(u64, Connection)>>,
    watching: AbortHandle,
}

impl MemberLinks {
    /// Of a node that has links to others; once.
    pub fn of(shards: &Arc<Shards>) -> Option<Arc<Self>> {
        let link = shards.link()?.clone();
        let accepted = Mutex::new(link.actor_connections()?);
        let node = shards.node_id();
        let (known, peers) = watch::channel(others(shards, node).unwrap_or_default());
        let watching = ractor::concurrency::spawn(look(Arc::downgrade(shards), node, known));
        let watching = watching.abort_handle();
        Some(Arc::new(Self { node, link, peers, accepted, watching }))
    }
}

impl Drop for MemberLinks {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn look(shards: std::sync::Weak<Shards>, node: u64, known: watch::Sender<Vec<Peer>>) {
    while let Some(shards) = shards.upgrade() {
        if let Some(present) = others(&shards, node) {
            known.send_if_modified(|known| {
                let changed = *known != present;
                *known = present;
                changed
            });
        }
        drop(shards);
        sleep(LOOK).await;
    }
}

/// The nodes that the records name, but this one; nothing when they cannot be read.
fn others(shards: &Shards, node: u64) -> Option<Vec<Peer>> {
    let records = shards.of(TenantNumber::CLUSTER).follow().ok()?;
    let nodes = cluster::nodes(&records).ok()?;
    let here =
        |known: &cluster::Node| known.id != node && known.state != cluster::NodeState::Removed;
    let peer = |known: cluster::Node| Peer { id: known.id, name: known.name };
    Some(nodes.into_iter().filter(here).map(peer).collect())
}

impl Links for MemberLinks {
    fn node(&self) -> u64 {
        self.node
    }

    fn peers(&self) -> watch::Receiver<Vec<Peer>> {
        self.peers.clone()
    }

    fn leader_of(&self, shard: ShardId) -> Option<u64> {
        self.link.leader_of(shard)
    }

    fn connect(&self, peer: u64) -> BoxFuture<'static, io::Result<Stream>> {
        let link = self.link.clone();
        Box::pin(async move {
            let connection = link.connect(peer, Channel::Actors).await?;
            Ok(Box::new(connection) as Stream)
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<(u64, Stream)>> {
        Box::pin(async {
            let (peer, connection) = self.accepted.lock().await.recv().await?;
            Some((peer, Box::new(connection) as Stream))
        })
    }
}
