//! The outbox: mails on their way. A mail is written in the entry of its cause, so that it is sent if
//! and only if its cause happened; it is sealed, and gone once it was sent. Where no server is there
//! to send it, it is kept for a while, for the operator to read.
//!
//! Who sends is no business of this file: the actors of the shard's leader do, at least once.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::capability::limits::Level;
use crate::command::{Rejection, Reply, Stop};
use crate::fault::Fault;
use crate::ids::{MagicLinkId, MailId};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::one_time::{Content, OneTime};
use crate::records::Records;
use crate::seal::Sealed;
use crate::secret::SecretHash;
use crate::state_machine::Step;
use crate::traces::{self, Subject};

/// How many mails of a tenant may wait to be sent.
pub const MOST_WAITING: u32 = 10_000;

/// How many mails of a tenant are kept to be read; the oldest goes first.
pub const MOST_KEPT: u32 = 500;

/// How long a mail is kept to be read, milliseconds.
const KEPT_MS: u64 = 7 * 24 * 3_600_000;

/// A mail in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// The same over all attempts to send it.
    pub id: MailId,
    /// To whom and what, sealed under the tenant's key.
    pub sealed: Sealed,
    /// When it was written.
    pub created: Moment,
    /// When nobody needs it any more.
    pub expires: Moment,
}

/// How many mails are in the outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Waiting to be sent.
    pub waiting: u32,
    /// Kept to be read.
    pub kept: u32,
}

/// A mail to be: what the proposer knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Its id.
    pub id: MailId,
    /// To whom and what, sealed under the tenant's key.
    pub sealed: Sealed,
    /// How long it is worth sending, milliseconds.
    pub ttl_ms: u64,
    /// Whether it is kept to be read, because there is no server to send it.
    pub kept: bool,
}

/// A one-time secret, and the letter that carries it to its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailing {
    /// Hash of the secret.
    pub token: SecretHash,
    /// The letter; the secret is good for as long as the letter is worth sending.
    pub letter: Letter,
}

/// The answer to who asks for a mail: the same whether there is anybody to send it to or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailed {
    /// How much more may be asked for this address; `None` where that is not limited.
    pub level: Option<Level>,
    /// The magic link that was asked for, and until when it is good.
    pub link: Option<(MagicLinkId, Moment)>,
}

/// What can be done with the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// These mails were sent, or given up.
    Remove(Vec<MailId>),
}

impl Letter {
    /// Puts it into the outbox, for whoever has the normalised address `to`.
    pub(crate) fn post(self, step: &mut Step<'_, '_>, to: &str) -> Result<(), Stop> {
        let mut queue = queue(step)?;
        if self.kept {
            make_room(step, &mut queue)?;
            queue.kept += 1;
        } else {
            require_room(step)?;
            queue.waiting += 1;
        }
        let ttl_ms = if self.kept { KEPT_MS } else { self.ttl_ms };
        let mail = Mail {
            id: self.id,
            sealed: self.sealed,
            created: step.now,
            expires: Moment(step.now.0.saturating_add(ttl_ms)),
        };
        let key = keys::mail(step.tenant, self.kept, self.id);
        traces::note(step, Subject::Address(to), &key, mail.expires)?;
        step.put(key, &mail)?;
        step.put(keys::single(step.tenant, Kind::MailQueue), &queue)?;
        step.mail_posted(self.id);
        Ok(())
    }
}

impl Mailing {
    /// Issues the secret and puts the letter into the outbox.
    pub(crate) fn post(
        self,
        step: &mut Step<'_, '_>,
        to: &str,
        content: Content,
    ) -> Result<(), Stop> {
        OneTime::issue(step, &self.token, content, self.letter.ttl_ms)?;
        self.letter.post(step, to)
    }
}

impl Mailed {
    /// Nothing but what is left of the limit.
    pub(crate) fn reply(level: Option<Level>) -> Reply {
        Reply::Mailed(Box::new(Self { level, link: None }))
    }
}

/// Refuses when no mail can be taken. Asked before anything is looked up, so that the refusal is the
/// same for every address.
pub(crate) fn require_room(step: &Step<'_, '_>) -> Result<(), Stop> {
    if has_room(step)? { Ok(()) } else { Err(Rejection::OutboxFull.into()) }
}

/// Whether one more mail may wait to be sent.
pub(crate) fn has_room(step: &Step<'_, '_>) -> Result<bool, Fault> {
    Ok(queue(step)?.waiting < MOST_WAITING)
}

fn queue(step: &Step<'_, '_>) -> Result<Queue, Fault> {
    let queue: Option<Queue> = step.get(&keys::single(step.tenant, Kind::MailQueue))?;
    Ok(queue.unwrap_or_default())
}

/// Removes the oldest kept mail, when there are as many as may be.
fn make_room(step: &mut Step<'_, '_>, queue: &mut Queue) -> Result<(), Fault> {
    if queue.kept < MOST_KEPT {
        return Ok(());
    }
    let mut oldest = None;
    step.records().scan(&keys::mails(step.tenant, true), None, &mut |key, _| {
        oldest = Some(key.to_vec());
        ControlFlow::Break(())
    })?;
    if let Some(oldest) = oldest {
        step.delete(oldest);
        queue.kept -= 1;
    }
    Ok(())
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    let Command::Remove(ids) = command;
    let mut removed = 0;
    for id in ids {
        removed += u32::from(remove(step, &keys::mail(step.tenant, false, id))?);
    }
    Ok(Reply::Count(removed))
}

/// Removes a mail whose time is over.
pub(crate) fn expire(step: &mut Step<'_, '_>, key: &[u8]) -> Result<bool, Stop> {
    let mail: Option<Mail> = step.get(key)?;
    let over = mail.is_some_and(|mail| mail.expires <= step.now);
    Ok(over && remove(step, key)?)
}

/// Removes a mail, if it still lies there.
pub(crate) fn remove(step: &mut Step<'_, '_>, key: &[u8]) -> Result<bool, Fault> {
    if !step.contains(key)? {
        return Ok(false);
    }
    let mut queue = queue(step)?;
    let is_kept = key.starts_with(&keys::mails(step.tenant, true));
    let count = if is_kept { &mut queue.kept } else { &mut queue.waiting };
    *count = count.saturating_sub(1);
    step.delete(key.to_vec());
    step.put(keys::single(step.tenant, Kind::MailQueue), &queue)?;
    Ok(true)
}
