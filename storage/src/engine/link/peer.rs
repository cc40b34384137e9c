//! One other node, as this one reaches it: a connection that carries the Raft traffic of all
//! shards, kept up with back-off, with requests in flight on it up to a limit.
//!
//! Invariant: a request is answered, or fails, once. When the connection ends, all that is under
//! way on it fails at once.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::identity::Channel;
use super::wire::{self, Answer, Incoming, Outgoing, Read, Reader, Request};
use super::{Link, Refused};
use crate::ids::ShardId;
use crate::version::TooOld;

/// Requests that may wait to be written to one peer.
const WAITING: usize = 1024;
/// Requests that may wait for an answer of one peer.
const IN_FLIGHT: usize = 4096;
/// How often a peer is asked whether it still answers.
const PING: Duration = Duration::from_millis(150);
/// A peer that has said nothing for so long is taken for dead, though its connection stands.
const SILENCE: Duration = Duration::from_millis(800);
/// Between attempts to connect: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(150));
/// After being refused, which does not pass by itself soon.
const REFUSED_BACKOFF: Duration = Duration::from_secs(2);

/// Why there is no answer. Whether the request had its effect is unknown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Lost {
    /// There is no connection, or it ended.
    #[error("node {0} is not reached")]
    Unreached(u64),
    /// More is under way than may be.
    #[error("too much is under way to node {0}")]
    Busy(u64),
    /// The peer could not answer.
    #[error("node {0} says: {1}")]
    Failed(u64, String),
    /// It took too long.
    #[error("node {0} has not answered in time")]
    Late(u64),
}

struct Asked {
    shard: ShardId,
    request: Request,
    answer: oneshot::Sender<Result<Answer, Lost>>,
}

/// The way to one node.
pub struct Peer {
    node: u64,
    asked: mpsc::Sender<Asked>,
    up: watch::Sender<bool>,
    /// When the connection last ended.
    lost: Mutex<Option<Instant>>,
    /// One snapshot at a time: a node that takes none must not keep the others from theirs.
    pub(super) snapshot: Semaphore,
    ended: CancellationToken,
}

/// In the order in which they were asked, which is that in which they fail together.
type Pending = Mutex<BTreeMap<u64, oneshot::Sender<Result<Answer, Lost>>>>;

impl Peer {
    /// Starts to keep up the connection to a node.
    pub fn start(link: &Arc<Link>, node: u64) -> Arc<Self> {
        let (asked, waiting) = mpsc::channel(WAITING);
        let peer = Arc::new(Self {
            node,
            asked,
            up: watch::Sender::new(false),
            lost: Mutex::default(),
            snapshot: Semaphore::new(1),
            ended: link.closing.child_token(),
        });
        let keeper = Keeper { link: link.clone(), peer: peer.clone(), refused: None };
        link.runtime.spawn(keeper.run(waiting));
        peer
    }

    /// Which node it is.
    pub fn node(&self) -> u64 {
        self.node
    }

    /// Whether the connection stands.
    pub fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// Waits until the connection stands, and says whether it does.
    pub async fn up_within(&self, time: Duration) -> bool {
        let mut up = self.up.subscribe();
        matches!(timeout(time, up.wait_for(|up| *up)).await, Ok(Ok(_)))
    }

    /// Waits until the connection is gone.
    pub async fn down(&self) {
        let mut up = self.up.subscribe();
        // The sender lives in the peer.
        drop(up.wait_for(|up| !*up).await);
    }

    /// Follows whether it stands.
    #[cfg(test)]
    pub fn follow(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// Whether the connection has ended since then.
    pub fn was_lost_since(&self, then: Instant) -> bool {
        self.lost.lock().is_some_and(|lost| lost > then)
    }

    /// Ends the connection for good.
    pub fn end(&self) {
        self.ended.cancel();
    }

    /// Puts a request on its way, in the order of the calls. The answer comes by the channel.
    pub fn ask(
        &self,
        shard: ShardId,
        request: Request,
    ) -> Result<oneshot::Receiver<Result<Answer, Lost>>, Lost> {
        if !self.is_up() {
            return Err(Lost::Unreached(self.node));
        }
        let (answer, answered) = oneshot::channel();
        let asked = Asked { shard, request, answer };
        self.asked.try_send(asked).map_err(|_| Lost::Busy(self.node))?;
        Ok(answered)
    }

    /// Waits for the answer to a request.
    pub async fn answer(
        &self,
        answered: oneshot::Receiver<Result<Answer, Lost>>,
        deadline: Duration,
    ) -> Result<Answer, Lost> {
        match timeout(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Lost::Unreached(self.node)),
            Err(_) => Err(Lost::Late(self.node)),
        }
    }
}

struct Keeper {
    link: Arc<Link>,
    peer: Arc<Peer>,
    /// What was last said of a refusal, so that it is said once.
    refused: Option<String>,
}

