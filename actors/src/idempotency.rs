//! Idempotency keys: twins of a request go one by one, and the later ones hear the first answer.

use std::time::Duration;

use janua_storage::command::Reply;
use janua_storage::idempotency::Ticket;
use sha2::{Digest, Sha256};

use crate::context::{Context, IdempotencyKey};
use crate::refusal::Refusal;
use crate::tenant::{Answer, Gate, TenantRef, Turn, open};

/// For how long a first answer is kept.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A request on its way: the first of its kind, or one that was answered before.
pub(crate) enum Attempt {
    /// Nobody has answered it yet.
    First(First),
    /// So it was answered.
    Repeated(Answer),
}

/// The first request with its idempotency key, or one without any.
#[derive(Default)]
pub(crate) struct First {
    ticket: Option<Ticket>,
    _turn: Option<Turn>,
}

impl First {
    /// Whether the answer will be kept.
    pub fn is_ticketed(&self) -> bool {
        self.ticket.is_some()
    }

    /// Digest of caller, route and key, if there is a key.
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.ticket.as_ref().map(|ticket| ticket.digest)
    }
}

impl TenantRef {
    /// Begins a request: waits for twins under way, and looks for the answer they were given.
    pub(crate) async fn attempt(&self, context: &Context) -> Result<Attempt, Refusal> {
        let Some(key) = &context.idempotency else {
            return Ok(Attempt::First(First::default()));
        };
        let held = self.held().await?;
        let now = self.0.node.clock.now();
        let ticket = Ticket {
            digest: digest(key),
            request: held.idempotency.mac(&key.request),
            secrets: None,
            expires: now.after(key.kept.ttl()),
        };
        let turn = self.enter(Gate::Twins(ticket.digest), 1).await?;
        let records = self.0.shard.read().await?;
        let record = self.0.view(&records).idempotency(&ticket.digest)?;
        match record.filter(|record| record.expires > now).map(|record| record.answer(&ticket)) {
            Some(Ok(Reply::Recorded(recorded))) => {
                Ok(Attempt::Repeated(open(&held, &ticket.digest, *recorded, now)?))
            }
            Some(Err(rejection)) => Err(Refusal::from_rejection(rejection, now)),
            _ => Ok(Attempt::First(First { ticket: Some(ticket), _turn: Some(turn) })),
        }
    }

    /// The ticket of a first request, holding the secret that its answer will show.
    pub(crate) async fn ticket(
        &self,
        first: &First,
        secret: Option<&str>,
    ) -> Result<Option<Ticket>, Refusal> {
        let Some(ticket) = &first.ticket else { return Ok(None) };
        let mut ticket = ticket.clone();
        if let Some(secret) = secret {
            let held = self.held().await?;
            let nonce = self.0.node.clock.random();
            ticket.secrets = Some(held.key.seal(nonce, &ticket.digest, secret.as_bytes())?);
        }
        Ok(Some(ticket))
    }
}

/// Digest of caller, route and key; their lengths keep them apart.
pub(crate) fn digest(key: &IdempotencyKey) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&key.caller, &key.route, &key.key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
