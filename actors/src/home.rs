//! Homes: the shards of this node as actors ask them. What a shard cannot answer is told apart here:
//! another node leads it, nobody knows what became of a write, or something is broken.

use std::sync::Arc;

use janua_storage::backup::archive::Position;
use janua_storage::command::{Outcome, Proposal};
use janua_storage::engine::backup::Held;
use janua_storage::engine::{Cause, Leadership, Shard, Shards, Unavailable, View};
use janua_storage::ids::{ShardId, TenantNumber};
use tokio::sync::watch;

use crate::refusal::{Elsewhere, Refusal};

/// A shard, where some tenants are at home. Cloning gives another handle on the same one.
#[derive(Clone)]
pub(crate) struct Home(Arc<Shard>);

impl Home {
    /// Which shard it is.
    pub fn id(&self) -> ShardId {
        self.0.id()
    }

    /// Whether this node leads the shard and has caught up.
    pub fn is_leader(&self) -> bool {
        self.0.is_leader()
    }

    /// Follows who leads the shard.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.0.leadership()
    }

    /// Term and leader, as long as this node's replica is told of them.
    pub fn heard_leader(&self) -> Option<(u64, u64)> {
        self.0.heard_leader()
    }

    /// The records as they are now. Asked of a node that does not lead, the answer is where else.
    pub async fn read(&self) -> Result<View, Refusal> {
        self.0.read().await.map_err(|unavailable| self.unread(unavailable))
    }

    fn unread(&self, unavailable: Unavailable) -> Refusal {
        match unavailable.is_not_leader() {
            true => self.elsewhere(),
            false => unavailable.into(),
        }
    }

    /// The records as this node's replica has them: perhaps older than what others were told.
    pub fn follow(&self) -> Result<View, Refusal> {
        self.0.follow().map_err(|_| self.elsewhere())
    }

    /// Proposes a command. Where nobody can say what came of it, the refusal says that.
    pub async fn write(&self, proposal: Proposal) -> Result<Outcome, Refusal> {
        self.0.write(proposal).await.map_err(|unavailable| self.unwritten(&unavailable))
    }

    /// A position that covers everything that was answered before; told by the leader alone.
    pub async fn settled(&self) -> Result<Position, Refusal> {
        self.0.settled().await.map_err(|unavailable| self.unread(unavailable))
    }

    /// What this node's replica has, once it has come to a position.
    pub async fn held(&self, upto: Position) -> Result<Held, Refusal> {
        Ok(self.0.held(upto).await?)
    }

    /// Go to whoever leads this shard.
    pub fn elsewhere(&self) -> Refusal {
        Refusal::Elsewhere(Elsewhere::to(self.id()))
    }

    /// Nobody here knows whether what was proposed was done.
    pub fn unsettled(&self, reason: impl Into<String>) -> Refusal {
        Refusal::Unsettled { shard: self.id(), reason: reason.into() }
    }

    fn unwritten(&self, unavailable: &Unavailable) -> Refusal {
        match unavailable.cause {
            Cause::NotLeader { .. } => self.elsewhere(),
            Cause::TooNew(problem) => Refusal::unavailable(problem.to_string()),
            Cause::Unknown => self.unsettled(unavailable.to_string()),
        }
    }
}

/// All shards of this node.
pub(crate) struct Homes {
    homes: Vec<Home>,
    shards: Arc<Shards>,
}

impl Homes {
    pub fn new(shards: Arc<Shards>) -> Self {
        Self { homes: shards.iter().cloned().map(Home).collect(), shards }
    }

    /// Where a tenant is at home.
    pub fn of(&self, tenant: TenantNumber) -> &Home {
        &self.homes[usize::from(self.shard_of(tenant).0)]
    }

    /// In which shard a tenant is at home.
    pub fn shard_of(&self, tenant: TenantNumber) -> ShardId {
        tenant.shard(self.homes.len() as u16)
    }

    /// A shard by its id, if there is one of that id.
    pub fn get(&self, shard: ShardId) -> Option<&Home> {
        self.homes.get(usize::from(shard.0))
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Home> {
        self.homes.iter()
    }

    /// As storage has them.
    pub fn shards(&self) -> &Arc<Shards> {
        &self.shards
    }
}
