//! Idempotency keys: the first answer to a request is kept for a while and given again to the same
//! request. The record goes down in the same entry as the work, so that a retried request happens
//! once, whatever failed in between.
//!
//! Invariant: an answer that tells of a user can be found by them, and says nothing of them any more once
//! their account has ended.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::command::{Command, Outcome, Rejection, Reply};
use crate::fault::Fault;
use crate::ids::{TenantNumber, UserId};
use crate::keys;
use crate::moment::Moment;
use crate::records::Records;
use crate::seal::Sealed;
use crate::state_machine::Step;
use crate::traces::Trace;
use crate::transaction::Transaction;

/// How many answers one command takes back, so that no other waits long behind it.
const TAKEN_BACK_AT_ONCE: usize = 100;

/// What a request with an `Idempotency-Key` brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Digest of caller, route and key.
    pub digest: [u8; 32],
    /// HMAC of the request under the tenant's key: equal requests have equal ones.
    pub request: [u8; 32],
    /// The secrets that the answer will hold, sealed under the tenant's key.
    pub secrets: Option<Sealed>,
    /// When the record may go.
    pub expires: Moment,
}

/// A command that may turn out to be a wrong guess, of a request that a node may make again.
///
/// Decision: an idempotency key of the client's does not keep a wrong guess, since a 401 is asked
/// anew. That a retry between nodes does not count it twice is kept apart, under the operation's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guess {
    /// Names the guess.
    pub operation: Ticket,
    /// What to do.
    pub command: Command,
}

/// The first answer, kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// What the command came to.
    pub outcome: Outcome,
    /// The secrets that the answer held, sealed.
    pub secrets: Option<Sealed>,
}

/// As it lies in the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    request: [u8; 32],
    recorded: Recorded,
    /// When the record may go.
    pub expires: Moment,
}

/// The answer that was given before, when one was.
pub(crate) fn recall(
    transaction: &Transaction<'_>,
    tenant: TenantNumber,
    ticket: &Ticket,
    now: Moment,
) -> Result<Option<Outcome>, Fault> {
    let record: Option<Record> = transaction.get(&keys::idempotency(tenant, &ticket.digest))?;
    Ok(record.filter(|record| record.expires > now).map(|record| record.answer(ticket)))
}

/// Keeps the first answer, unless it is one to be asked anew.
pub(crate) fn keep(
    transaction: &mut Transaction<'_>,
    tenant: TenantNumber,
    ticket: Ticket,
    outcome: &Outcome,
) -> Result<(), Fault> {
    let kept = match outcome {
        Ok(reply) => reply.is_kept(),
        Err(rejection) => rejection.is_kept(),
    };
    if kept { put(transaction, tenant, ticket, outcome) } else { Ok(()) }
}

/// Keeps that a guess was wrong, and has been counted.
pub(crate) fn keep_guess(
    transaction: &mut Transaction<'_>,
    tenant: TenantNumber,
    operation: Ticket,
    outcome: &Outcome,
) -> Result<(), Fault> {
    match outcome {
        Ok(Reply::WrongGuess) => put(transaction, tenant, operation, outcome),
        _ => Ok(()),
    }
}

fn put(
    transaction: &mut Transaction<'_>,
    tenant: TenantNumber,
    ticket: Ticket,
    outcome: &Outcome,
) -> Result<(), Fault> {
    let digest = ticket.digest;
    let record = Record::new(ticket, outcome.clone());
    let trace = Trace { expires: record.expires };
    // Where accounts are hidden, one that exists is answered about under an id that nobody has.
    let holder = match outcome {
        Ok(Reply::Registered(profile)) => transaction.get(&keys::email(tenant, &profile.email))?,
        _ => None,
    };
    for user in [record.about(), holder].into_iter().flatten() {
        transaction.put(keys::answered(tenant, user, &digest), &trace)?;
    }
    transaction.put(keys::idempotency(tenant, &digest), &record)
}

/// Takes back what was answered about somebody who is gone, so many answers at once; whether there may be
/// more. Whoever sends such a request again hears that there is no such person, and it is not made anew.
pub(crate) fn forget(step: &mut Step<'_, '_>, user: UserId) -> Result<bool, Fault> {
    let prefix = keys::answers_about(step.tenant, user);
    let mut traces = Vec::new();
    step.records().scan(&prefix, None, &mut |trace, _| {
        traces.push(trace.to_vec());
        match traces.len() < TAKEN_BACK_AT_ONCE {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    let more = traces.len() == TAKEN_BACK_AT_ONCE;
    for trace in traces {
        if let Some(digest) = trace[prefix.len()..].first_chunk() {
            let key = keys::idempotency(step.tenant, digest);
            // The record of before may have expired, and the key may have come with another request.
            if let Some(record) = step.get::<Record>(&key)?
                && record.tells_of(step, user)?
            {
                let recorded = Recorded { outcome: Err(Rejection::NotFound), secrets: None };
                step.put(key, &Record { recorded, ..record })?;
            }
        }
        step.delete(trace);
    }
    Ok(more)
}

impl Record {
    /// The answer to a request that brought `ticket`.
    pub(crate) fn new(ticket: Ticket, outcome: Outcome) -> Self {
        let recorded = Recorded { outcome, secrets: ticket.secrets };
        Self { request: ticket.request, recorded, expires: ticket.expires }
    }

    /// Whom the answer tells of, if it tells of anybody.
    fn about(&self) -> Option<UserId> {
        self.recorded.outcome.as_ref().ok().and_then(Reply::about)
    }

    /// Whether it tells of a user who goes, be it under an id that nobody has.
    fn tells_of(&self, step: &Step<'_, '_>, user: UserId) -> Result<bool, Fault> {
        match self.about() {
            Some(about) => Ok(about == user || !step.contains(&keys::user(step.tenant, about))?),
            None => Ok(false),
        }
    }

    /// What the same request is told, or another with the same key.
    pub fn answer(self, ticket: &Ticket) -> Outcome {
        if self.request == ticket.request {
            Ok(Reply::Recorded(Box::new(self.recorded)))
        } else {
            Err(Rejection::IdempotencyConflict)
        }
    }
}
