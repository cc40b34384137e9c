//! Walks the records at leisure and proposes the removal of what has expired. Whether it has is
//! decided by `apply`; a round reads a bounded number of records, and goes on where the last ended.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use janua_storage::command::{Command, Proposal};
use janua_storage::event::Origin;
use janua_storage::ids::TenantNumber;
use janua_storage::keys::{self, Kind};
use janua_storage::records::Records;
use janua_storage::sweep;
use janua_storage::view::View;

use crate::capability::tenants;
use crate::directory::Node;
use crate::refusal::Refusal;
use crate::tenant::{Shared, TenantRef};

/// How many records of one kind a round looks at.
const READ: usize = 500;

/// How many removals are proposed at once.
const REMOVED: usize = 100;

/// How long one kind of a tenant's records may be swept in a round while there is more to remove.
const TURN: Duration = Duration::from_millis(200);

/// After how many rounds signing keys are looked at again.
const KEY_ROUNDS: u32 = 60;

pub(super) struct Sweeper {
    node: Arc<Node>,
    rounds: u32,
    cursors: HashMap<(TenantNumber, u8), Vec<u8>>,
}

impl Sweeper {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, rounds: 0, cursors: HashMap::new() }
    }

    /// One round over all tenants whose shard this node leads.
    pub async fn sweep(&mut self) {
        let tenants = match tenants(&self.node) {
            Ok(tenants) => tenants,
            Err(refusal) => return tracing::debug!(%refusal, "no sweep"),
        };
        let looks_at_keys = self.rounds.is_multiple_of(KEY_ROUNDS);
        if looks_at_keys
            && self.node.shards.of(TenantNumber::CLUSTER).is_leader()
            && let Err(refusal) = tenants::settle(&self.node).await
        {
            tracing::warn!(%refusal, "a tenant is still half-way");
        }
        self.rounds = self.rounds.wrapping_add(1);
        for tenant in tenants {
            if !self.node.shards.of(tenant).is_leader() {
                continue;
            }
            for kind in sweep::KINDS {
                if let Err(refusal) = self.sweep_kind(tenant, kind).await {
                    tracing::debug!(%refusal, "a sweep ended early");
                }
            }
            if looks_at_keys && let Err(refusal) = self.renew_signing_key(tenant).await {
                tracing::warn!(%tenant, %refusal, "a signing key was not renewed");
            }
        }
    }

    async fn renew_signing_key(&self, number: TenantNumber) -> Result<(), Refusal> {
        let records = self.node.shards.of(number).read().await?;
        let Some(record) = View::new(&records, number).tenant()? else { return Ok(()) };
        let tenant = TenantRef(Shared::new(record.id, number, self.node.clone()));
        tenant.renew_signing_key(Origin::default()).await
    }

    /// Looks at a bounded number of records; goes on while each look finds as much as may be removed
    /// at once, so that removal keeps up with what expires.
    async fn sweep_kind(&mut self, tenant: TenantNumber, kind: Kind) -> Result<(), Refusal> {
        let begun = self.node.clock.now();
        while self.remove_some(tenant, kind).await? >= REMOVED
            && self.node.clock.now().since(begun) < TURN
        {}
        Ok(())
    }

    /// One look; how many removals it proposed.
    async fn remove_some(&mut self, tenant: TenantNumber, kind: Kind) -> Result<usize, Refusal> {
        let shard = self.node.shards.of(tenant).clone();
        let records = shard.read().await?;
        let now = self.node.clock.now();
        let after = self.cursors.remove(&(tenant, kind as u8));
        let (mut seen, mut expired, mut last) = (0, Vec::new(), None);
        records.scan(&keys::range(tenant, kind), after.as_deref(), &mut |key, value| {
            seen += 1;
            last = Some(key.to_vec());
            if matches!(sweep::expiry(kind, value), Ok(Some(expires)) if expires <= now) {
                expired.push(key.to_vec());
            }
            if seen < READ && expired.len() < REMOVED {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        if let Some(last) = last.filter(|_| seen >= READ || expired.len() >= REMOVED) {
            self.cursors.insert((tenant, kind as u8), last);
        }
        let proposed = expired.len();
        if expired.is_empty() {
            return Ok(0);
        }
        let proposal = Proposal {
            tenant,
            proposed: now,
            seed: self.node.clock.random(),
            origin: Origin::default(),
            idempotency: None,
            command: Command::Sweep(sweep::Command { keys: expired }),
        };
        let outcome = shard.write(proposal).await?;
        outcome.map_err(|rejection| Refusal::from_rejection(rejection, now))?;
        Ok(proposed)
    }
}

/// Every tenant of the cluster.
pub(super) fn tenants(node: &Node) -> Result<Vec<TenantNumber>, Refusal> {
    // A tenant that this replica has not heard of yet has its turn in a later round.
    let records = node.shards.of(TenantNumber::CLUSTER).follow()?;
    Ok(View::new(&records, TenantNumber::CLUSTER).tenant_numbers()?)
}
