//! A link: the way to one peer, from the moment when both sides are ready until it breaks. What is
//! sent is gathered while the last batch is on its way, so that many calls share the cost of one
//! message. What is under way is bounded; what is too much is refused at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::Counter;
use parking_lot::Mutex;
use ractor::{ActorId, ActorRef};
use ractor_cluster::NodeSessionMessage;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::GatewayMessage;
use super::frame::{self, Frame, Kind};
use super::pieces::{Grants, Pieces};

/// Calls to one peer that may be under way.
pub(super) const MOST_CALLS: usize = 2048;

/// Bytes of calls to one peer that may be under way.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Frames that are gathered into batches at a time.
const GATHERED: usize = 256;

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// There is no way to the peer. It has not heard of the call.
    #[error("the node cannot be reached")]
    Unreachable,
    /// Too much is under way. The peer has done nothing.
    #[error("too much is under way to the node")]
    Busy,
    /// The link broke, or time ran out. The peer may have done what it was asked.
    #[error("the answer was lost")]
    Unknown,
}

/// What a peer has answered.
pub struct Replied {
    /// All of it, or its head.
    pub bytes: Bytes,
    /// The rest, where it comes in pieces.
    pub rest: Option<Pieces>,
}

type Answer = Result<Replied, Lost>;

/// The way to a peer.
pub(super) struct Link {
    pub peer: u64,
    session: ActorRef<NodeSessionMessage>,
    outgoing: mpsc::UnboundedSender<Frame>,
    /// Nothing once the link is broken.
    pending: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
    calls: Semaphore,
    bytes: AtomicUsize,
    /// What the peer asks for of bodies that are sent in pieces.
    pub grants: Grants,
    /// Where the pieces of the peer's answers go.
    replies: Mutex<HashMap<u64, mpsc::UnboundedSender<Bytes>>>,
    since: Instant,
    heard_ms: AtomicU64,
    meters: Meters,
}

struct Meters {
    requests: Counter,
    hashes: Counter,
    writes: Counter,
    reads: Counter,
    shed: Counter,
    lost: Counter,
}

impl Meters {
    fn of(name: &str) -> Self {
        let calls = |kind: &'static str| metrics::counter!("janua_gateway_calls_total", "peer" => name.to_owned(), "kind" => kind);
        Self {
            requests: calls("request"),
            hashes: calls("hash"),
            writes: calls("write"),
            reads: calls("read"),
            shed: metrics::counter!("janua_gateway_shed_total", "peer" => name.to_owned()),
            lost: metrics::counter!("janua_gateway_lost_total", "peer" => name.to_owned()),
        }
    }
}

impl Link {
    /// A link over this session, to the gateway actor at its other end; what goes by it begins with
    /// our own id, and the link's number.
    pub fn open(
        (node, number): (u64, u64),
        peer: u64,
        name: &str,
        session: ActorRef<NodeSessionMessage>,
        remote: ActorRef<GatewayMessage>,
    ) -> Arc<Self> {
        let (outgoing, waiting) = mpsc::unbounded_channel();
        ractor::concurrency::spawn(send((node, number), waiting, remote));
        Arc::new(Self {
            peer,
            session,
            outgoing,
            pending: Mutex::new(Some(HashMap::new())),
            calls: Semaphore::new(MOST_CALLS),
            bytes: AtomicUsize::new(0),
            grants: Grants::default(),
            replies: Mutex::default(),
            since: Instant::now(),
            heard_ms: AtomicU64::new(0),
            meters: Meters::of(name),
        })
    }

    /// The session that it runs over.
    pub fn session(&self) -> ActorId {
        self.session.get_id()
    }

    /// Calls the peer and waits for its answer, no longer than `within`.
    pub async fn call(
        &self,
        (kind, call): (Kind, u64),
        head: Bytes,
        body: Bytes,
        within: Duration,
    ) -> Answer {
        let within_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        let frame = Frame { kind, call, within_ms, head, body };
        let _inside = self.admit(frame.len()).inspect_err(|_| self.meters.shed.increment(1))?;
        self.meters.count(kind);
        let answered = self.expect(call)?;
        let _expected = Expected { link: self, call };
        self.outgoing.send(frame).map_err(|_| Lost::Unreachable)?;
        match timeout(within, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => {
                self.meters.lost.increment(1);
                Err(Lost::Unknown)
            }
        }
    }

