//! The task that keeps up a node's part in the cluster: it meets the others, says where it is, and
//! brings the groups that it leads to their places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::Inner;
use super::placement::{self, Step};
use crate::capability::cluster::{Command, Node, NodeState};
use crate::engine::{Shard, Unavailable};
use crate::ids::ShardId;

/// How soon to look again while something is under way, and when nothing is.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(2);
/// Alone there is nobody to look after.
const ALONE: Duration = Duration::from_secs(30);
/// Leadership is moved only where it has stayed for so long.
const CALM: Duration = Duration::from_secs(2);

/// Runs until it is aborted.
pub async fn keep(inner: Arc<Inner>) {
    let mut said = BTreeMap::new();
    loop {
        let stirred = inner.stirred.notified();
        let wait = inner.look(&mut said).await;
        // Whether it was woken or waited makes no difference.
        drop(timeout(wait, stirred).await);
    }
}

impl Inner {
    /// Does what is to be done now, and tells when to look again.
    async fn look(&self, said: &mut BTreeMap<u64, String>) -> Duration {
        let nodes = match self.all_nodes() {
            Ok(nodes) => nodes,
            Err(fault) => {
                tracing::debug!(%fault, "the nodes' records cannot be read now");
                return SOON;
            }
        };
        self.meet(&nodes, said);
        let mut wait = match nodes.len() <= 1 {
            true => ALONE,
            false => LATER,
        };
        if !self.announce(&nodes).await {
            wait = SOON;
        }
        let hurry = std::mem::take(&mut *self.hurry.lock());
        let settled = self.shards.iter().map(|shard| self.settle(shard, &nodes, hurry));
        if !join_all(settled).await.into_iter().all(|settled| settled) {
            wait = SOON;
        }
        if self.shards.shard(ShardId(0)).is_leader() {
            self.see_off(&nodes).await;
        }
        wait
    }

    /// Keeps up connections to all nodes that have not left, and remembers where they are. What a
    /// node itself says when it connects is newer than what its record said before.
    fn meet(&self, nodes: &[Node], said: &mut BTreeMap<u64, String>) {
        for node in nodes.iter().filter(|node| node.id != self.me()) {
            if node.state == NodeState::Removed {
                self.link.forget(node.id);
                continue;
            }
            if said.get(&node.id) != Some(&node.cluster_address) {
                said.insert(node.id, node.cluster_address.clone());
                self.link.learn(node.id, &node.cluster_address);
            }
            self.link.peer(node.id);
        }
        let me = nodes.iter().find(|node| node.id == self.me());
        let removed = me.is_some_and(|node| node.state == NodeState::Removed);
        if removed && !std::mem::replace(&mut *self.removed.lock(), true) {
            tracing::error!("this node has been removed from the cluster: stop it");
        }
        let present = nodes.iter().filter(|node| node.state != NodeState::Removed);
        let peers: BTreeMap<u64, String> = present
            .filter(|node| node.id != self.me())
            .map(|node| (node.id, node.cluster_address.clone()))
            .collect();
        let mut home = self.home.lock();
        if !peers.is_empty() && home.peers != peers {
            home.peers = peers;
            if let Err(error) = home.write(&self.about.data_dir) {
                tracing::warn!(%error, "the addresses of the other nodes were not put down");
            }
        }
    }

    /// Whether the records say of this node what it says.
    async fn announce(&self, nodes: &[Node]) -> bool {
        let announcement = self.announcement();
        let known = nodes.iter().find(|node| node.id == self.me());
        if known.is_some_and(|known| announcement.is_said_by(known)) {
            return true;
        }
        if known.is_some_and(|known| known.state == NodeState::Removed) {
            return true;
        }
        match self.decide(Command::Announce(Box::new(announcement))).await {
            Ok(Ok(_)) => {}
            Ok(Err(rejection)) => tracing::debug!(?rejection, "the node's record is not to be had"),
            Err(undecided) => tracing::debug!(%undecided, "the node's record is as it was"),
        }
        false
    }

    /// Takes one step with a shard. Whether nothing is left to do.
    async fn settle(&self, shard: &Shard, nodes: &[Node], hurry: bool) -> bool {
        let Some(members) = shard.members() else {
            self.led_since.lock().remove(&shard.id());
            return true;
        };
        let since = {
            let mut led = self.led_since.lock();
            let since = led.entry(shard.id()).or_insert((members.term, Instant::now()));
            if since.0 != members.term {
                *since = (members.term, Instant::now());
            }
            since.1
        };
        let place = placement::place(nodes, shard.id(), self.about.replicas);
        let calm = hurry || since.elapsed() >= CALM;
        let answers = |node| self.link.can_take_over(node);
        let step = placement::next(self.me(), &members, &place, answers, calm);
        if step == Step::Settled {
            return true;
        }
        tracing::debug!(shard = shard.id().0, ?step, ?members, "a group is not in its place");
        if let Err(problem) = take(shard, step).await {
            tracing::warn!(shard = shard.id().0, %problem, "a group could not be changed");
        }
        false
    }

    /// A draining node has left once no group needs it.
    async fn see_off(&self, nodes: &[Node]) {
        let draining: Vec<_> =
            nodes.iter().filter(|node| node.state == NodeState::Draining).collect();
        if draining.is_empty() {
            return;
        }
        let present: Vec<_> =
            nodes.iter().filter(|node| node.state != NodeState::Removed).cloned().collect();
        let reports = self.reports(&present).await;
        for node in draining {
            let free = self.shards.iter().all(|shard| {
                let Some((_, members)) = super::leader_of(&reports, shard.id()) else {
                    return false;
                };
                let follows = shard.id().0 != 0 && members.learners.contains(&node.id);
                !members.changing && !members.voters.contains(&node.id) && !follows
            });
            if free {
                tracing::info!(node = node.id, name = node.name, "a node has left the cluster");
                if let Err(undecided) = self.decide(Command::Remove(node.id)).await {
                    tracing::debug!(%undecided, "it is tried again");
                }
            }
        }
    }
}

async fn take(shard: &Shard, step: Step) -> Result<(), Unavailable> {
    match step {
        Step::Settled | Step::Wait => Ok(()),
        Step::AddLearner(node) => shard.add_learner(node).await,
        Step::SetVoters(voters) => shard.set_voters(voters).await,
        Step::RemoveLearners(nodes) => shard.remove_learners(nodes).await,
        Step::HandOver(to) => shard.hand_over(to).await,
    }
}
