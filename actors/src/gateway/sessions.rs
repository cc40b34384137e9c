//! Sessions with other nodes: ractor_cluster over streams that are encrypted, and whose other end is
//! known, before they come here.
//!
//! Decision: of two nodes the one with the greater id calls, and calls again when the link breaks.
//! ractor_cluster insists on a listener of its own; ours is bound to the loopback and has no
//! certificate to show, so nobody gets as far as a greeting.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use janua_storage::ids::ShardId;
use ractor::{Actor, ActorRef};
use ractor_cluster::node::{NodeConnectionMode, NodeServerSessionInformation};
use ractor_cluster::{
    BoxRead, BoxWrite, ClusterBidiStream, IncomingEncryptionMode, NodeEventSubscription,
    NodeServer, NodeServerMessage,
};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Gateway, GatewayMessage};
use crate::refusal::Refusal;

/// The longest batch that is taken from another node; far above what is sent.
const LONGEST_BATCH: u64 = 2 * 1024 * 1024;

/// How long a connection may take to become a link.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// How long to wait before calling again: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// Both ends of a connection know each other when it comes here, so what ractor_cluster asks for
/// besides proves nothing.
const COOKIE: &str = "janua";

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id.
    pub id: u64,
    /// What it is called.
    pub name: String,
}

/// A connection with another node.
pub type Stream = Box<dyn Duplex>;

/// Bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// Who the other nodes are, and connections with them: mutually authenticated, encrypted.
pub trait Links: Send + Sync + 'static {
    /// The id of this node.
    fn node(&self) -> u64;

    /// The other nodes, as they come and go.
    fn peers(&self) -> watch::Receiver<Vec<Peer>>;

    /// Who leads a shard, as others say: the latest term, and its leader.
    fn leader_of(&self, _: ShardId) -> Option<(u64, u64)> {
        None
    }

    /// Whether a node answers.
    fn is_up(&self, _: u64) -> bool {
        true
    }

    /// Changes whenever another node says that it leads a shard, or is reached, or lost.
    fn moves(&self) -> watch::Receiver<u64> {
        watch::channel(0).1
    }

    /// Connects with another node.
    fn connect(&self, peer: u64) -> BoxFuture<'static, io::Result<Stream>>;

    /// The next connection that another node made, and whose; nothing when there will be none.
    fn accept(&self) -> BoxFuture<'_, Option<(u64, Stream)>>;
}

/// Keeps a session with every peer for as long as the gateway runs.
pub(super) async fn keep(
    gateway: &Gateway,
    links: Arc<dyn Links>,
    actor: ActorRef<GatewayMessage>,
) -> Result<(), Refusal> {
    let failed = |error: &dyn std::fmt::Display| Refusal::unavailable(error.to_string());
    // Two nodes of one host and port are taken for one, so each is its own host.
    let name = format!("node-{}", gateway.node());
    let refusing = Some(IncomingEncryptionMode::Tls(refusing().map_err(|error| failed(&error))?));
    let isolated = Some(NodeConnectionMode::Isolated);
    let server = NodeServer::new(0, COOKIE.into(), name.clone(), name, refusing, isolated)
        .with_listen_addr(IpAddr::V4(Ipv4Addr::LOCALHOST))
        .with_max_inbound_frame_size(LONGEST_BATCH);
    let (server, _) = Actor::spawn(None, server, ()).await.map_err(|error| failed(&error))?;
    let subscription = Box::new(Events(actor));
    let subscribe = NodeServerMessage::SubscribeToEvents { id: "gateway".into(), subscription };
    server.cast(subscribe).map_err(|error| failed(&error))?;
    gateway.0.server.set(server.clone()).ok();
    let tasks = [
        ractor::concurrency::spawn(accept(links.clone(), server.clone())).abort_handle(),
        ractor::concurrency::spawn(call_all(gateway.clone(), links, server)).abort_handle(),
    ];
    gateway.0.running.lock().extend(tasks);
    Ok(())
}

