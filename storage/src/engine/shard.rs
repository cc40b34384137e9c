//! A shard: one Raft group, the log and the tree below it, and what the actors call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, Fatal};
use openraft::impls::ProgressResponder;
use openraft::metrics::RaftServerMetrics;
use openraft::{RaftMetrics, ServerState};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::error::Unavailable;
use super::let_go::LetGo;
use super::members::LOST;
use super::pulse::Pulse;
use super::raft::machine::Core;
use super::raft::{Proposed, Raft, Types};
use super::tree::Tree;
use super::{Observer, lease};
use crate::command::{Outcome, Proposal};
use crate::fault::Fault;
use crate::ids::ShardId;
use crate::records::{Records, Visit};
use crate::version::Speech;

/// How often a proposal that waits looks whether it waits in vain.
const GLANCE: Duration = Duration::from_millis(250);

/// Who leads a shard, as this node knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The present term.
    pub term: u64,
    /// The leader of that term, if one is known.
    pub leader: Option<u64>,
    /// Whether this node is the leader and has applied all that came before its term.
    pub leads: bool,
    /// The shard has stopped for good on this node; `health` says why.
    pub stopped: bool,
}

/// A Raft instance that runs.
pub(super) struct Running {
    pub raft: Raft,
    pub metrics: WatchReceiverOf<Types, RaftMetrics<Types>>,
    /// How it stands, which changes seldom and is told before the rest.
    pub standing: WatchReceiverOf<Types, RaftServerMetrics<Types>>,
    over: CancellationToken,
}

impl Running {
    pub fn new(raft: Raft) -> Self {
        let (metrics, standing) = (raft.metrics(), raft.server_metrics());
        Self { raft, metrics, standing, over: CancellationToken::new() }
    }

    /// No answer of this instance is waited for any more.
    pub fn end(&self) {
        self.over.cancel();
    }
}

/// What a shard is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Serving,
    Rebuilding(String),
    LettingGo,
    Stopped(String),
}

/// Where a read waits that has no lease.
pub(super) type Confirmation = oneshot::Sender<Result<(), Unavailable>>;

/// One shard of this node.
pub struct Shard {
    pub(super) core: Arc<Core>,
    pub(super) running: RwLock<Option<Arc<Running>>>,
    pub(super) phase: Mutex<Phase>,
    pub(super) leadership: watch::Sender<Leadership>,
    pub(super) confirmations: mpsc::Sender<Confirmation>,
    pub(super) snapshot_wanted: Arc<Notify>,
    pub(super) stop: Notify,
    /// When its leader was last heard.
    pub(super) pulse: Pulse,
    /// Told when it leads or follows, or its members are not as they were.
    pub(super) changed: Arc<Notify>,
    /// The term in which this node has given up its lease, to hand over leadership.
    pub(super) handed_over: AtomicU64,
    /// Whether the shard has its place on this node, as the cluster's records say.
    pub(super) placed_here: AtomicBool,
    /// When another node last said that it leads the shard, in milliseconds of the pulse; 0 if never.
    pub(super) claimed_ms: AtomicU64,
    /// Where it is asked to let go of what it holds.
    pub(super) letting_go: mpsc::Sender<LetGo>,
    /// What may be proposed.
    pub(super) speech: Arc<Speech>,
}

impl Shard {
    /// Which one.
    pub fn id(&self) -> ShardId {
        self.core.shard
    }

    /// Proposes a command, and returns what it came to once it is durable on a quorum and applied
    /// here. After `Unavailable` the outcome is unknown, and the same operation id must be used to
    /// ask again, unless the cause is that this node does not lead, or that not every node understands
    /// the command: then nothing was proposed.
    ///
    /// Decision: the answer comes by a channel of ours, and the end of the instance is watched for.
    /// What reaches openraft's queue in the moment in which its core ends is neither answered nor
    /// dropped, and its own way of waiting for that end must not be given up half-way.
    pub async fn write(&self, mut proposal: Proposal) -> Result<Outcome, Unavailable> {
        proposal.command = self.speech.worded(proposal.command);
        self.speech.permits(&proposal.command)?;
        let running = self.serving()?;
        let (responder, answered) = ProgressResponder::complete_only();
        let sent = running.raft.client_write_ff(Proposed(proposal), Some(responder)).await;
        sent.map_err(|fatal| self.write_failure(&fatal))?;
        let answer = tokio::select! {
            biased;
            answer = answered => answer.map_err(|_| self.why())?,
            () = running.over.cancelled() => return Err(self.why()),
            () = self.deposed(&running) => {
                return Err(Unavailable::new("the quorum was lost before it had taken the proposal"));
            }
        };
        let answer = answer.map_err(|error| refused(&error))?;
        self.check_poison()?;
        answer.data.ok_or_else(|| Unavailable::new("a proposal was answered by nothing"))
    }

    /// The records, as of a moment after this call: under the lease at once, otherwise after a
    /// quorum has confirmed that this node still leads. A node that does not lead says so at once.
    ///
    /// Invariant: the tree was fetched before leadership is asked for, and is not marked afterwards.
    /// So it is the one that the leader had caught up with, and none that is still being filled.
    pub async fn read(&self) -> Result<View, Unavailable> {
        let tree = self.core.tree().map_err(|_| self.why())?;
        {
            let running = self.serving()?;
            let metrics = running.metrics.borrow_watched();
            // Whoever has handed over may be followed by another leader at any moment.
            let kept = metrics.current_term != self.handed_over.load(Ordering::SeqCst);
            if kept && lease::holds(&metrics) {
                return view(tree);
            }
            if metrics.state != ServerState::Leader {
                return Err(Unavailable::not_leader(metrics.current_leader));
            }
        }
        let (sender, confirmed) = oneshot::channel();
        let queued = self.confirmations.try_send(sender);
        queued.map_err(|_| Unavailable::new("too many reads wait for a quorum"))?;
        confirmed.await.unwrap_or_else(|_| Err(self.why()))?;
        self.check_poison()?;
        view(tree)
    }

