//! A tenant as callers hold it: a typed handle. Ports, mailboxes and retries stay inside.

mod actor;
mod gate;
mod held;

use std::sync::Arc;

use janua_storage::command::{Command, Outcome, Proposal, Reply};
use janua_storage::engine::View as ShardView;
use janua_storage::event::Origin;
use janua_storage::idempotency::{Recorded, Ticket};
use janua_storage::ids::{TenantId, TenantNumber};
use janua_storage::view::View;
use parking_lot::RwLock;
use ractor::ActorRef;

pub(crate) use actor::{TenantActor, TenantMessage};
pub(crate) use gate::{Gate, Turn};
pub use held::Held;
pub(crate) use held::TENANT_KEY;

use crate::directory::Node;
use crate::home::Home;
use crate::refusal::Refusal;
use crate::settings::Settings;

/// A tenant of this node. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct TenantRef(pub(crate) Arc<Shared>);

/// What the handle, the tenant's actor and its sessions' actors share.
pub(crate) struct Shared {
    pub id: TenantId,
    pub number: TenantNumber,
    pub node: Arc<Node>,
    pub shard: Home,
    pub actor: RwLock<Option<ActorRef<TenantMessage>>>,
    held: RwLock<Option<Arc<Held>>>,
}

/// What a command answered, and the secrets that were recorded when it answered before.
pub(crate) struct Answer {
    pub reply: Reply,
    pub secrets: Option<Vec<u8>>,
}

impl TenantRef {
    /// Its public id.
    pub fn id(&self) -> &TenantId {
        &self.0.id
    }

    /// Its number inside.
    pub fn number(&self) -> TenantNumber {
        self.0.number
    }

    /// What it has settled for itself, over the deployment's defaults.
    pub async fn settings(&self) -> Result<Arc<Settings>, Refusal> {
        Ok(self.held().await?.settings.clone())
    }

    /// Record, settings and keys as they are now.
    pub(crate) async fn held(&self) -> Result<Arc<Held>, Refusal> {
        let stamp = self.0.node.stamps.tenant(self.0.number);
        let records = self.0.shard.read().await?;
        if let Some(held) = self.0.held.read().clone()
            && held.stamp == stamp
        {
            return Ok(held);
        }
        let held = Held::load(&self.0, &records, stamp)?;
        *self.0.held.write() = Some(held.clone());
        Ok(held)
    }

    /// Puts a command to the tenant's actor, and opens an answer that was recorded before.
    pub(crate) async fn propose(
        &self,
        origin: Origin,
        ticket: Option<Ticket>,
        command: Command,
    ) -> Result<Answer, Refusal> {
        let digest = ticket.as_ref().map(|ticket| ticket.digest);
        let proposal = self.0.proposal(origin, ticket, command);
        let outcome = self.send(|reply| TenantMessage::Propose(Box::new(proposal), reply)).await?;
        // The actor may have been stopped after it had passed the proposal on.
        let outcome = outcome.ok_or_else(|| self.0.shard.unsettled("the actor was stopped"))??;
        self.settle(outcome, digest).await
    }

    /// What an outcome answers, one that was recorded before included.
    pub(crate) async fn settle(
        &self,
        outcome: Outcome,
        digest: Option<[u8; 32]>,
    ) -> Result<Answer, Refusal> {
        let now = self.0.node.clock.now();
        match outcome.map_err(|rejection| Refusal::from_rejection(rejection, now))? {
            Reply::Recorded(recorded) => {
                let digest = digest.unwrap_or_default();
                let held = self.held().await?;
                open(&held, &digest, *recorded, now)
            }
            reply => Ok(Answer { reply, secrets: None }),
        }
    }

    /// Puts a message to the tenant's actor; its answer, if it gave one.
    async fn send<T>(
        &self,
        message: impl FnOnce(tokio::sync::oneshot::Sender<T>) -> TenantMessage,
    ) -> Result<Option<T>, Refusal> {
        let (sender, answer) = tokio::sync::oneshot::channel();
        let actor = self.0.actor.read().clone();
        let actor = actor.ok_or_else(|| self.0.absent("the tenant's actor is starting"))?;
        actor.cast(message(sender)).map_err(|_| self.0.absent("the tenant's actor has stopped"))?;
        Ok(answer.await.ok())
    }
}

/// The answer that was given before.
pub(crate) fn open(
    held: &Held,
    digest: &[u8; 32],
    recorded: Recorded,
    now: janua_storage::moment::Moment,
) -> Result<Answer, Refusal> {
    let secrets = recorded.secrets.map(|sealed| held.key.open(digest, &sealed)).transpose()?;
    let reply = recorded.outcome.map_err(|rejection| Refusal::from_rejection(rejection, now))?;
    Ok(Answer { reply, secrets })
}

impl Shared {
    pub fn new(id: TenantId, number: TenantNumber, node: Arc<Node>) -> Arc<Self> {
        let shard = node.shards.of(number).clone();
        Arc::new(Self {
            id,
            number,
            node,
            shard,
            actor: RwLock::new(None),
            held: RwLock::new(None),
        })
    }

    /// A command with the time and randomness that `apply` needs.
    pub fn proposal(&self, origin: Origin, ticket: Option<Ticket>, command: Command) -> Proposal {
        Proposal {
            tenant: self.number,
            proposed: self.node.clock.now(),
            seed: self.node.clock.random(),
            origin,
            idempotency: ticket,
            command,
        }
    }

    /// Writes without passing through the tenant's mailbox: for actors that have decided already.
    pub async fn write(
        &self,
        origin: Origin,
        ticket: Option<Ticket>,
        command: Command,
    ) -> Result<Outcome, Refusal> {
        self.shard.write(self.proposal(origin, ticket, command)).await
    }

    /// Why the tenant's actor is not there: it was stopped because another node leads, or failed.
    pub fn absent(&self, reason: &str) -> Refusal {
        match self.shard.is_leader() {
            true => Refusal::unavailable(reason),
            false => self.shard.elsewhere(),
        }
    }

    /// Forgets what was held in memory, and whose actor it was.
    pub fn forget(&self) -> Option<ActorRef<TenantMessage>> {
        *self.held.write() = None;
        self.actor.write().take()
    }

    /// The tenant's records as this node's replica has them, perhaps older than what others know.
    pub fn follow(&self) -> Result<Arc<Held>, Refusal> {
        let stamp = self.node.stamps.tenant(self.number);
        Held::load(self, &self.shard.follow()?, stamp)
    }

    /// The tenant's records among those of its shard.
    pub fn view<'a>(&self, records: &'a ShardView) -> View<'a> {
        View::new(records, self.number)
    }
}
