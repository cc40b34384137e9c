//! The members of a shard's group: who they are, how far they have come, and how they change. Only
//! the leader knows and decides; what it should decide comes from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::async_runtime::Instant as _;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers, RaftMetrics, ServerState, TokioInstant};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::error::Unavailable;
use super::lease;
use super::raft::Types;
use super::shard::{Running, Shard};

/// How long a change of members may take.
const CHANGE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a new leader may take to show.
const HAND_OVER_DEADLINE: Duration = Duration::from_secs(1);
/// A follower that has answered within this time runs.
const HEARD: Duration = Duration::from_millis(500);
/// A leader that a quorum has not answered for so long, or that was not heard for so long, is gone.
pub(super) const LOST: Duration = Duration::from_millis(1_500);

/// A group, as its leader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// The leader's term.
    pub term: u64,
    /// Who votes; in the middle of a change, before it and after it.
    pub voters: BTreeSet<u64>,
    /// Who only follows.
    pub learners: BTreeSet<u64>,
    /// In the middle of a change, who votes after it.
    pub changing: Option<BTreeSet<u64>>,
    /// The last entry that each has, as far as the leader knows.
    pub matched: BTreeMap<u64, u64>,
    /// The leader's last entry.
    pub last: u64,
    /// The last entry that the leader has applied.
    pub applied: u64,
}

impl Members {
    /// How many entries a node is behind.
    pub fn lag(&self, node: u64) -> u64 {
        self.matched.get(&node).map_or(u64::MAX, |matched| self.last.saturating_sub(*matched))
    }

    fn of(metrics: &RaftMetrics<Types>) -> Self {
        let membership = &metrics.membership_config;
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let nodes = membership.nodes().map(|(id, _)| *id);
        let last = metrics.last_log_index.unwrap_or_default();
        let replication = metrics.replication.iter().flatten();
        let matched = replication.filter_map(|(id, at)| Some((*id, at.as_ref()?.index())));
        Self {
            term: metrics.current_term,
            learners: nodes.filter(|id| !voters.contains(id)).collect(),
            voters,
            changing: match membership.get_joint_config().as_slice() {
                [_, .., next] => Some(next.clone()),
                _ => None,
            },
            matched: matched.chain([(metrics.id, last)]).collect(),
            last,
            applied: metrics.last_applied.map_or(0, |applied| applied.index()),
        }
    }
}

impl Shard {
    /// The group, if this node leads it.
    pub fn members(&self) -> Option<Members> {
        let running = self.running()?;
        let metrics = running.metrics.borrow_watched();
        lease::leads(&metrics).then(|| Members::of(&metrics))
    }

    /// Lets a node follow, which then catches up.
    pub async fn add_learner(&self, node: u64) -> Result<(), Unavailable> {
        let running = self.running_or_why()?;
        done(running.raft.add_learner(node, BasicNode::default(), false)).await
    }

    /// Lets these nodes vote, which must follow already; former voters follow from then on.
    pub async fn set_voters(&self, voters: BTreeSet<u64>) -> Result<(), Unavailable> {
        let running = self.running_or_why()?;
        done(running.raft.change_membership(voters, true)).await
    }

    /// Lets nodes go that do not vote.
    pub async fn remove_learners(&self, nodes: BTreeSet<u64>) -> Result<(), Unavailable> {
        let running = self.running_or_why()?;
        done(running.raft.change_membership(ChangeMembers::RemoveNodes(nodes), true)).await
    }

    /// Whether a follower has answered this leader just now.
    pub fn is_heard_by(&self, node: u64) -> bool {
        let Some(running) = self.running() else { return false };
        let metrics = running.metrics.borrow_watched();
        let answered = metrics.heartbeat.as_ref().and_then(|all| all.get(&node)?.as_ref());
        answered.is_some_and(|at| TokioInstant::now() < **at + HEARD)
    }

    pub(super) fn running_or_why(&self) -> Result<Arc<Running>, Unavailable> {
        self.running().ok_or_else(|| Unavailable::new("the shard does not run"))
    }

    /// Lets another voter lead, which should have caught up. Returns once it does, or no longer
    /// than it takes for the others to elect somebody in any case.
    ///
    /// Invariant: the lease is given up before the other one may stand.
    pub async fn hand_over(&self, to: u64) -> Result<(), Unavailable> {
        let running = self.running_or_why()?;
        let term = {
            let metrics = running.metrics.borrow_watched();
            if metrics.state != ServerState::Leader {
                return Err(Unavailable::not_leader(metrics.current_leader));
            }
            metrics.current_term
        };
        self.handed_over.store(term, Ordering::SeqCst);
        let asked = running.raft.trigger().transfer_leader(to).await;
        asked.map_err(|fatal| Unavailable::new(fatal.to_string()))?;
        let mut leadership = self.leadership();
        let led = leadership.wait_for(|now| now.stopped || now.term > term && now.leader.is_some());
        match timeout(HAND_OVER_DEADLINE, led).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Unavailable::new(format!("node {to} does not take over"))),
        }
    }

    /// Whether this node belongs to the group.
    pub fn is_member(&self) -> bool {
        self.running().is_some_and(|running| is_member(&running.metrics.borrow_watched()))
    }

    /// Whether this node is all that the group has.
    pub fn is_alone(&self) -> bool {
        self.running().is_some_and(|running| {
            let metrics = running.metrics.borrow_watched();
            metrics.membership_config.nodes().map(|(id, _)| *id).eq([metrics.id])
        })
    }

    /// Why the group does not serve, as far as this node can tell.
    pub(super) fn quorum_problem(&self) -> Option<String> {
        let running = self.running()?;
        let metrics = running.metrics.borrow_watched();
        let shard = self.id();
        if !is_member(&metrics) {
            // Every node follows the cluster's own records.
            return (shard.0 == 0).then(|| "the node has not been taken in yet".into());
        }
        let leads = metrics.state == ServerState::Leader;
        if !leads && self.pulse.silent_for() > LOST && self.is_not_needed() {
            return None;
        }
        let Some(leader) = metrics.current_leader else {
            return Some(format!("shard {shard} has no leader"));
        };
        let lost = match metrics.state {
            ServerState::Leader => !lease::within(&metrics, LOST),
            _ => self.pulse.silent_for() > LOST,
        };
        match (lost, leader == metrics.id) {
            (false, _) => None,
            (true, true) => Some(format!("shard {shard} has no quorum")),
            (true, false) => Some(format!("shard {shard} has lost its leader, node {leader}")),
        }
    }
}

/// Waits for a change of members.
async fn done<T>(
    change: impl Future<Output = Result<T, RaftError<Types, ClientWriteError<Types>>>>,
) -> Result<(), Unavailable> {
    match timeout(CHANGE_DEADLINE, change).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Unavailable::new(error.to_string())),
        Err(_) => Err(Unavailable::new("the members do not change in time")),
    }
}

fn is_member(metrics: &RaftMetrics<Types>) -> bool {
    metrics.membership_config.nodes().any(|(id, _)| *id == metrics.id)
}
