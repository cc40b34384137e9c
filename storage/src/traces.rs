//! What waits for a person without lying under their name: mails, text messages, tokens, codes and
//! challenges lie where their secrets or their order put them. A trace tells where, by user and by
//! address, so that all of it can be taken back in the entry in which its reason ends.
//!
//! Invariant: whatever is issued or posted about somebody leaves a trace in the same entry.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::capability::users::{Profile, User};
use crate::fault::Fault;
use crate::ids::{SessionId, UserId};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::one_time::{Content, OneTime};
use crate::outbox;
use crate::records::Records;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// Tells that a record is about somebody; its key tells who, and which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// When the record means nothing any more.
    pub expires: Moment,
}

/// Whom a record is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// A user.
    User(UserId),
    /// Whoever has this normalised address.
    Address(&'a str),
    /// A user, by what lets nobody in, and of which anybody can ask for any amount: apart, so that it
    /// holds up no change of a password.
    Challenged(UserId),
}

impl Subject<'_> {
    /// As keys have it. An address is told by its digest alone.
    fn name(self) -> [u8; 17] {
        let mut name = [0; 17];
        match self {
            Self::User(id) => name[1..].copy_from_slice(id.as_bytes()),
            Self::Challenged(id) => {
                name[0] = 2;
                name[1..].copy_from_slice(id.as_bytes());
            }
            Self::Address(address) => {
                name[0] = 1;
                name[1..].copy_from_slice(&SecretHash::of(address).0[..16]);
            }
        }
        name
    }
}

/// Notes that the record under `key` is about somebody.
pub(crate) fn note(
    step: &mut Step<'_, '_>,
    subject: Subject<'_>,
    key: &[u8],
    expires: Moment,
) -> Result<(), Fault> {
    let trace = keys::trace(step.tenant, &subject.name(), key);
    step.put(trace, &Trace { expires })
}

/// Removes whatever waits for somebody who is gone, or for an address that is nobody's any more.
pub(crate) fn forget(step: &mut Step<'_, '_>, subject: Subject<'_>) -> Result<(), Fault> {
    if let Subject::User(id) = subject {
        remove(step, Subject::Challenged(id), |_, _| Ok(true))?;
    }
    remove(step, subject, |_, _| Ok(true))
}

/// Removes what would let somebody in on the strength of what they had shown before. Sessions that end
/// for the same reason have ended before.
///
/// Invariant: what was shown holds only while its user stands as they stood then. A first factor, a
/// code or a link outlives no new password, no suspension, no end of all sessions, no change of the
/// ways in, and no claim of the account by the owner of its address.
pub(crate) fn void(step: &mut Step<'_, '_>, user: &User) -> Result<(), Fault> {
    let Profile { id, email, .. } = &user.profile;
    for subject in [Subject::User(*id), Subject::Address(email)] {
        remove(step, subject, |step, waiting| match waiting {
            Waiting::OneTime(found) => lets_in(step, found),
            Waiting::Mail | Waiting::Text => Ok(false),
        })?;
    }
    Ok(())
}

/// Takes back the text messages on their way to a user.
pub(crate) fn withdraw_texts(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
    remove(step, Subject::User(user), |_, waiting| Ok(matches!(waiting, Waiting::Text)))
}

/// Removes the other codes under which a session was left, of which one has been shown: whoever holds the
/// session now holds it alone.
pub(crate) fn take_back_codes(
    step: &mut Step<'_, '_>,
    user: UserId,
    session: SessionId,
) -> Result<(), Fault> {
    remove(step, Subject::User(user), |_, waiting| {
        let Waiting::OneTime(found) = waiting else { return Ok(false) };
        let content = found.content.unproven();
        let is_left = matches!(content, Content::HandedOver(left) if left.session == session);
        Ok(found.used.is_none() && is_left)
    })
}

/// What was used stays, so that it is told from what never was; and so does what says for itself that
/// its session has ended.
fn lets_in(step: &Step<'_, '_>, found: &OneTime) -> Result<bool, Fault> {
    Ok(found.used.is_none()
        && match found.content.unproven() {
            Content::HandedOver(handed_over) => handed_over.is_live(step)?,
            content => content.lets_in(),
        })
}

/// What a trace leads to.
enum Waiting<'a> {
    Mail,
    Text,
    OneTime(&'a OneTime),
}

fn remove(
    step: &mut Step<'_, '_>,
    subject: Subject<'_>,
    goes: impl Fn(&Step<'_, '_>, Waiting<'_>) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let prefix = keys::traces_of(step.tenant, &subject.name());
    let mut traces = Vec::new();
    step.records().scan(&prefix, None, &mut |trace, _| {
        traces.push(trace.to_vec());
        ControlFlow::Continue(())
    })?;
    for trace in traces {
        let key = keys::traced(step.tenant, &trace[prefix.len()..]);
        let is = |kind| key.starts_with(&keys::range(step.tenant, kind));
        let (is_mail, is_text) = (is(Kind::Mail), is(Kind::TextMessage));
        let is_over = if is_mail {
            goes(step, Waiting::Mail)?
        } else if is_text {
            goes(step, Waiting::Text)?
        } else {
            match step.get::<OneTime>(&key)? {
                Some(found) => goes(step, Waiting::OneTime(&found))?,
                None => true,
            }
        };
        if !is_over {
            continue;
        }
        if is_mail {
            outbox::remove(step, &key)?;
        } else {
            step.delete(key);
        }
        step.delete(trace);
    }
    Ok(())
}
