//! What goes with a user. Most of it in the entry that ends the account; what the audit log says of
//! them, and most of many answers about them, step by step behind it, each with bounded work, on
//! whichever node leads meanwhile.
//!
//! Invariant: a capability that keeps anything by user stands in `CAPABILITIES`.

use serde::{Deserialize, Serialize};

use super::User;
use crate::capability::sessions::{self, EndReason};
use crate::capability::{audit, mfa, oauth, passkeys, passwords, phones};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Detail, Draft, Event, Personal};
use crate::fault::Fault;
use crate::idempotency;
use crate::ids::UserId;
use crate::keys;
use crate::state_machine::Step;
use crate::traces::{self, Subject};

type Forgets = fn(&mut Step<'_, '_>, &User) -> Result<(), Fault>;

/// What each capability keeps by user, and removes: a few records each.
const CAPABILITIES: [Forgets; 4] = [
    phones::forget,
    |step, user| mfa::erase(step, user.profile.id),
    |step, user| passkeys::erase(step, user.profile.id),
    |step, user| oauth::forget(step, user.profile.id),
];

/// An account that has ended, while the audit log is searched for what it says of the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgetting {
    /// Who is forgotten.
    pub user: UserId,
    /// Their address: failed logins are recorded under it alone.
    pub email: String,
    /// Sequence of the first event that was not looked at yet.
    pub next: u64,
    /// Sequence of the last event that may speak of them.
    pub last: u64,
}

/// One step of forgetting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// Who is forgotten.
    pub user: UserId,
    /// Where the search had come to.
    pub from: u64,
    /// Records of events that speak of them, by the sequence of the first.
    pub found: Vec<u64>,
    /// Where the search has come to.
    pub next: u64,
}

impl Forgetting {
    /// Whether an event speaks of the person who is forgotten.
    pub fn concerns(&self, event: &Event) -> bool {
        let names = |detail: &Detail| match detail {
            Detail::Personal(Personal::Kept(text)) => *text == self.email,
            _ => false,
        };
        event.sequence <= self.last
            && event.salt.is_some()
            && (event.user == Some(self.user)
                || event.details.iter().any(|(_, detail)| names(detail)))
    }
}

/// Ends an account; `deleted` is the event that says so.
pub(crate) fn begin(step: &mut Step<'_, '_>, mut user: User, deleted: Draft) -> Result<(), Fault> {
    let id = user.profile.id;
    sessions::end_all(step, &mut user, None, EndReason::AccountDeleted)?;
    for forgets in CAPABILITIES {
        forgets(step, &user)?;
    }
    step.delete(keys::email(step.tenant, &user.profile.email));
    passwords::unlock(step, &user)?;
    // No mail leaves for who is gone, and no token of theirs is left.
    traces::forget(step, Subject::User(id))?;
    traces::forget(step, Subject::Address(&user.profile.email))?;
    // The first of them at once, which are hardly ever not all; the others step by step.
    idempotency::forget(step, id)?;
    step.delete(keys::user(step.tenant, id));
    step.user_changed(id);
    step.record(deleted);
    // Last: it counts the events of this very command.
    let last = step.last_sequence()?;
    let forgetting = Forgetting { user: id, email: user.profile.email, next: 1, last };
    step.put(keys::forgetting(step.tenant, id), &forgetting)
}

impl Forget {
    /// `Done` once nothing is left to do; until then, in how many records of events the person was found.
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let key = keys::forgetting(step.tenant, self.user);
        let mut forgetting: Forgetting = step.get(&key)?.ok_or(Rejection::NotFound)?;
        if forgetting.next != self.from || self.next < self.from {
            return Err(Rejection::Stale.into());
        }
        for first in &self.found {
            audit::erase(step, *first, &|event| forgetting.concerns(event))?;
        }
        let more_answers = idempotency::forget(step, self.user)?;
        forgetting.next = self.next;
        if forgetting.next > forgetting.last && !more_answers {
            step.delete(key);
            return Ok(Reply::Done);
        }
        step.put(key, &forgetting)?;
        Ok(Reply::Count(u32::try_from(self.found.len()).unwrap_or(u32::MAX)))
    }
}
