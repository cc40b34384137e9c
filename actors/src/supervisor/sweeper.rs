//! Walks the records at leisure and proposes the removal of what has expired. Whether it has is
//! decided by `apply`; a round reads a bounded number of records, and goes on where the last ended.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use janua_storage::command::{Command, Proposal};
use janua_storage::event::Origin;
use janua_storage::ids::TenantNumber;
use janua_storage::keys::{self, Kind};
use janua_storage::records::Records;
use janua_storage::sweep;
use janua_storage::view::View;

use crate::directory::Node;
use crate::refusal::Refusal;

/// How many records of one kind a round looks at.
const READ: usize = 500;

/// How many removals are proposed at once.
const REMOVED: usize = 100;

pub(super) struct Sweeper {
    node: Arc<Node>,
    cursors: HashMap<(TenantNumber, u8), Vec<u8>>,
}

impl Sweeper {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, cursors: HashMap::new() }
    }

    /// One round over all tenants whose shard this node leads.
    pub async fn sweep(&mut self) {
        let tenants = match self.tenants().await {
            Ok(tenants) => tenants,
            Err(refusal) => return tracing::debug!(%refusal, "no sweep"),
        };
        for tenant in tenants {
            if !self.node.shards.of(tenant).is_leader() {
                continue;
            }
            for kind in sweep::KINDS {
                if let Err(refusal) = self.sweep_kind(tenant, kind).await {
                    tracing::debug!(%refusal, "a sweep ended early");
                }
            }
        }
    }

    async fn tenants(&self) -> Result<Vec<TenantNumber>, Refusal> {
        let records = self.node.shards.of(TenantNumber::CLUSTER).read().await?;
        Ok(View::new(&records, TenantNumber::CLUSTER).tenant_numbers()?)
    }

    async fn sweep_kind(&mut self, tenant: TenantNumber, kind: Kind) -> Result<(), Refusal> {
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
        if expired.is_empty() {
            return Ok(());
        }
        let proposal = Proposal {
            tenant,
            proposed: now,
            seed: self.node.clock.random(),
            origin: Origin::default(),
            idempotency: None,
            command: Command::Sweep(sweep::Command { keys: expired }),
        };
        shard.write(proposal).await?.map(drop).map_err(|no| Refusal::from_rejection(no, now))
    }
}
