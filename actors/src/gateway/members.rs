//! Links with the nodes that the cluster's records name, over connections of the cluster's own.

use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use janua_storage::capability::cluster::NodeState;
use janua_storage::engine::Shards;
use janua_storage::engine::link::{Channel, Link, Stream as Connection};
use janua_storage::ids::ShardId;
use janua_storage::membership::Known;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::AbortHandle;

use super::lasting::Lasting;
use super::{Links, Peer, Stream};

/// The other nodes, as this node's replica of the cluster's records knows them.
pub struct MemberLinks {
    node: u64,
    link: Arc<Link>,
    peers: watch::Receiver<Vec<Peer>>,
    accepted: Mutex<mpsc::Receiver<(u64, Connection)>>,
    watching: AbortHandle,
}

impl MemberLinks {
    /// Of a node that has links to others, once; the records of all nodes are followed in `known`.
    pub fn of(shards: &Shards, known: watch::Receiver<Known>) -> Option<Arc<Self>> {
        let link = shards.link()?.clone();
        let accepted = Mutex::new(link.actor_connections()?);
        let node = shards.node_id();
        let (sender, peers) = watch::channel(others(&known.borrow(), node));
        let watching = ractor::concurrency::spawn(follow(known, node, sender)).abort_handle();
        Some(Arc::new(Self { node, link, peers, accepted, watching }))
    }
}

impl Drop for MemberLinks {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn follow(mut known: watch::Receiver<Known>, node: u64, peers: watch::Sender<Vec<Peer>>) {
    loop {
        let present = others(&known.borrow_and_update(), node);
        peers.send_if_modified(|peers| {
            let changed = *peers != present;
            *peers = present;
            changed
        });
        if known.changed().await.is_err() {
            return;
        }
    }
}

/// A connection with a node that lasts until more is agreed on than the node understands.
fn lasting(link: Arc<Link>, peer: u64, connection: Connection) -> Stream {
    let end = async move { io::Error::other(link.outgrows(peer).await) };
    Box::new(Lasting::until(connection, end))
}

/// The nodes that the records name, but this one and those that have left.
fn others(known: &Known, node: u64) -> Vec<Peer> {
    let nodes = known.iter().flat_map(|nodes| nodes.iter());
    let others = nodes.filter(|known| known.id != node && known.state != NodeState::Removed);
    others.map(|known| Peer { id: known.id, name: known.name.clone() }).collect()
}

impl Links for MemberLinks {
    fn node(&self) -> u64 {
        self.node
    }

    fn peers(&self) -> watch::Receiver<Vec<Peer>> {
        self.peers.clone()
    }

    fn leader_of(&self, shard: ShardId) -> Option<(u64, u64)> {
        self.link.leader_of(shard)
    }

    fn is_up(&self, peer: u64) -> bool {
        self.link.is_up(peer)
    }

    fn moves(&self) -> watch::Receiver<u64> {
        self.link.moves()
    }

    fn connect(&self, peer: u64) -> BoxFuture<'static, io::Result<Stream>> {
        let link = self.link.clone();
        Box::pin(async move {
            let connection = link.connect(peer, Channel::Actors).await?;
            Ok(lasting(link, peer, connection))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<(u64, Stream)>> {
        Box::pin(async {
            let (peer, connection) = self.accepted.lock().await.recv().await?;
            Some((peer, lasting(self.link.clone(), peer, connection)))
        })
    }
}
