//! The links between nodes: mutual TLS over TCP. One connection to each peer carries the Raft
//! traffic of all shards, others carry snapshots, calls between actors, and what is asked of the
//! cluster, so that none delays another.
//!
//! It knows nodes by their number, and nothing of who is a member: that comes from the records.

mod accept;
mod clocks;
mod connect;
mod greeting;
mod identity;
mod inbound;
mod peer;
#[cfg(test)]
mod simulated;
pub mod snapshot;
#[cfg(test)]
mod tests;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::clocks::Clocks;
pub use self::clocks::Tell;
pub use self::connect::{connect, exchange};
pub use self::greeting::OTHER_CLUSTER;
pub use self::identity::{Channel, Identity, IdentityError, PROTOCOL, Secrets};
pub use self::peer::{Lost, Peer};
use self::wire::{Hello, Outgoing};
use super::shard::Shard;
use crate::ids::ShardId;
use crate::moment::Moment;
use crate::version::Speech;

/// An authenticated, encrypted connection to another node.
#[cfg(not(test))]
pub type Stream = tokio_rustls::TlsStream<tokio::net::TcpStream>;
#[cfg(test)]
pub use self::simulated::Stream;

/// How long TCP may take to connect: less than the second after which a lost request is sent again,
/// since a network that heals is to be noticed at once.
const REACH: Duration = Duration::from_millis(400);
/// How long TCP and TLS may take to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// Connections for actors that nobody has taken yet.
const UNTAKEN: usize = 16;
/// Snapshots that are sent at once; the others wait, so that disk and wire stay free for the rest.
const SNAPSHOTS: usize = 2;

/// The other end will not have this node.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Answers what another node asks on the control channel.
pub type Control = Arc<dyn Fn(u64, Vec<u8>) -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

/// Whether a node may be spoken to; if not, why.
pub type Admission = Box<dyn Fn(&Hello) -> Result<(), String> + Send + Sync>;

/// The links of a node.
pub struct Link {
    node: u64,
    address: String,
    speech: Arc<Speech>,
    /// What other nodes have last said that they speak.
    spoken: RwLock<BTreeMap<u64, u16>>,
    identity: RwLock<Arc<Identity>>,
    runtime: Handle,
    cluster: OnceLock<[u8; 16]>,
    shards: OnceLock<Vec<Weak<Shard>>>,
    control: OnceLock<Control>,
    admission: OnceLock<Admission>,
    addresses: RwLock<BTreeMap<u64, String>>,
    peers: Mutex<BTreeMap<u64, Arc<Peer>>>,
    met: Mutex<HashMap<u64, Arc<Notify>>>,
    /// Who leads a shard, in which term, as nodes say of themselves.
    leaders: RwLock<BTreeMap<ShardId, (u64, u64)>>,
    /// How often that has changed, or a connection has come or gone.
    moves: watch::Sender<u64>,
    /// Nodes that are about to stop, or must not lead for another reason.
    leaving: RwLock<BTreeSet<u64>>,
    /// Whether this node is.
    is_leaving: AtomicBool,
    changed: Arc<Notify>,
    clocks: Clocks,
    /// Snapshots that may be on their way at once.
    snapshots: Semaphore,
    actors: mpsc::Sender<(u64, Stream)>,
    untaken: Mutex<Option<mpsc::Receiver<(u64, Stream)>>>,
    closing: CancellationToken,
}

impl Link {
    /// The links of `node`, which others reach at `address`. Tasks run on `runtime`; `changed` is
    /// told when a connection has come or gone.
    pub fn new(
        node: u64,
        address: String,
        identity: Identity,
        runtime: Handle,
        changed: Arc<Notify>,
        speech: Arc<Speech>,
    ) -> Arc<Self> {
        let (actors, untaken) = mpsc::channel(UNTAKEN);
        Arc::new(Self {
            node,
            address,
            speech,
            spoken: RwLock::default(),
            identity: RwLock::new(Arc::new(identity)),
            runtime,
            cluster: OnceLock::new(),
            shards: OnceLock::new(),
            control: OnceLock::new(),
            admission: OnceLock::new(),
            addresses: RwLock::default(),
            peers: Mutex::default(),
            met: Mutex::default(),
            leaders: RwLock::default(),
            moves: watch::Sender::new(0),
            leaving: RwLock::default(),
            is_leaving: AtomicBool::new(false),
            changed,
            clocks: Clocks::default(),
            snapshots: Semaphore::new(SNAPSHOTS),
            actors,
            untaken: Mutex::new(Some(untaken)),
            closing: CancellationToken::new(),
        })
    }

