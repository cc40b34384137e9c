//! The gateway: how nodes call each other. Each node has one actor that others can send to, over
//! ractor_cluster; everything else that is an actor stays on its node.
//!
//! A call is answered, or it is known that nothing was done, or it is unknown what was done: the link
//! broke, or time ran out. What is to be made of that is the caller's affair.

mod actor;
mod backup;
mod frame;
mod hashing;
mod inbound;
mod lasting;
mod link;
mod members;
mod origin;
mod pieces;
mod remote;
mod sessions;

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use janua_storage::ids::ShardId;
use parking_lot::Mutex;
use ractor::{Actor, ActorRef, ActorStatus};
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use actor::GatewayMessage;
pub use link::{Lost, Replied};
pub use members::MemberLinks;
pub use pieces::{Piece, Pieces, Source};
pub use sessions::{Links, Peer, Stream};

pub(crate) use origin::Origin;

use self::actor::GatewayActor;
pub(crate) use self::frame::Kind;
use self::frame::{Frame, Part};
use self::link::Link;
use crate::context::Operation;
use crate::directory::Node;
use crate::mail;
use crate::refusal::Refusal;

/// How long answers may take to leave.
const LINGER: Duration = Duration::from_millis(20);

/// A peer that does not answer for so long is given up.
pub const LOST: Duration = Duration::from_millis(1_500);

/// Answers requests that other nodes have received.
pub trait Worker: Send + Sync + 'static {
    /// The answer to a request whose client waits for `within`. Where its body comes
    /// in `pieces`, they are read as they are wanted.
    fn work(
        &self,
        request: Bytes,
        pieces: Option<Pieces>,
        within: Duration,
    ) -> BoxFuture<'static, Answer>;
}

/// What is answered to another node.
pub enum Answer {
    /// Head and body.
    Whole(Bytes, Bytes),
    /// The head, and a body that is sent as it is read.
    Pieces(Bytes, BoxStream<'static, Piece>),
}

/// A call of another node that is being worked on.
struct AtWork(Gateway);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.0.at_work.send_modify(|count| *count -= 1);
    }
}

/// Calls other nodes, and has their calls answered. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    node: u64,
    local: Weak<Node>,
    worker: OnceLock<Arc<dyn Worker>>,
    links: DashMap<u64, Arc<Link>>,
    others: Arc<dyn Links>,
    peers: watch::Receiver<Vec<Peer>>,
    /// How often links have come and gone.
    changes: watch::Sender<u64>,
    /// Begins with the time of the start, so that it is greater than in any run before.
    next_link: AtomicU64,
    /// Drawn when the node was started.
    incarnation: u64,
    next_call: AtomicU64,
    /// Calls of other nodes that are being worked on.
    at_work: watch::Sender<usize>,
    /// The task of each connection, and the root of the rest.
    running: Mutex<Vec<AbortHandle>>,
    server: OnceLock<ActorRef<ractor_cluster::NodeServerMessage>>,
    actor: OnceLock<ActorRef<GatewayMessage>>,
}

impl Gateway {
    /// Starts the gateway of a node, and keeps links to all its peers.
    pub(crate) async fn start(local: &Arc<Node>, links: Arc<dyn Links>) -> Result<Self, Refusal> {
        let first_call = u64::from_be_bytes(local.clock.random());
        let first_link = local.clock.now().0;
        Self::start_with(Arc::downgrade(local), links, (first_call, first_link)).await
    }

    async fn start_with(
        local: Weak<Node>,
        links: Arc<dyn Links>,
        (first_call, first_link): (u64, u64),
    ) -> Result<Self, Refusal> {
        let gateway = Self(Arc::new(Inner {
            node: links.node(),
            local,
            worker: OnceLock::new(),
            links: DashMap::new(),
            peers: links.peers(),
            others: links.clone(),
            changes: watch::Sender::new(0),
            // A node that was started again must not take answers to its predecessor for its own.
            next_link: first_link.into(),
            incarnation: first_call,
            next_call: first_call.into(),
            at_work: watch::Sender::default(),
            running: Mutex::default(),
            server: OnceLock::new(),
            actor: OnceLock::new(),
        }));
        let failed = |error: ractor::SpawnErr| Refusal::unavailable(error.to_string());
        let (actor, _) = Actor::spawn(None, GatewayActor, gateway.clone()).await.map_err(failed)?;
        gateway.0.actor.set(actor.clone()).ok();
        sessions::keep(&gateway, links, actor).await?;
        Ok(gateway)
    }

    /// Returns when no call of another node is being worked on, or after this time.
    pub async fn finish(&self, within: Duration) {
        let mut at_work = self.0.at_work.subscribe();
        if *at_work.borrow_and_update() == 0 {
            return;
        }
        let finished = at_work.wait_for(|count| *count == 0);
        if tokio::time::timeout(within, finished).await.is_err() {
            tracing::warn!("calls of other nodes are cut off");
        }
        // The last answers are on their way.
        tokio::time::sleep(LINGER).await;
    }

    /// A call is being worked on, until what this gives is dropped.
    fn works(&self) -> AtWork {
        self.0.at_work.send_modify(|count| *count += 1);
        AtWork(self.clone())
    }

    /// Hangs up on every peer.
    pub fn stop(&self) {
        self.0.running.lock().drain(..).for_each(|task| task.abort());
        if let Some(server) = self.0.server.get() {
            server.stop(None);
        }
        if let Some(actor) = self.0.actor.get() {
            actor.stop(None);
        }
    }

