//! Signs of life that wait to be written: those of a second go down together.

use std::collections::HashMap;
use std::sync::Arc;

use janua_storage::capability::users::{self, Touch};
use janua_storage::command::{Command, Proposal};
use janua_storage::event::Origin;
use janua_storage::ids::TenantNumber;
use parking_lot::Mutex;

use crate::directory::Node;

/// How many may wait. What does not fit is noted with a later request of its session.
const MOST: usize = 50_000;

/// How many go into one command, so that no other waits long behind it.
const AT_ONCE: usize = 500;

/// The signs of life of a node's sessions.
#[derive(Default)]
pub(crate) struct Touches(Mutex<HashMap<TenantNumber, Vec<Touch>>>);

impl Touches {
    /// Notes one; whether there was room for it.
    pub fn note(&self, tenant: TenantNumber, touch: Touch) -> bool {
        let mut waiting = self.0.lock();
        let of_tenant = waiting.entry(tenant).or_default();
        if of_tenant.len() >= MOST {
            return false;
        }
        of_tenant.push(touch);
        true
    }

    /// Writes down what waits.
    ///
    /// Decision: what waits for a shard that this node leads no more is dropped. The recorded time is
    /// coarse as it is, and the next request of the session notes it anew where it is led.
    pub async fn write_down(node: &Arc<Node>) {
        let waiting = std::mem::take(&mut *node.touches.0.lock());
        for (tenant, touches) in waiting {
            if !node.shards.of(tenant).is_leader() {
                continue;
            }
            for some in touches.chunks(AT_ONCE) {
                let proposal = Proposal {
                    tenant,
                    proposed: node.clock.now(),
                    seed: [0; 32],
                    origin: Origin::default(),
                    idempotency: None,
                    command: Command::Users(users::Command::Touch(some.to_vec())),
                };
                if let Err(error) = node.shards.of(tenant).write(proposal).await {
                    tracing::debug!(%error, "signs of life were not recorded");
                }
            }
        }
    }
}
