//! Whose an account is, while nothing has told. Anybody can register an address, and who reads its mail
//! is its owner: until somebody has shown to be both, the account is contested. ARCHITECTURE.md has the
//! whole of it as a table.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::verify;
use crate::capability::sessions::{self, EndReason};
use crate::capability::users::User;
use crate::capability::{mfa, oauth, passkeys, phones};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::UserId;
use crate::keys;
use crate::moment::Moment;
use crate::state_machine::Step;
use crate::traces;

/// How long the owner of an address has to say that an account which was confirmed by mail alone is
/// not theirs. Bounded, so that mail is worth no second factor for long.
pub const CONFIRMED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is open about an account whose address is verified. Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Contest {
    /// The owner of the address has come, and found nothing but a second factor, which may be a
    /// stranger's.
    ///
    /// Invariant: it is open while the address counts as verified, and ends with that: what it says of
    /// who reads the mail of one address says nothing of another.
    ///
    /// Decision: no time ends it. Every first factor that is left owes something to the mailbox, and
    /// nobody is let in but by showing the second one, which ends it; until then there is nothing in the
    /// account that time would make anybody's, and an end would keep its owner out for good.
    Claimed,
    /// Somebody has confirmed the address who may not have made the account: whatever is in it, and
    /// whatever comes into it, may be a stranger's, who may still be signed in.
    Confirmed {
        /// When it counts as theirs who have used it since.
        until: Moment,
    },
}

impl Contest {
    /// What is open about a user's account.
    pub(crate) fn of(step: &Step<'_, '_>, user: UserId) -> Result<Option<Self>, Fault> {
        let kept: Option<Self> = step.get(&keys::contest(step.tenant, user))?;
        Ok(kept.filter(|contest| contest.is_open(step.now)))
    }

    /// Whether it is still open.
    pub fn is_open(&self, now: Moment) -> bool {
        self.expires().is_none_or(|expires| now < expires)
    }

    /// When it ends by itself, if it does.
    pub fn expires(&self) -> Option<Moment> {
        match self {
            Self::Claimed => None,
            Self::Confirmed { until } => Some(*until),
        }
    }

    /// The address was confirmed by who has shown nothing else.
    pub(super) fn confirmed(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
        match Self::of(step, user)? {
            // Nobody can have been in since.
            Some(Self::Claimed) => Ok(()),
            _ => Self::Confirmed { until: step.now.after(CONFIRMED_FOR) }.begin(step, user),
        }
    }

    /// Whoever is signed in to the account reads the mail of its address too: it is theirs.
    pub(crate) fn owned(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
        if let Some(Self::Confirmed { .. }) = Self::of(step, user)? {
            Self::end(step, user);
        }
        Ok(())
    }

    /// The second factor was shown behind a first one.
    ///
    /// Invariant: it tells only where no first factor of a stranger's is left. Whoever has set up all of
    /// an account can show all of it, however often.
    pub(crate) fn answered(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
        if let Some(Self::Claimed) = Self::of(step, user)? {
            Self::end(step, user);
        }
        Ok(())
    }

    /// There is nothing open any more.
    pub(crate) fn end(step: &mut Step<'_, '_>, user: UserId) {
        step.delete(keys::contest(step.tenant, user));
    }

    fn begin(self, step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
        step.put(keys::contest(step.tenant, user), &self)
    }
}

/// The owner of the address has come, by a way that owes nothing to what the account knew before: a
/// mailed link, or a provider that vouches for the address. The caller saves the record.
///
/// Invariant: who registers an address that is not theirs gains nothing by it. Until the address was
/// verified, every first factor was set by who knows whom, and goes: password, passkeys, identities and
/// sessions.
///
/// The telephone number and the devices go too, and whatever was shown and waits to be completed. What
/// the owner finds of names and pictures is theirs to change.
///
/// Decision: the second factor stays, and is asked for. Whoever has shown an app is not let in without
/// it for having mail read at the address; but until it has been shown, it is contested: an owner whom
/// somebody else's app keeps out says that it is not theirs, by the mail that told them of the account
/// or by another one, for which nobody needs to be signed in.
///
/// Decision: a confirmed account is taken over by nobody who comes, but by their word alone. Most people
/// confirm what they made themselves, on whatever device their mail is read, and would lose their password
/// by the first link that they use.
pub(crate) fn claim(step: &mut Step<'_, '_>, user: &mut User) -> Result<(), Fault> {
    if user.profile.email_verified { Ok(()) } else { take_over(step, user) }
}

/// It is not theirs who made the account.
pub(super) fn disown(step: &mut Step<'_, '_>, user: &mut User) -> Result<(), Fault> {
    match Contest::of(step, user.profile.id)? {
        // What is left of first factors is of who reads the mail.
        Some(Contest::Claimed) => Ok(()),
        Some(Contest::Confirmed { .. }) | None => take_over(step, user),
    }
}

fn take_over(step: &mut Step<'_, '_>, user: &mut User) -> Result<(), Fault> {
    let id = user.profile.id;
    strip(step, user)?;
    mfa::pass_on(step, id)?;
    if user.profile.mfa_enabled {
        Contest::Claimed.begin(step, id)?;
    } else {
        Contest::end(step, id);
    }
    traces::void(step, user)?;
    verify(step, user);
    Ok(())
}

/// Takes from an account every first factor, and what else is not for another to find.
fn strip(step: &mut Step<'_, '_>, user: &mut User) -> Result<(), Fault> {
    let id = user.profile.id;
    if user.password.take().is_some() {
        step.record(Draft::new(EventKind::UserUpdated, id).with("fields", "password"));
    }
    passkeys::remove_all(step, id)?;
    oauth::unlink_all(step, id)?;
    sessions::end_all(step, user, None, EndReason::Revoked)?;
    phones::withdraw(step, id)?;
    if user.profile.phone_number.take().is_some() {
        step.record(Draft::new(EventKind::UserUpdated, id).with("fields", "phoneNumber"));
    }
    user.profile.phone_verified = false;
    user.devices.clear();
    Ok(())
}