    /// Takes connections at a port from now on.
    pub fn open(self: &Arc<Self>, port: std::net::TcpListener) -> io::Result<()> {
        #[cfg(test)]
        if let Some(port) = simulated::port() {
            self.runtime.spawn(simulated::accept(self.clone(), port));
            return Ok(());
        }
        port.set_nonblocking(true)?;
        let _runtime = self.runtime.enter();
        self.listen(TcpListener::from_std(port)?);
        Ok(())
    }

    /// Takes connections from now on.
    pub fn listen(self: &Arc<Self>, listener: TcpListener) {
        self.runtime.spawn(accept::accept(self.clone(), listener));
    }

    /// How this node shows itself, and whom it believes, in every connection from now on.
    pub fn show(&self, identity: Identity) {
        *self.identity.write() = Arc::new(identity);
    }

    fn identity(&self) -> Arc<Identity> {
        self.identity.read().clone()
    }

    /// Raft's id of this node.
    pub fn node(&self) -> u64 {
        self.node
    }

    /// Where the others reach this node.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Nodes of other clusters are refused from now on.
    pub fn belong_to(&self, cluster: [u8; 16]) {
        self.cluster.set(cluster).ok();
    }

    /// The cluster's id, if it is known.
    pub fn cluster(&self) -> Option<[u8; 16]> {
        self.cluster.get().copied()
    }

    /// Raft traffic goes to these from now on.
    pub fn serve(&self, shards: &[Arc<Shard>]) {
        self.shards.set(shards.iter().map(Arc::downgrade).collect()).ok();
    }

    /// The control channel is answered by this from now on.
    pub fn answer_control(&self, control: Control) {
        self.control.set(control).ok();
    }

    /// This node's clock.
    pub fn go_by(&self, clock: Tell) {
        self.clocks.go_by(clock);
    }

    /// What time it is by it; `None` before it is known.
    pub fn now(&self) -> Option<Moment> {
        self.clocks.now()
    }

    /// Whether this node's clock does not go with the others': then it must not lead.
    pub fn is_astray(&self) -> bool {
        self.clocks.are_apart()
    }

    /// Nodes are admitted by this from now on.
    pub fn admit_by(&self, admission: Admission) {
        self.admission.set(admission).ok();
    }

    /// Where a node is reached from now on.
    pub fn learn(&self, node: u64, address: &str) {
        let known = self.addresses.read().get(&node).is_some_and(|known| known == address);
        if !known && node != self.node && node != 0 {
            self.addresses.write().insert(node, address.to_owned());
            self.notice(node).notify_one();
        }
    }

    /// The way to a node.
    pub fn peer(self: &Arc<Self>, node: u64) -> Arc<Peer> {
        let mut peers = self.peers.lock();
        peers.entry(node).or_insert_with(|| Peer::start(self, node)).clone()
    }

    /// Whether there is a connection to a node, which answers.
    pub fn is_up(&self, node: u64) -> bool {
        node == self.node || self.peers.lock().get(&node).is_some_and(|peer| peer.is_up())
    }

    /// Whether the connection to a node is gone, or has been at any time since then: whoever comes
    /// back at once has still lost what it led.
    pub fn is_lost_since(&self, node: u64, then: Instant) -> bool {
        let peer = self.peers.lock().get(&node).cloned();
        node != self.node && peer.is_none_or(|peer| !peer.is_up() || peer.was_lost_since(then))
    }

    /// Ends the connection to a node that is not to be reached any more.
    pub fn forget(&self, node: u64) {
        if let Some(peer) = self.peers.lock().remove(&node) {
            peer.end();
        }
        self.addresses.write().remove(&node);
    }

