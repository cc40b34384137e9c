//! Idempotency keys: twins of a request go one by one, and the later ones hear the first answer.

use std::time::Duration;

use janua_storage::command::{Command, Reply};
use janua_storage::idempotency::{Guess, Ticket};
use sha2::{Digest, Sha256};

use crate::context::{Context, IdempotencyKey, Kept};
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

    /// Proposes the one command of a request that has nothing secret to answer, so that it is done
    /// once however often the request is made.
    pub(crate) async fn propose_once(
        &self,
        context: &Context,
        command: Command,
    ) -> Result<Answer, Refusal> {
        match self.attempt(context).await? {
            Attempt::Repeated(answer) => Ok(answer),
            Attempt::First(first) => {
                let ticket = self.ticket(&first, None).await?;
                self.propose(context.origin(), ticket, command).await
            }
        }
    }

    /// A command that may turn out to be a wrong guess, so that it is counted once however often a
    /// node makes the request.
    pub(crate) async fn guessing(
        &self,
        context: &Context,
        command: Command,
    ) -> Result<Command, Refusal> {
        Ok(match self.guess_of(context).await? {
            Some(operation) => Command::Guess(Box::new(Guess { operation, command })),
            None => command,
        })
    }

    /// Whether this request has been made before, and was a wrong guess.
    pub(crate) async fn was_wrong(&self, context: &Context) -> Result<bool, Refusal> {
        let Some(operation) = self.guess_of(context).await? else { return Ok(false) };
        let records = self.0.shard.read().await?;
        Ok(self.0.view(&records).idempotency(&operation.digest)?.is_some())
    }

    /// Names the guess that a request makes, where it may be made again.
    async fn guess_of(&self, context: &Context) -> Result<Option<Ticket>, Refusal> {
        let Some(operation) = &context.operation else { return Ok(None) };
        let key = IdempotencyKey {
            key: operation.to_string(),
            caller: "guess".into(),
            route: String::new(),
            request: [0; 32],
            kept: Kept::ForARetry,
        };
        Ok(Some(Ticket {
            digest: digest(&key),
            request: self.held().await?.idempotency.mac(&key.request),
            secrets: None,
            expires: self.0.node.clock.now().after(key.kept.ttl()),
        }))
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
