//! Showing that one reads mail at one's address, and what follows from it.

mod contest;

use serde::{Deserialize, Serialize};

pub(crate) use contest::claim;
pub use contest::{CONFIRMED_FOR, Contest};

use crate::capability::limits::Limit;
use crate::capability::mfa;
use crate::capability::users::{self, Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::ids::UserId;
use crate::keys;
use crate::one_time::{Content, OneTime};
use crate::outbox::{self, Letter, Mailed, Mailing};
use crate::secret::SecretHash;
use crate::state_machine::Step;
use crate::traces;

/// What a mailed token verifies: one address of one user, so that it says nothing of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// Whose.
    pub user: UserId,
    /// The normalised address that it was sent to.
    pub email: String,
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A new account, and a mail to its address.
    Register(Box<Register>),
    /// Another mail to the address of an account.
    Send(Box<Send>),
    /// A token came back.
    Confirm(Confirm),
    /// A token came back from somebody who has not made the account.
    Disown(Disown),
    /// Another mail to an address, for somebody who is not signed in.
    Ask(Box<Ask>),
}

/// Asks for a mail that verifies an address, or takes from its account what a stranger has set up;
/// answered alike whether the address has an account or not, since who asks is not signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Normalised address.
    pub email: String,
    /// The letter.
    pub mailing: Mailing,
    /// How many of these an address gets.
    pub limit: Limit,
}

/// A new account, and a mail to its address; the proposer cannot know whether it has an account
/// already, so it brings the letters for both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The account to be.
    pub register: users::Register,
    /// Asks a newcomer to verify the address.
    pub verification: Mailing,
    /// Tells the owner of an account that somebody has tried to register with their address, where
    /// accounts are hidden.
    pub notice: Letter,
    /// How many of these an address gets.
    pub limit: Limit,
}

/// Another mail to the address of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Whose.
    pub user: UserId,
    /// The address that the letter is addressed to.
    pub email: String,
    /// The letter.
    pub mailing: Mailing,
    /// How many of these an address gets.
    pub limit: Limit,
}

/// A token came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// Its hash.
    pub token: SecretHash,
    /// Who has shown to have the account, by a session of it or by having registered it where they are,
    /// if anybody: nobody confirms for another.
    pub user: Option<UserId>,
}

/// A token came back from somebody who has not made the account that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disown {
    /// Its hash.
    pub token: SecretHash,
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Register(command) => command.apply(step),
        Command::Send(command) => command.apply(step),
        Command::Confirm(command) => command.apply(step),
        Command::Disown(command) => command.apply(step),
        Command::Ask(command) => command.apply(step),
    }
}

impl Register {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let Self { register, verification, notice, limit } = self;
        let (user, email) = (register.id, register.email.clone());
        let is_known = step.contains(&keys::email(step.tenant, &email))?;
        let reply = register.apply(step)?;
        // An account is not refused because no mail can be sent: it can be asked for later.
        if limit.allows(step, &email)? && outbox::has_room(step)? {
            if is_known {
                notice.post(step, &email)?;
            } else {
                let content = Verification { user, email: email.clone() };
                verification.post(step, &email, Content::Verification(content))?;
            }
        }
        Ok(reply)
    }
}

impl Send {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        if user.profile.email != self.email {
            return Err(Rejection::Stale.into());
        }
        let level = self.limit.take(step, &self.email)?;
        outbox::require_room(step)?;
        if !user.profile.email_verified {
            let verification = Verification { user: self.user, email: self.email.clone() };
            self.mailing.post(step, &self.email, Content::Verification(verification))?;
        }
        Ok(Mailed::reply(level))
    }
}

impl Ask {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let level = self.limit.take(step, &self.email)?;
        outbox::require_room(step)?;
        if let Some(user) = User::by_email(step, &self.email)?
            && user.status == Status::Active
            && (!user.profile.email_verified || Contest::of(step, user.profile.id)?.is_some())
        {
            let verification = Verification { user: user.profile.id, email: self.email.clone() };
            self.mailing.post(step, &self.email, Content::Verification(verification))?;
        }
        Ok(Mailed::reply(level))
    }
}

impl Confirm {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let (found, mut user) = about(step, &self.token)?;
        let id = user.profile.id;
        if self.user.is_some_and(|owner| owner != id) {
            return Err(Rejection::InvalidToken.into());
        }
        let is_open = matches!(Contest::of(step, id)?, Some(Contest::Confirmed { .. }));
        if user.profile.email_verified && !(is_open && self.user.is_some()) {
            // Nothing comes of it, so it is not used up: its reader may yet say that it was not they.
            return Ok(Reply::Done);
        }
        found.spend(step, &self.token)?;
        match self.user {
            Some(_) => Contest::owned(step, id)?,
            None => Contest::confirmed(step, id)?,
        }
        verify(step, &mut user);
        user.save(step)?;
        Ok(Reply::Done)
    }
}

impl Disown {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let (found, mut user) = about(step, &self.token)?;
        let id = user.profile.id;
        if user.profile.email_verified && Contest::of(step, id)?.is_none() {
            return Err(Rejection::InvalidToken.into());
        }
        found.spend(step, &self.token)?;
        contest::disown(step, &mut user)?;
        if std::mem::take(&mut user.profile.mfa_enabled) {
            step.record(Draft::new(EventKind::MfaDisabled, id));
        }
        mfa::erase(step, id)?;
        traces::void(step, &user)?;
        user.save(step)?;
        Ok(Reply::Done)
    }
}

/// The user whose address a token was sent to, if they still have it.
fn about(step: &Step<'_, '_>, token: &SecretHash) -> Result<(OneTime, User), Stop> {
    let found = OneTime::find(step, token)?;
    let Content::Verification(verification) = found.content.clone() else {
        return Err(Rejection::InvalidToken.into());
    };
    let user = User::load(step, verification.user)?;
    let user = user.filter(|user| user.profile.email == verification.email);
    Ok((found, user.ok_or(Rejection::InvalidToken)?))
}

/// Notes that the user has shown that they read mail at their address. The caller saves the record.
fn verify(step: &mut Step<'_, '_>, user: &mut User) {
    if !user.profile.email_verified {
        user.profile.email_verified = true;
        step.record(
            Draft::new(EventKind::EmailVerified, user.profile.id)
                .with_personal("email", &user.profile.email),
        );
    }
}
