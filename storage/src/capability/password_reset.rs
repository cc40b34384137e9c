//! A new password for who has forgotten the old one, and reads mail at the address of the account.

use serde::{Deserialize, Serialize};

use crate::capability::email_verification;
use crate::capability::limits::Limit;
use crate::capability::passwords;
use crate::capability::sessions::{self, EndReason};
use crate::capability::users::{Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::ids::UserId;
use crate::one_time::{Content, OneTime};
use crate::outbox::{self, Mailed, Mailing};
use crate::secret::SecretHash;
use crate::state_machine::Step;
use crate::traces;

/// What a mailed token resets: the password that was in force when it was asked for, of the account
/// that had the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Whose.
    pub user: UserId,
    /// The normalised address that it was sent to.
    pub email: String,
    /// Generation of the password; once another is set, every token for the old one is worth nothing.
    pub generation: u32,
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A mail with a token, if the address has an account.
    Request(Box<Request>),
    /// A token came back with a new password.
    Complete(Box<Complete>),
}

/// Asks for a mail with a token; answered alike whether the address has an account or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Normalised address.
    pub email: String,
    /// The letter.
    pub mailing: Mailing,
    /// How many of these an address gets.
    pub limit: Limit,
}

/// A token came back with a new password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// Its hash.
    pub token: SecretHash,
    /// The new password, as a PHC string.
    pub password: String,
}

impl std::fmt::Debug for Complete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Complete").field("token", &self.token).finish_non_exhaustive()
    }
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Request(command) => command.apply(step),
        Command::Complete(command) => command.apply(step),
    }
}

impl Request {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let level = self.limit.take(step, &self.email)?;
        outbox::require_room(step)?;
        let user = User::by_email(step, &self.email)?;
        if let Some(user) = user.filter(|user| user.status == Status::Active) {
            let generation = user.generation();
            let reset = Reset { user: user.profile.id, email: self.email.clone(), generation };
            self.mailing.post(step, &self.email, Content::Reset(reset))?;
        }
        Ok(Mailed::reply(level))
    }
}

impl Reset {
    /// Whether `user` still is what the token was sent for.
    pub fn is_for(&self, user: &User) -> bool {
        user.profile.id == self.user
            && user.profile.email == self.email
            && user.generation() == self.generation
    }
}

impl Complete {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let found = OneTime::find(step, &self.token)?;
        let Content::Reset(reset) = found.content.clone() else {
            return Err(Rejection::InvalidToken.into());
        };
        let user = User::load(step, reset.user)?.filter(|user| reset.is_for(user));
        let mut user = user.ok_or(Rejection::InvalidToken)?;
        if user.status == Status::Suspended {
            return Err(Rejection::AccountSuspended.into());
        }
        found.spend(step, &self.token)?;
        step.record(Draft::new(EventKind::PasswordReset, reset.user));
        let ended = sessions::end_all(step, &mut user, None, EndReason::PasswordReset)?;
        email_verification::claim(step, &mut user)?;
        passwords::unlock(step, &user)?;
        user.set_password(self.password, step.now);
        traces::void(step, &user)?;
        step.record(Draft::new(EventKind::UserPasswordChanged, reset.user));
        user.save(step)?;
        Ok(Reply::Count(ended))
    }
}