    /// The records that this node's replica has: possibly older than what others have been told,
    /// and for a node that holds no replica, none at all.
    pub fn follow(&self) -> Result<View, Unavailable> {
        self.check_poison()?;
        view(self.core.tree().map_err(|_| self.why())?)
    }

    /// Returns once this node does not lead any more, or has had no quorum for long: what waits then
    /// may come to be, but nobody here will hear of it soon.
    async fn deposed(&self, running: &Running) {
        loop {
            sleep(GLANCE).await;
            let metrics = running.metrics.borrow_watched();
            if metrics.state != ServerState::Leader || !lease::within(&metrics, LOST) {
                return;
            }
        }
    }

    /// Whether this node leads the shard and has caught up.
    pub fn is_leader(&self) -> bool {
        self.leadership.borrow().leads
    }

    /// Term and leader, as long as this node hears of the leader or is it. A replica that hears nothing,
    /// or is none, knows nothing.
    pub fn heard_leader(&self) -> Option<(u64, u64)> {
        let known = self.leadership.borrow();
        let current = known.leads || self.is_member() && self.pulse.silent_for() <= LOST;
        known.leader.filter(|_| current).map(|leader| (known.term, leader))
    }

    /// Another node says that it leads the shard in this term.
    pub(super) fn is_claimed(&self, term: u64) {
        if term >= self.leadership.borrow().term {
            let now = u64::try_from(self.pulse.now().as_millis()).unwrap_or(u64::MAX);
            self.claimed_ms.store(now.max(1), Ordering::Relaxed);
        }
    }

    /// Whether another node has said so just now.
    fn is_led_elsewhere(&self) -> bool {
        let claimed = self.claimed_ms.load(Ordering::Relaxed);
        claimed > 0 && self.pulse.now().saturating_sub(Duration::from_millis(claimed)) <= LOST
    }

    /// Whether the shard has its place on this node, as the cluster's records say.
    pub fn belongs_here(&self, placed: bool) {
        self.placed_here.store(placed, Ordering::Relaxed);
    }

    /// Whether this node does without the shard: it has its place elsewhere, or is led elsewhere by a
    /// leader that sends nothing here, having let this node go.
    pub(super) fn is_not_needed(&self) -> bool {
        !self.placed_here.load(Ordering::Relaxed) || self.is_led_elsewhere()
    }

    /// Follows who leads the shard.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    /// Calls `observer` with the effects of each batch after it is in place and before any caller
    /// hears the reply. It must not block.
    pub fn observe(&self, observer: Observer) {
        self.core.observers.write().push(observer);
    }

    /// Asks for a snapshot, and returns at once.
    pub fn snapshot(&self) {
        self.snapshot_wanted.notify_one();
    }

    /// Why the shard does not serve, if it does not.
    pub(super) fn problem(&self) -> Option<String> {
        let shard = self.id();
        match &*self.phase.lock() {
            Phase::Starting => Some(format!("shard {shard} is starting")),
            Phase::Rebuilding(reason) => Some(format!("shard {shard} is being rebuilt: {reason}")),
            Phase::Stopped(reason) => Some(reason.clone()),
            Phase::LettingGo => None,
            Phase::Serving => self.quorum_problem(),
        }
    }

    fn serving(&self) -> Result<Arc<Running>, Unavailable> {
        self.check_poison()?;
        self.running().ok_or_else(|| self.why())
    }

    /// The Raft instance, if one runs.
    pub(super) fn running(&self) -> Option<Arc<Running>> {
        self.running.read().clone()
    }

    fn check_poison(&self) -> Result<(), Unavailable> {
        self.core.poison.reason().map_or(Ok(()), |reason| Err(Unavailable::new(reason)))
    }

    fn why(&self) -> Unavailable {
        if *self.phase.lock() == Phase::LettingGo {
            return Unavailable::not_leader(None);
        }
        let poison = self.core.poison.reason().map(str::to_owned);
        let reason = poison.or_else(|| self.problem());
        Unavailable::new(reason.unwrap_or_else(|| format!("shard {} is closed", self.id())))
    }

    fn write_failure(&self, fatal: &Fatal<Types>) -> Unavailable {
        match self.core.poison.reason() {
            Some(reason) => Unavailable::new(reason),
            None => Unavailable::new(self.problem().unwrap_or_else(|| fatal.to_string())),
        }
    }

    /// Lets a snapshot under way end early.
    pub(super) fn begin_close(&self) {
        self.core.closing.store(true, Ordering::SeqCst);
        self.stop.notify_one();
    }
}

/// Decision: an entry that a later leader has overwritten here may still be on a third node, and
/// come back with it; so only what was refused before it was proposed is certain not to be made.
fn refused(error: &ClientWriteError<Types>) -> Unavailable {
    match error {
        ClientWriteError::ForwardToLeader(to) => Unavailable::not_leader(to.leader_id),
        error => Unavailable::new(error.to_string()),
    }
}

fn view(tree: Arc<Tree>) -> Result<View, Unavailable> {
    match tree.damage() {
        Some(damage) => Err(Unavailable::new(damage)),
        None => Ok(View(tree)),
    }
}

/// The records of a shard: as of a moment when this node led it, or as far as it follows.
#[derive(Clone)]
pub struct View(Arc<Tree>);

impl Records for View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.0.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), Fault> {
        self.0.scan(prefix, after, visit)
    }
}