impl Keeper {
    async fn run(mut self, mut waiting: mpsc::Receiver<Asked>) {
        let mut backoff = BACKOFF.0;
        loop {
            let connected = tokio::select! {
                biased;
                connected = self.link.connect(self.peer.node, Channel::Raft) => connected,
                () = self.peer.ended.cancelled() => return self.set_up(false),
            };
            match connected {
                Ok(stream) => {
                    backoff = BACKOFF.0;
                    self.refused = None;
                    self.set_up(true);
                    let ended = tokio::select! {
                        biased;
                        ended = self.serve(stream, &mut waiting) => ended,
                        too_old = self.link.outgrows(self.peer.node) => io::Error::other(too_old),
                        () = self.peer.ended.cancelled() => return self.set_up(false),
                    };
                    self.set_up(false);
                    tracing::warn!(node = self.peer.node, problem = %ended, "lost a node");
                }
                Err(error) => backoff = self.note(&error).unwrap_or(backoff),
            }
            // Whatever came too late for the connection fails now.
            while waiting.try_recv().is_ok() {}
            tokio::select! {
                biased;
                () = sleep(backoff) => {}
                () = self.link.met(self.peer.node) => backoff = BACKOFF.0,
                () = self.peer.ended.cancelled() => return self.set_up(false),
            }
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// A refusal is for the operator; that a node is away is told when it goes.
    fn note(&mut self, error: &io::Error) -> Option<Duration> {
        let inner = error.get_ref()?;
        let (refuses, reason) = (inner.is::<Refused>(), inner.to_string());
        if !refuses && !inner.is::<TooOld>() {
            return None;
        }
        if self.refused.as_ref() != Some(&reason) {
            match refuses {
                true => tracing::error!(node = self.peer.node, reason, "a node refuses this one"),
                false => tracing::warn!(node = self.peer.node, reason, "a node is too old"),
            }
            self.refused = Some(reason);
        }
        Some(REFUSED_BACKOFF / 2)
    }

    fn set_up(&self, up: bool) {
        if self.peer.up.send_replace(up) && !up {
            *self.peer.lost.lock() = Some(Instant::now());
        }
        self.link.changed();
        if up {
            tracing::info!(node = self.peer.node, "connected to a node");
        }
    }

    /// Why it ended.
    async fn serve(&self, stream: super::Stream, waiting: &mut mpsc::Receiver<Asked>) -> io::Error {
        let (from, to) = tokio::io::split(stream);
        let pending = Pending::default();
        let heard = Heard::new();
        let reading = read(from, &pending, &heard, self.peer.node);
        let writing = self.write(to, waiting, &pending, &heard);
        tokio::select! {
            biased;
            Err(error) = writing => error,
            Err(error) = reading => error,
            else => io::ErrorKind::UnexpectedEof.into(),
        }
    }

    async fn write(
        &self,
        mut to: impl AsyncWrite + Unpin,
        waiting: &mut mpsc::Receiver<Asked>,
        pending: &Pending,
        heard: &Heard,
    ) -> io::Result<()> {
        let mut ping = interval(PING);
        let (mut buffer, mut round, mut next_id) = (BytesMut::new(), Vec::new(), 0);
        loop {
            tokio::select! {
                biased;
                _ = ping.tick() => {
                    if heard.silent_for() > SILENCE {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    wire::put(&mut buffer, &self.link.ping())?;
                }
                count = waiting.recv_many(&mut round, WAITING) => {
                    if count == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    // The shards that beat at the same moment ride together.
                    tokio::task::yield_now().await;
                    while let Ok(more) = waiting.try_recv() {
                        round.push(more);
                    }
                }
            }
            for Asked { shard, request, answer } in round.drain(..) {
                if answer.is_closed() {
                    continue;
                }
                let id = next_id;
                next_id += 1;
                {
                    let mut pending = pending.lock();
                    if pending.len() >= IN_FLIGHT {
                        pending.retain(|_, waits| !waits.is_closed());
                    }
                    if pending.len() >= IN_FLIGHT {
                        drop(answer.send(Err(Lost::Busy(self.peer.node))));
                        continue;
                    }
                    pending.insert(id, answer);
                }
                wire::put(&mut buffer, &Outgoing::Request { id, shard: shard.0, request })?;
            }
            to.write_all(&buffer).await?;
            to.flush().await?;
            buffer.clear();
        }
    }
}

async fn read(
    from: impl AsyncRead + Unpin,
    pending: &Pending,
    heard: &Heard,
    node: u64,
) -> io::Result<()> {
    let mut reader = Reader::new(from, wire::LARGEST);
    loop {
        let message: Read<Incoming> = reader.next().await?;
        heard.now();
        let (id, answer) = match message {
            Read::Understood(Incoming::Answer { id, answer }) => (id, answer),
            Read::Unknown(Some(id)) => (id, Err("an answer that is not understood".into())),
            Read::Understood(Incoming::Pong) | Read::Unknown(None) => continue,
        };
        if let Some(asked) = pending.lock().remove(&id) {
            // Whoever asked may have given up.
            drop(asked.send(answer.map_err(|problem| Lost::Failed(node, problem))));
        }
    }
}

/// When the peer was last heard.
struct Heard {
    start: Instant,
    at_ms: AtomicU64,
}

impl Heard {
    fn new() -> Self {
        Self { start: Instant::now(), at_ms: AtomicU64::new(0) }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn now(&self) {
        self.at_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms().saturating_sub(self.at_ms.load(Ordering::Relaxed)))
    }
}