    /// Whether a node has said that it is about to stop, or must not lead.
    pub fn is_leaving(&self, node: u64) -> bool {
        self.leaving.read().contains(&node)
    }

    /// Whether a node answers, is not about to stop, and may lead.
    pub fn can_take_over(&self, node: u64) -> bool {
        self.is_up(node) && !self.is_leaving(node)
    }

    /// Says from now on that this node is about to stop.
    pub fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    /// Who leads a shard, as nodes say of themselves: the latest term, and its leader.
    pub fn leader_of(&self, shard: ShardId) -> Option<(u64, u64)> {
        self.leaders.read().get(&shard).copied()
    }

    /// Changes whenever another node says that it leads a shard, or is reached, or lost.
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }

    /// Connections that other nodes have opened for actors. They are handed out once.
    pub fn actor_connections(&self) -> Option<mpsc::Receiver<(u64, Stream)>> {
        self.untaken.lock().take()
    }

    /// Ends all connections, and takes no more.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Asks a node on the control channel.
    pub async fn ask(&self, node: u64, request: &[u8], deadline: Duration) -> io::Result<Vec<u8>> {
        let asked = async {
            let mut stream = self.connect(node, Channel::Control).await?;
            exchange(&mut stream, request).await
        };
        timeout(deadline, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// A connection to a node, for one purpose.
    pub async fn connect(&self, node: u64, channel: Channel) -> io::Result<Stream> {
        let address = self.addresses.read().get(&node).cloned();
        let address = address.ok_or_else(|| io::Error::other("its address is not known"))?;
        let hello = self.hello(node);
        let (stream, theirs) = connect(&self.identity(), &address, channel, hello).await?;
        self.hears(&Hello { from: node, ..theirs }).map_err(io::Error::other)?;
        Ok(stream)
    }

    fn shard(&self, id: u16) -> Option<Arc<Shard>> {
        self.shards.get()?.get(usize::from(id))?.upgrade()
    }

    /// What this node leads: shard and term.
    fn leads(&self) -> Vec<(u16, u64)> {
        let shards = self.shards.get().into_iter().flatten().filter_map(Weak::upgrade);
        shards
            .filter_map(|shard| {
                let leadership = shard.leadership.borrow();
                leadership.leads.then_some((shard.id().0, leadership.term))
            })
            .collect()
    }

    fn ping(&self) -> Outgoing {
        let leaving = self.is_leaving.load(Ordering::Relaxed) || self.is_astray();
        Outgoing::Ping { leaving, leads: self.leads(), time: self.now() }
    }

    fn heed(&self, node: u64, leaving: bool, leads: &[(u16, u64)]) {
        if leaving != self.is_leaving(node) {
            let mut all = self.leaving.write();
            _ = if leaving { all.insert(node) } else { all.remove(&node) };
        }
        for (shard, term) in leads {
            if let Some(shard) = self.shard(*shard) {
                shard.is_claimed(*term);
            }
        }
        let stale = |leaders: &BTreeMap<ShardId, (u64, u64)>| {
            leads.iter().any(|(shard, term)| leaders.get(&ShardId(*shard)) < Some(&(*term, node)))
        };
        if stale(&self.leaders.read()) {
            let mut leaders = self.leaders.write();
            for (shard, term) in leads {
                let known = leaders.entry(ShardId(*shard)).or_default();
                *known = (*known).max((*term, node));
            }
            drop(leaders);
            self.move_on();
        }
    }

    fn hear(&self, node: u64, time: Option<Moment>) {
        let nodes = self.peers.lock().len() + 1;
        if self.clocks.hear(node, time, nodes) {
            self.changed();
        }
    }

    fn changed(&self) {
        self.changed.notify_one();
        self.move_on();
    }

    fn move_on(&self) {
        self.moves.send_modify(|moves| *moves += 1);
    }

    fn notice(&self, node: u64) -> Arc<Notify> {
        self.met.lock().entry(node).or_default().clone()
    }

    /// Returns when a node has been heard of.
    async fn met(&self, node: u64) {
        self.notice(node).notified().await;
    }

    async fn closed(&self) {
        self.closing.cancelled().await;
    }
}