    /// Why no other node gets through to this one, if a bug has seen to that.
    pub fn problem(&self) -> Option<String> {
        let has_stopped = |status| matches!(status, ActorStatus::Stopping | ActorStatus::Stopped);
        let server = self.0.server.get().is_some_and(|server| has_stopped(server.get_status()));
        let actor = self.0.actor.get().is_some_and(|actor| has_stopped(actor.get_status()));
        let problem = || "the node does not hear other nodes any more: start it again".into();
        (server || actor).then(problem)
    }

    /// Who answers the requests that other nodes send here.
    pub fn serve(&self, worker: Arc<dyn Worker>) {
        self.0.worker.set(worker).ok();
    }

    /// The id of this node.
    pub fn node(&self) -> u64 {
        self.0.node
    }

    /// Whether the cluster has other nodes.
    pub fn has_peers(&self) -> bool {
        !self.0.peers.borrow().is_empty()
    }

    /// A new operation id, if there are other nodes that may have to make the same request again.
    pub fn operation(&self) -> Option<Operation> {
        let (node, incarnation) = (self.0.node, self.0.incarnation);
        self.has_peers().then(|| Operation { node, incarnation, number: self.next_call() })
    }

    /// Who leads a shard, as others say: the latest term, and its leader.
    pub fn leader_of(&self, shard: ShardId) -> Option<(u64, u64)> {
        self.0.others.leader_of(shard)
    }

    /// Changes whenever another node says that it leads a shard, or is reached, or lost.
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.0.others.moves()
    }

    /// Whether there is a link to this node.
    pub fn reaches(&self, peer: u64) -> bool {
        self.0.links.contains_key(&peer)
    }

    /// Whether there is a link to this node, and it answers.
    pub fn answers(&self, peer: u64) -> bool {
        self.reaches(peer) && self.0.others.is_up(peer)
    }

    /// Returns once nothing was heard of a peer for longer than a busy machine would explain.
    pub async fn has_lost(&self, peer: u64) {
        let mut moves = self.moves();
        loop {
            // Without a sender nothing will ever change.
            if moves.wait_for(|_| !self.0.others.is_up(peer)).await.is_err() {
                return std::future::pending().await;
            }
            let back = moves.wait_for(|_| self.0.others.is_up(peer));
            if tokio::time::timeout(LOST, back).await.is_err() {
                return;
            }
        }
    }

    /// Changes whenever a link comes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// What a peer is called.
    pub fn name_of(&self, peer: u64) -> String {
        let peers = self.0.peers.borrow();
        let known = peers.iter().find(|known| known.id == peer);
        known.map_or_else(|| peer.to_string(), |known| known.name.clone())
    }

    /// Has another node answer a request.
    pub async fn forward(
        &self,
        peer: u64,
        head: Bytes,
        body: Bytes,
        within: Duration,
    ) -> Result<Replied, Lost> {
        self.call(peer, Kind::Request, head, body, within).await
    }

    /// Has another node answer a request whose body it reads as it comes. None of it is asked for
    /// before that node has found that it is the one to answer.
    pub async fn forward_pieces(
        &self,
        peer: u64,
        head: Bytes,
        source: &mut impl Source,
        within: Duration,
    ) -> Result<Replied, Lost> {
        let link = self.link(peer).ok_or(Lost::Unreachable)?;
        link.call_in_pieces(self.next_call(), head, source, within).await
    }

    async fn call(
        &self,
        peer: u64,
        kind: Kind,
        head: Bytes,
        body: Bytes,
        within: Duration,
    ) -> Result<Replied, Lost> {
        let link = self.link(peer).ok_or(Lost::Unreachable)?;
        link.call((kind, self.next_call()), head, body, within).await
    }

    fn next_call(&self) -> u64 {
        self.0.next_call.fetch_add(1, Ordering::Relaxed)
    }

    fn link(&self, peer: u64) -> Option<Arc<Link>> {
        self.0.links.get(&peer).map(|link| link.clone())
    }

    /// Sends an answer, by the present link, or the one that is just being made.
    async fn reply(&self, peer: u64, frame: Frame) {
        let mut changes = self.changes();
        let linked = changes.wait_for(|_| self.reaches(peer));
        if tokio::time::timeout(Duration::from_secs(1), linked).await.is_ok()
            && let Some(link) = self.link(peer)
        {
            link.send(frame);
        }
    }

    /// What a peer's call comes to; nothing when it could not be worked on to its end.
    async fn work(&self, peer: u64, part: Part, pieces: Option<Pieces>) -> Option<Answer> {
        let within = Duration::from_millis(part.within_ms.into());
        let work = async {
            match part.kind {
                Kind::Request | Kind::Stream => {
                    let work = self.0.worker.get()?.work(part.bytes, pieces, within);
                    Some(Origin::new(self.clone(), peer, within).scope(work).await)
                }
                Kind::Hash => whole(hashing::work(&self.0.local.upgrade()?, &part.bytes).await),
                Kind::Write => whole(remote::write(&self.0.local.upgrade()?, &part.bytes).await),
                Kind::Read => whole(remote::read(&self.0.local.upgrade()?, &part.bytes).await),
                Kind::Position => {
                    whole(backup::position(&self.0.local.upgrade()?, &part.bytes).await)
                }
                Kind::Outbox => {
                    whole(mail::kept::answer(&self.0.local.upgrade()?, &part.bytes).await)
                }
                Kind::BackUp => backup::part(&self.0.local.upgrade()?, &part.bytes).await,
                _ => None,
            }
        };
        let done = tokio::time::timeout(within, AssertUnwindSafe(work).catch_unwind()).await;
        match done {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => {
                tracing::error!(peer, "a call of another node panicked");
                None
            }
            Err(_) => None,
        }
    }
}

fn whole(done: Option<Vec<u8>>) -> Option<Answer> {
    done.map(|done| Answer::Whole(done.into(), Bytes::new()))
}
