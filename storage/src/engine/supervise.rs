//! One task a shard: starts its Raft instance, publishes who leads, triggers snapshots, and starts
//! the instance anew on a rebuilt tree when damage is met.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::raft::linearizable_read::LinearizerOption;
use openraft::{BasicNode, Config, RaftMetrics, ServerState};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::error::{OpenError, Unavailable};
use super::let_go::{self, LetGo};
use super::link::Link;
use super::raft::machine::Machine;
use super::raft::network::Network;
use super::raft::{Raft, Types};
use super::restore::{self, Tries, Trouble};
use super::shard::{Confirmation, Leadership, Phase, Running, Shard};
use crate::fault::Fault;

/// How long a read may wait for a quorum.
const READ_DEADLINE: Duration = Duration::from_secs(1);
/// How long an instance that was just started may take to answer.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Reads that may wait for a quorum.
pub const WAITING_READS: usize = 4_096;

/// What a Raft instance is started with.
#[derive(Clone)]
pub struct Start {
    /// Raft's id of this node.
    pub node: u64,
    /// Its configuration.
    pub config: Arc<Config>,
    /// The way to the other nodes, if there is one.
    pub link: Option<Arc<Link>>,
    /// Whether a shard without members gets this node as its first.
    pub founds: bool,
}

impl Start {
    /// Starts the Raft instance of a shard that is restored; if that fails, on a fresh tree, or in
    /// a fresh database. A shard without members gets this node as its only one.
    pub async fn raft(&self, shard: &Shard, mut tries: Tries) -> Result<(), OpenError> {
        loop {
            match self.attempt(shard).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::State(fault)) => tries.renew(&shard.core, &fault)?,
            }
            restore::prepare(&shard.core, &mut tries)?;
        }
    }

    /// A voter that is alone in its group has promised nobody and stands at once. One that has
    /// peers must first abstain for `ELECTION_MAX`, since a lease it granted may still run.
    async fn attempt(&self, shard: &Shard) -> Result<(), Trouble> {
        let core = &shard.core;
        // One that was asked for of an earlier instance may never have been begun.
        core.snapshot_pending.store(false, Ordering::SeqCst);
        let (log, machine) = (core.log.clone(), Machine::new(core.clone(), self.link.clone())?);
        let network = Network { shard: shard.id(), link: self.link.clone() };
        shard.pulse.started();
        let raft = match Raft::new(self.node, self.config.clone(), network, log, machine).await {
            Ok(raft) => raft,
            Err(error) => return Err(self.why(shard, &error)),
        };
        let stood = timeout(START_DEADLINE, self.stand(shard, &raft)).await;
        let stood = stood.unwrap_or_else(|_| Err("Raft does not answer".into()));
        if let Err(problem) = stood {
            // It ends, one way or the other.
            drop(raft.shutdown().await);
            return Err(self.why(shard, &problem));
        }
        let snapshot = core.snapshots.current(shard.id()).ok().flatten();
        let bytes = snapshot.map_or(0, |snapshot| snapshot.bytes());
        core.snapshot_bytes.store(bytes, Ordering::Relaxed);
        *shard.running.write() = Some(Arc::new(Running::new(raft)));
        *shard.phase.lock() = Phase::Serving;
        Ok(())
    }

    async fn stand(&self, shard: &Shard, raft: &Raft) -> Result<(), String> {
        let initialized = raft.is_initialized().await.map_err(|error| error.to_string())?;
        if initialized {
            let node = self.node;
            let alone = raft.with_raft_state(move |state| {
                state.membership_state.effective().voter_ids().eq([node])
            });
            let alone = alone.await.map_err(|error| error.to_string())?;
            if alone && !shard.core.log.lacks_what_it_held() {
                raft.trigger().elect(false).await.map_err(|error| error.to_string())?;
            }
        } else if self.founds {
            let members = BTreeMap::from([(self.node, BasicNode::default())]);
            raft.initialize(members).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn why(&self, shard: &Shard, problem: &dyn std::fmt::Display) -> Trouble {
        let tree = shard.core.tree();
        match tree.as_ref().ok().and_then(|tree| tree.damage()) {
            Some(damage) => Trouble::State(Fault::Damaged(damage.into())),
            None => Trouble::Final(restore::failed(&shard.core, problem)),
        }
    }
}

enum Happened {
    Metrics,
    Damage,
    SnapshotWanted,
    LetGo(LetGo),
    Stop,
}

/// Runs until the shard is stopped.
pub async fn supervise(shard: Arc<Shard>, start: Start, mut asked: mpsc::Receiver<LetGo>) {
    let stopped = Leadership { stopped: true, ..Leadership::default() };
    while let Some(running) = shard.running() {
        match follow(&shard, &running, &mut asked).await {
            Ended::Stop => break,
            Ended::LetGo(asked) => let_go::give_up(&shard, &start, &running, asked).await,
            Ended::Damaged(damage) => rebuild(&shard, &start, &running, damage).await,
            Ended::Fatal(reason) => {
                let reason = shard.core.stopped.lock().clone().unwrap_or(reason);
                *shard.phase.lock() = Phase::Stopped(reason);
                shard.running.write().take();
                // What works for the leader ends now: the instance may wait for the disk for long.
                publish(&shard, &stopped);
                // One that still runs would go on to lead.
                drop(running.raft.shutdown().await);
                running.end();
            }
        }
    }
    publish(&shard, &stopped);
}

enum Ended {
    Stop,
    LetGo(LetGo),
    Damaged(String),
    Fatal(String),
}

/// Everything that openraft does shows in its metrics, also each heartbeat; how it stands, which is
/// all that matters here, changes seldom.
async fn follow(shard: &Shard, running: &Running, asked: &mut mpsc::Receiver<LetGo>) -> Ended {
    let (mut standing, mut metrics) = (running.standing.clone(), running.metrics.clone());
    let mut stood = None;
    loop {
        let Ok(tree) = shard.core.tree() else { return Ended::Stop };
        let catches_up = {
            let now = standing.borrow_and_update();
            let leadership = leadership(&now, &metrics.borrow_and_update());
            publish(shard, &leadership);
            let place = (now.state, leadership.term, *now.membership_config.log_id());
            if stood != Some(place) {
                stood = Some(place);
                shard.changed.notify_one();
            }
            now.state == ServerState::Leader && !leadership.leads
        };
        if let Some(damage) = tree.damage() {
            match shard.core.tree() {
                Ok(present) if Arc::ptr_eq(&present, &tree) => {
                    return Ended::Damaged(damage.into());
                }
                // A snapshot that was installed has replaced it, and all that was wrong with it.
                Ok(_) => continue,
                Err(_) => return Ended::Stop,
            }
        }
        let happened = tokio::select! {
            biased;
            // First: an instance that met damage while it applied has ended as well.
            () = tree.damaged() => Happened::Damage,
            // A node that acknowledges nothing any more leads nothing, also where nothing is written.
            () = shard.core.poison.stopped() => {
                let reason = shard.core.poison.reason().unwrap_or("storage has stopped");
                return Ended::Fatal(reason.into());
            }
            changed = standing.changed() => match changed {
                Ok(()) => Happened::Metrics,
                Err(_) => return Ended::Fatal(why_it_ended(&metrics.borrow_and_update())),
            },
            // It ends with the other one.
            Ok(()) = metrics.changed(), if catches_up => Happened::Metrics,
            () = shard.snapshot_wanted.notified() => Happened::SnapshotWanted,
            // The sender lives in the shard.
            Some(asked) = asked.recv() => Happened::LetGo(asked),
            () = shard.stop.notified() => Happened::Stop,
        };
        match happened {
            Happened::Metrics | Happened::Damage => {}
            // Refused only by an instance that has stopped, which the metrics tell as well.
            Happened::SnapshotWanted => drop(running.raft.trigger().snapshot().await),
            Happened::LetGo(asked) => return Ended::LetGo(asked),
            Happened::Stop => return Ended::Stop,
        }
    }
}

/// Throws the tree away and starts Raft anew on one that snapshot and log fill again.
async fn rebuild(shard: &Arc<Shard>, start: &Start, running: &Running, damage: String) {
    tracing::warn!(shard = shard.id().0, %damage, "a shard is being rebuilt");
    metrics::counter!("janua_storage_rebuilds_total").increment(1);
    *shard.phase.lock() = Phase::Rebuilding(damage);
    publish(shard, &Leadership::default());
    shard.running.write().take();
    // It ends, one way or the other; a panic in it has been reported by itself.
    drop(running.raft.shutdown().await);
    running.end();
    if shard.core.closing.load(Ordering::SeqCst) {
        return;
    }
    if let Err(reason) = restart(shard, start).await {
        tracing::error!(shard = shard.id().0, reason, "a shard could not be rebuilt");
        *shard.phase.lock() = Phase::Stopped(reason);
    }
}

/// Invariant: a Raft instance acknowledges what the log has when it starts. What the one before it has
/// appended is readable, but may not be durable yet.
pub(super) async fn restart(shard: &Shard, start: &Start) -> Result<(), String> {
    let core = &shard.core;
    core.log.settle().await.map_err(|error| error.to_string())?;
    core.exchange(core.fresh_tree().map_err(|fault| fault.to_string())?);
    let mut tries = Tries::default();
    restore::prepare(core, &mut tries).map_err(|error| error.to_string())?;
    start.raft(shard, tries).await.map_err(|error| error.to_string())
}

fn why_it_ended(metrics: &RaftMetrics<Types>) -> String {
    let fatal = metrics.running_state.as_ref().err();
    fatal.map_or("Raft has ended".into(), ToString::to_string)
}

fn leadership(standing: &RaftServerMetrics<Types>, metrics: &RaftMetrics<Types>) -> Leadership {
    let (term, leader) = (standing.vote.leader_id.term, standing.current_leader);
    let applied = metrics.last_applied.map(|applied| applied.leader_id.term);
    let leads = standing.state == ServerState::Leader && applied == Some(term);
    Leadership { term, leader, leads, stopped: false }
}

pub(super) fn publish(shard: &Shard, now: &Leadership) {
    shard.leadership.send_if_modified(|before| {
        let changed = before != now;
        before.clone_from(now);
        changed
    });
}

/// Confirms leadership for reads whose lease was stale: one round for all that wait when it
/// starts, so that no read rides on a round that began before it.
pub async fn confirm_reads(shard: Arc<Shard>, mut waiting: mpsc::Receiver<Confirmation>) {
    let mut round = Vec::new();
    while waiting.recv_many(&mut round, WAITING_READS).await > 0 {
        let confirmed = confirm(&shard).await;
        for read in round.drain(..) {
            // Whoever asked may have gone.
            drop(read.send(confirmed.clone()));
        }
    }
}

async fn confirm(shard: &Shard) -> Result<(), Unavailable> {
    let running = shard.running().ok_or_else(|| Unavailable::new("the shard does not run"))?;
    // A zero age asks for an answer to a message that was sent after the read came: ReadIndex.
    let option = LinearizerOption::new(Some(Duration::ZERO), true).with_wait_timeout(READ_DEADLINE);
    match timeout(READ_DEADLINE, running.raft.ensure_linearizable(option)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(match error.forward_to_leader() {
            Some(to) => Unavailable::not_leader(to.leader_id),
            None => Unavailable::new(error.to_string()),
        }),
        Err(_) => Err(Unavailable::new("no quorum has confirmed the leader in time")),
    }
}