/// Hands over what others connect.
async fn accept(links: Arc<dyn Links>, server: ActorRef<NodeServerMessage>) {
    while let Some((peer, stream)) = links.accept().await {
        if hand_over(&server, peer, stream, true).is_err() {
            return;
        }
    }
}

/// Calls every peer of a lower id, now and whenever one is added.
async fn call_all(gateway: Gateway, links: Arc<dyn Links>, server: ActorRef<NodeServerMessage>) {
    let (mut peers, mut called) = (links.peers(), HashSet::new());
    loop {
        let present: HashSet<u64> = peers.borrow_and_update().iter().map(|peer| peer.id).collect();
        called.retain(|peer| present.contains(peer));
        for peer in present.into_iter().filter(|peer| *peer < gateway.node()) {
            if called.insert(peer) {
                let call = call(gateway.clone(), links.clone(), server.clone(), peer);
                let task = ractor::concurrency::spawn(call).abort_handle();
                let mut running = gateway.0.running.lock();
                running.retain(|task| !task.is_finished());
                running.push(task);
            }
        }
        if peers.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps one peer called, until it is no peer any more.
async fn call(
    gateway: Gateway,
    links: Arc<dyn Links>,
    server: ActorRef<NodeServerMessage>,
    peer: u64,
) {
    let is_peer = |peers: &Vec<Peer>| peers.iter().any(|known| known.id == peer);
    let (mut peers, mut changes) = (links.peers(), gateway.changes());
    let mut pause = PAUSES.0;
    while is_peer(&peers.borrow_and_update()) {
        if gateway.reaches(peer) {
            pause = PAUSES.0;
            tokio::select! {
                _ = changes.wait_for(|_| !gateway.reaches(peer)) => {}
                changed = peers.changed() => if changed.is_err() { return },
            }
            continue;
        }
        match timeout(HANDSHAKE, links.connect(peer)).await {
            Ok(Ok(stream)) => {
                if hand_over(&server, peer, stream, false).is_err() {
                    return;
                }
                // What does not become a link in time is tried anew.
                let reached = changes.wait_for(|_| gateway.reaches(peer));
                if timeout(HANDSHAKE, reached).await.is_ok() {
                    continue;
                }
            }
            Ok(Err(error)) => tracing::debug!(peer, %error, "a node cannot be called"),
            Err(_) => tracing::debug!(peer, "a node does not answer"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn hand_over(
    server: &ActorRef<NodeServerMessage>,
    peer: u64,
    stream: Stream,
    is_server: bool,
) -> Result<(), ()> {
    let stream = Box::new(Named { peer, stream });
    let opened = NodeServerMessage::ConnectionOpenedExternal { stream, is_server };
    server.cast(opened).map_err(drop)
}

/// A stream that says whose it is.
struct Named {
    peer: u64,
    stream: Stream,
}

impl ClusterBidiStream for Named {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        let (read, write) = tokio::io::split(self.stream);
        (Box::new(read), Box::new(write))
    }

    fn peer_label(&self) -> Option<String> {
        Some(self.peer.to_string())
    }
}

/// Tells the gateway's actor of sessions that come and go.
struct Events(ActorRef<GatewayMessage>);

impl NodeEventSubscription for Events {
    fn node_session_opened(&self, _: NodeServerSessionInformation) {}

    fn node_session_authenticated(&self, _: NodeServerSessionInformation) {}

    fn node_session_ready(&self, session: NodeServerSessionInformation) {
        let _ = self.0.cast(GatewayMessage::Ready(session));
    }

    fn node_session_disconnected(&self, session: NodeServerSessionInformation) {
        let _ = self.0.cast(GatewayMessage::Ended(session));
    }
}

/// No certificate for anyone.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

fn refusing() -> Result<tokio_rustls::TlsAcceptor, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Nothing));
    Ok(Arc::new(config).into())
}
