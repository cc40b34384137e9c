//! The replicated state machine: from a proposal and the records before it to the records after it.
//! A pure function; whatever differs between two nodes (time, randomness) is inside the proposal.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::capability::audit::{self, Circumstances};
use crate::capability::{
    api_keys, cluster, email_verification, magic_links, mfa, oauth, passkeys, password_reset,
    passwords, phones, sessions, tenants, users,
};
use crate::command::{Command, Outcome, Proposal, Reply, Stop};
use crate::effect::Effect;
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::idempotency;
use crate::ids::{MailId, TenantNumber, UserId};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::outbox;
use crate::sweep;
use crate::transaction::Transaction;

/// Applies one proposal. A rejected command leaves no trace but its idempotency record; a fault
/// leaves none at all and must stop the shard.
pub fn apply(transaction: &mut Transaction<'_>, proposal: Proposal) -> Result<Outcome, Fault> {
    let now = advance_clock(transaction, proposal.proposed)?;
    let Proposal { tenant, seed, origin, idempotency: ticket, command, .. } = proposal;
    let (guess, command) = match command {
        Command::Guess(guess) => (Some(guess.operation), guess.command),
        command => (None, command),
    };
    for ticket in ticket.iter().chain(&guess) {
        if let Some(answer) = idempotency::recall(transaction, tenant, ticket, now)? {
            transaction.accept();
            return Ok(answer);
        }
    }
    let mut step = Step { transaction, tenant, now, drafts: Vec::new() };
    let outcome = match run(&mut step, command) {
        Ok(reply) => {
            let drafts = step.drafts;
            let circumstances = Circumstances { tenant, time: now, origin: &origin, seed: &seed };
            audit::append(transaction, &circumstances, drafts)?;
            Ok(reply)
        }
        Err(Stop::Rejected(rejection)) => {
            transaction.discard();
            Err(rejection)
        }
        Err(Stop::Broken(fault)) => {
            transaction.discard();
            return Err(fault);
        }
    };
    if let Some(ticket) = ticket {
        idempotency::keep(transaction, tenant, ticket, &outcome)?;
    }
    if let Some(operation) = guess {
        idempotency::keep_guess(transaction, tenant, operation, &outcome)?;
    }
    transaction.accept();
    Ok(outcome)
}

fn run(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Users(command) => users::apply(step, command),
        Command::Passwords(command) => passwords::apply(step, command),
        Command::Sessions(command) => sessions::apply(step, command),
        Command::Tenants(command) => tenants::apply(step, command),
        Command::Sweep(command) => sweep::apply(step, command),
        Command::Oauth(command) => oauth::apply(step, command),
        Command::Phones(command) => phones::apply(step, command),
        Command::Outbox(command) => outbox::apply(step, command),
        Command::EmailVerification(command) => email_verification::apply(step, command),
        Command::PasswordReset(command) => password_reset::apply(step, command),
        Command::MagicLinks(command) => magic_links::apply(step, command),
        Command::Mfa(command) => mfa::apply(step, command),
        Command::Passkeys(command) => passkeys::apply(step, command),
        Command::ApiKeys(command) => api_keys::apply(step, command),
        Command::Cluster(command) => cluster::apply(step, command),
        Command::Guess(guess) => run(step, guess.command),
        Command::Within(within) => {
            sessions::require_live(step, within.user, within.session)?;
            run(step, within.command)
        }
        Command::ByKey(by_key) => {
            api_keys::require_good(step, &by_key.hash, &by_key.scopes)?;
            run(step, by_key.command)
        }
    }
}

/// Invariant: a shard's time never goes back, whichever node proposes.
fn advance_clock(transaction: &mut Transaction<'_>, proposed: Moment) -> Result<Moment, Fault> {
    let key = keys::single(TenantNumber::CLUSTER, Kind::Clock);
    let last: Moment = transaction.get(&key)?.unwrap_or_default();
    if proposed > last {
        transaction.put(key, &proposed)?;
        transaction.accept();
    }
    Ok(proposed.max(last))
}

/// One command at work: the transaction narrowed to its tenant and its moment.
pub(crate) struct Step<'s, 't> {
    transaction: &'s mut Transaction<'t>,
    /// Whose records it touches.
    pub tenant: TenantNumber,
    /// The shard's time.
    pub now: Moment,
    drafts: Vec<Draft>,
}

impl<'t> Step<'_, 't> {
    pub fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Fault> {
        self.transaction.get(key)
    }

    pub fn contains(&self, key: &[u8]) -> Result<bool, Fault> {
        self.transaction.contains(key)
    }

    pub fn put<T: Serialize>(&mut self, key: Vec<u8>, record: &T) -> Result<(), Fault> {
        self.transaction.put(key, record)
    }

    pub fn delete(&mut self, key: Vec<u8>) {
        self.transaction.delete(key);
    }

    /// Read access to everything, this command's writes included.
    pub fn records(&self) -> &Transaction<'t> {
        self.transaction
    }

    /// Writes an event with the command's changes.
    pub fn record(&mut self, draft: Draft) {
        self.drafts.push(draft);
    }

    /// Sequence of the last event, those of this command so far included.
    pub fn last_sequence(&self) -> Result<u64, Fault> {
        let head = self.get::<audit::Head>(&keys::single(self.tenant, Kind::AuditHead))?;
        Ok(head.unwrap_or_default().sequence + self.drafts.len() as u64)
    }

    /// Adds to what the last event of this kind says, if the command has recorded one.
    pub fn elaborate(&mut self, kind: EventKind, name: &str, text: &str) {
        if let Some(draft) = self.drafts.iter_mut().rev().find(|draft| draft.kind == kind) {
            draft.details.push((name.into(), text.into()));
        }
    }

    /// Whoever holds this user or a session of theirs in memory must look again.
    pub fn user_changed(&mut self, user: UserId) {
        self.transaction.effect(Effect::User(self.tenant, user));
    }

    /// Whoever holds this tenant's settings or keys in memory must look again.
    pub fn tenant_changed(&mut self) {
        self.transaction.effect(Effect::Tenant(self.tenant));
    }

    /// Whoever sends mail has something to do.
    pub fn mail_posted(&mut self, mail: MailId) {
        self.transaction.effect(Effect::Mail(self.tenant, mail));
    }
}

#[cfg(test)]
mod tests;
