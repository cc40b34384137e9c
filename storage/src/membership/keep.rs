//! The tasks that keep up a node's part in the cluster: one meets the other nodes, one says where this
//! one is, one sees off those that leave, and one for each shard brings the group to its place where
//! this node leads it. None waits for another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Inner;
use super::agree::agree;
use super::tend::tend;
use crate::capability::cluster::{Command, Node, NodeState};
use crate::effect::Effect;
use crate::ids::{ShardId, TenantNumber};

/// How soon to look again while something is under way, and when nothing is.
pub(super) const SOON: Duration = Duration::from_millis(100);
pub(super) const NOW_AND_THEN: Duration = Duration::from_secs(30);
/// How often it is looked whether a node that leaves is free.
const SEE_OFF: Duration = Duration::from_millis(500);

/// How often the node's certificate is made anew.
const RENEW: Duration = Duration::from_secs(24 * 3600);
/// After a task has failed, all are started anew so much later.
const RESPITE: Duration = Duration::from_secs(1);

/// Runs until it is aborted.
pub async fn keep(inner: Arc<Inner>) {
    loop {
        run(&inner).await;
        sleep(RESPITE).await;
    }
}

/// Returns when one of the tasks has ended, which only a bug makes it do.
async fn run(inner: &Arc<Inner>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(meet(inner.clone()));
    tasks.spawn(announce(inner.clone()));
    tasks.spawn(see_off(inner.clone()));
    tasks.spawn(agree(inner.clone()));
    tasks.spawn(renew(inner.clone()));
    for shard in inner.shards.iter() {
        tasks.spawn(tend(inner.clone(), shard.clone()));
    }
    let ended = tasks.join_next().await;
    tracing::error!(?ended, "a task of the cluster's has ended");
}

/// Looks at the nodes' records whenever they may have changed.
pub(super) fn watch(inner: &Arc<Inner>) {
    let heard = Arc::downgrade(inner);
    inner.shards.shard(ShardId(0)).observe(Arc::new(move |effects| {
        let of_nodes = |effect: &Effect| match effect {
            Effect::Tenant(tenant) => *tenant == TenantNumber::CLUSTER,
            Effect::Everything => true,
            _ => false,
        };
        if let Some(heard) = heard.upgrade().filter(|_| effects.iter().any(of_nodes)) {
            heard.stirred.notify_one();
        }
    }));
}

/// Follows the nodes' records.
async fn meet(inner: Arc<Inner>) {
    let mut said = BTreeMap::new();
    loop {
        let wait = match inner.all_nodes() {
            Ok(nodes) => {
                inner.heed_terms();
                inner.note(&nodes, &mut said);
                NOW_AND_THEN
            }
            Err(fault) => {
                tracing::debug!(%fault, "the nodes' records cannot be read now");
                SOON
            }
        };
        // Whether it was woken or waited makes no difference.
        drop(timeout(wait, inner.stirred.notified()).await);
    }
}

/// Makes the node's certificate anew long before it is good no more.
async fn renew(inner: Arc<Inner>) {
    loop {
        sleep(RENEW).await;
        if let Err(error) = inner.renew() {
            tracing::error!(%error, "the node's certificate is not made anew");
        }
    }
}

/// Has the records say of this node what it says.
async fn announce(inner: Arc<Inner>) {
    let mut nodes = inner.known.subscribe();
    loop {
        let known = nodes.borrow_and_update().clone();
        let Some(known) = known else {
            drop(nodes.changed().await);
            continue;
        };
        match inner.announced(&known).await {
            // The sender lives as long as this task.
            true => drop(nodes.changed().await),
            false => drop(timeout(SOON, nodes.changed()).await),
        }
    }
}

/// Lets nodes that drain leave once no group needs them, where shard 0 is led.
async fn see_off(inner: Arc<Inner>) {
    let (mut nodes, shard) = (inner.known.subscribe(), inner.shards.shard(ShardId(0)).clone());
    let mut leadership = shard.leadership();
    loop {
        let known = nodes.borrow_and_update().clone().unwrap_or_default();
        let leads = leadership.borrow_and_update().leads;
        let some_drain = known.iter().any(|node| node.state == NodeState::Draining);
        if leads && some_drain {
            inner.let_leave(&known).await;
        }
        let wait = if leads && some_drain { SEE_OFF } else { NOW_AND_THEN };
        tokio::select! {
            _ = nodes.changed() => {}
            changed = leadership.changed() => if changed.is_err() { return },
            () = sleep(wait) => {}
        }
    }
}

impl Inner {
    /// Keeps up connections to all nodes that have not left, remembers where they are, and tells
    /// whoever follows the nodes. What a node itself says when it connects is newer than what its
    /// record said before.
    fn note(&self, nodes: &[Node], said: &mut BTreeMap<u64, String>) {
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
        self.remember(peers);
        self.known.send_if_modified(|known| {
            let changed = known.as_deref().map(Vec::as_slice) != Some(nodes);
            if changed {
                *known = Some(Arc::new(nodes.to_vec()));
            }
            changed
        });
    }

    fn remember(&self, peers: BTreeMap<u64, String>) {
        let mut home = self.home.lock();
        if !peers.is_empty() && home.peers != peers {
            home.peers = peers;
            if let Err(error) = home.write(&self.about.data_dir) {
                tracing::warn!(%error, "the addresses of the other nodes were not put down");
            }
        }
    }

    /// Whether the records say of this node what it says.
    async fn announced(&self, nodes: &[Node]) -> bool {
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

    /// A draining node has left once no group needs it.
    async fn let_leave(&self, nodes: &[Node]) {
        let present: Vec<_> =
            nodes.iter().filter(|node| node.state != NodeState::Removed).cloned().collect();
        let reports = self.reports(&present).await;
        for node in nodes.iter().filter(|node| node.state == NodeState::Draining) {
            let free = self.shards.iter().all(|shard| {
                let Some((_, members)) = super::leader_of(&reports, shard.id()) else {
                    return false;
                };
                let follows = shard.id().0 != 0 && members.learners.contains(&node.id);
                members.changing.is_none() && !members.voters.contains(&node.id) && !follows
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
