//! Fencing: the actors of a shard live within one term of its leader. When this node stops leading a
//! shard, and when it leads it in a later term, they are stopped at once, and what they held is
//! dropped; the next request for a tenant starts its actor anew.
//!
//! Invariant: nothing that an actor held is used without a lease that was asked for since, so an actor
//! that is stopped a moment late has answered nothing that it should not have.

use janua_storage::ids::ShardId;
use ractor::ActorRef;

use super::{State, SupervisorMessage};
use crate::home::Home;

/// Has the actors of a shard stopped whenever its leadership changes.
pub(super) fn follow(home: &Home, supervisor: ActorRef<SupervisorMessage>) {
    let (shard, mut leadership) = (home.id(), home.leadership());
    ractor::concurrency::spawn(async move {
        let mut led = None;
        loop {
            let now = {
                let now = leadership.borrow_and_update();
                now.leads.then_some(now.term)
            };
            if led.is_some()
                && led != now
                && supervisor.cast(SupervisorMessage::Fence(shard)).is_err()
            {
                return;
            }
            led = now;
            if leadership.changed().await.is_err() {
                return;
            }
        }
    });
}

impl State {
    pub(super) fn fence(&mut self, shard: ShardId) {
        let homes = &self.node.shards;
        self.watched.retain(|_, tenant| {
            let stays = tenant.shard.id() != shard;
            if !stays && let Some(actor) = tenant.forget() {
                // Its sessions' actors go with it.
                actor.stop(Some("fenced".into()));
            }
            stays
        });
        self.node.sessions.fence(|tenant| homes.shard_of(tenant) == shard);
        tracing::debug!(%shard, "the actors of a shard were stopped");
    }
}