    fn admit(&self, length: usize) -> Result<Inside<'_>, Lost> {
        let permit = self.calls.try_acquire().map_err(|_| Lost::Busy)?;
        let inside = Inside { link: self, length, _permit: permit };
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        // One that is alone may be as long as it likes.
        if before > 0 && before + length > MOST_BYTES { Err(Lost::Busy) } else { Ok(inside) }
    }

    fn expect(&self, call: u64) -> Result<oneshot::Receiver<Answer>, Lost> {
        let (sender, answered) = oneshot::channel();
        let mut pending = self.pending.lock();
        pending.as_mut().ok_or(Lost::Unreachable)?.insert(call, sender);
        Ok(answered)
    }

    /// Hands an answer to whoever waits for it.
    pub fn answered(&self, call: u64, answer: Answer) {
        let waiting = self.pending.lock().as_mut().and_then(|pending| pending.remove(&call));
        if let Some(waiting) = waiting {
            // Whoever asked may have gone.
            let _ = waiting.send(answer);
        }
    }

    /// Where the rest of an answer will arrive.
    pub fn begins_reply(&self, call: u64) -> mpsc::UnboundedReceiver<Bytes> {
        let (sender, arriving) = mpsc::unbounded_channel();
        self.replies.lock().insert(call, sender);
        arriving
    }

    /// A piece of an answer, to whoever reads it; as many as that one has asked for.
    pub fn goes_on(&self, call: u64, piece: Bytes) {
        if let Some(reply) = self.replies.lock().get(&call) {
            // Whoever reads no more has said so.
            let _ = reply.send(piece);
        }
    }

    /// Nobody reads the rest of an answer any longer.
    pub fn reads_no_more(&self, call: u64) {
        if self.replies.lock().remove(&call).is_some() {
            self.send(Frame::bare(Kind::Cancel, call));
        }
    }

    /// Sends what is no call.
    pub fn send(&self, frame: Frame) {
        // A link that has broken loses what is sent.
        let _ = self.outgoing.send(frame);
    }

    /// Notes that the peer lives.
    pub fn hears(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard_ms.store(now, Ordering::Relaxed);
    }

    /// For how long nothing was heard of the peer.
    pub fn silent_for(&self) -> Duration {
        let heard = Duration::from_millis(self.heard_ms.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(heard)
    }

    /// Ends the session; it will be missed, and made anew.
    pub fn hang_up(&self) {
        self.session.stop(Some("silent".into()));
    }

    /// The link has broken: nobody waits any longer for what was under way.
    pub fn end(&self) {
        self.pending.lock().take();
        self.replies.lock().clear();
    }
}

impl Meters {
    fn count(&self, kind: Kind) {
        match kind {
            Kind::Request | Kind::Stream => self.requests.increment(1),
            Kind::Hash => self.hashes.increment(1),
            Kind::Write => self.writes.increment(1),
            Kind::Read => self.reads.increment(1),
            _ => {}
        }
    }
}

/// One call's share of what may be under way.
struct Inside<'a> {
    link: &'a Link,
    length: usize,
    _permit: tokio::sync::SemaphorePermit<'a>,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.link.bytes.fetch_sub(self.length, Ordering::Relaxed);
    }
}

/// Somebody waits for an answer; no longer, once this is dropped.
struct Expected<'a> {
    link: &'a Link,
    call: u64,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let waits = |pending: &mut HashMap<_, _>| pending.remove(&self.call).is_some();
        if self.link.pending.lock().as_mut().is_some_and(waits) {
            self.link.send(Frame::bare(Kind::Cancel, self.call));
        }
    }
}

/// Sends what waits, in batches, until the link or the peer's gateway is gone.
async fn send(
    (node, number): (u64, u64),
    mut waiting: mpsc::UnboundedReceiver<Frame>,
    remote: ActorRef<GatewayMessage>,
) {
    let mut gathered = Vec::with_capacity(GATHERED);
    while waiting.recv_many(&mut gathered, GATHERED).await > 0 {
        // Tasks that are ready to run may have something to send as well.
        tokio::task::yield_now().await;
        while gathered.len() < GATHERED
            && let Ok(frame) = waiting.try_recv()
        {
            gathered.push(frame);
        }
        let mut gone = false;
        let mut cast = |batch: &mut Vec<u8>| {
            let batch = std::mem::replace(batch, frame::begin(node, number));
            gone |= remote.cast(GatewayMessage::Frames(batch)).is_err();
        };
        let mut batch = frame::begin(node, number);
        for frame in gathered.drain(..) {
            frame.append(&mut batch, &mut cast);
        }
        cast(&mut batch);
        if gone {
            return;
        }
    }
}
