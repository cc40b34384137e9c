//! Logging in with a password, counting wrong guesses, changing the password. Hashing never happens
//! here: the commands carry what a node has checked, and the generation of what it checked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::capability::mfa::{self, Entry};
use crate::capability::sessions::{self, EndReason, Method, Start};
use crate::capability::users::{Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::{SessionId, UserId};
use crate::keys;
use crate::moment::Moment;
use crate::state_machine::Step;

/// A stored password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    /// Argon2id in the PHC string format, its parameters with it.
    pub phc: String,
    /// How many passwords came before, plus one.
    pub generation: u32,
    /// When it was set.
    pub changed: Moment,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Password(generation {})", self.generation)
    }
}

/// When wrong guesses close an account, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockoutPolicy {
    /// So many wrong guesses; 0 never.
    pub attempts: u32,
    /// Within this time.
    pub window: Duration,
    /// Close it for so long.
    pub duration: Duration,
}

/// The wrong guesses at one address, whether it has an account or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockout {
    /// When each was counted, oldest first; no more than close the address.
    pub failures: Vec<Moment>,
    /// Closed until then.
    pub locked_until: Option<Moment>,
    /// When the record means nothing any more.
    pub expires: Moment,
}

/// What can be done with passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The password was right.
    LogIn(Box<LogIn>),
    /// The password was wrong.
    Fail(Fail),
    /// A new password.
    Change(Box<Change>),
    /// The password was right; a second factor may follow.
    Enter(Box<Enter>),
}

/// A login whose password was right.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogIn {
    /// Who.
    pub user: UserId,
    /// Generation of the password that was checked.
    pub verified: u32,
    /// The same password under the parameters of today, as a PHC string.
    pub rehashed: Option<String>,
    /// The session to be.
    pub start: Start,
}

/// A login whose password was right, and which may have to show a second factor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enter {
    /// Who.
    pub user: UserId,
    /// Generation of the password that was checked.
    pub verified: u32,
    /// The same password under the parameters of today, as a PHC string.
    pub rehashed: Option<String>,
    /// The session to be, or what stands for it while a second factor is asked for.
    pub entry: Entry,
}

/// A wrong guess.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fail {
    /// Normalised address that was guessed at.
    pub email: String,
    /// Its user, if it has one.
    pub user: Option<UserId>,
    /// When to lock.
    pub policy: LockoutPolicy,
}

/// A new password, by somebody who has just shown the old one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whose.
    pub user: UserId,
    /// The session it is changed from, which stays.
    pub session: SessionId,
    /// Generation of the password that was checked.
    pub verified: u32,
    /// The new one, as a PHC string.
    pub password: String,
    /// Whether every other session ends.
    pub log_out_others: bool,
}

impl std::fmt::Debug for LogIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogIn").field("user", &self.user).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Enter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enter").field("user", &self.user).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Lockout {
    /// Until when the address is closed, if it is.
    pub fn closed(&self, now: Moment) -> Option<Moment> {
        self.locked_until.filter(|until| *until > now)
    }

    /// What is known after one more wrong guess at the moment `now`; it may close what was guessed
    /// at.
    pub(crate) fn with_one_more(before: Option<Self>, policy: &LockoutPolicy, now: Moment) -> Self {
        // A lock that is over has settled what came before it.
        let before = before.filter(|old| old.locked_until.is_none());
        let mut failures = before.map_or_else(Vec::new, |old| old.failures);
        failures.retain(|at| now.since(*at) < policy.window);
        // Never more than it is closed for.
        failures.truncate(policy.attempts.saturating_sub(1) as usize);
        failures.push(now);
        if policy.attempts == 0 || failures.len() < policy.attempts as usize {
            return Self { failures, locked_until: None, expires: now.after(policy.window) };
        }
        let until = now.after(policy.duration);
        Self { failures: Vec::new(), locked_until: Some(until), expires: until }
    }
}

impl User {
    /// Invariant: what was decided by a password holds only while it is still the password.
    pub(crate) fn password_is(&self, verified: u32) -> Result<(), Rejection> {
        match &self.password {
            Some(password) if password.generation == verified => Ok(()),
            _ => Err(Rejection::InvalidCredentials),
        }
    }

    /// The same where nobody can show a password that has none.
    pub(crate) fn password_is_still(&self, verified: Option<u32>) -> Result<(), Rejection> {
        if self.password_generation() == verified {
            return Ok(());
        }
        Err(Rejection::InvalidCredentials)
    }

    /// Which of their passwords this is, when they have one.
    pub(crate) fn password_generation(&self) -> Option<u32> {
        self.password.as_ref().map(|password| password.generation)
    }
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::LogIn(command) => command.apply(step),
        Command::Fail(command) => command.apply(step),
        Command::Change(command) => command.apply(step),
        Command::Enter(command) => command.apply(step),
    }
}

impl LogIn {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = right_password(step, self.user, self.verified, self.rehashed)?;
        step.record(
            Draft::new(EventKind::LoggedIn, self.user)
                .with("method", "password")
                .with("success", true),
        );
        let signed_in = sessions::start(step, &mut user, self.start, vec![Method::Password])?;
        user.save(step)?;
        Ok(Reply::SignedIn(Box::new(signed_in)))
    }
}

impl Enter {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = right_password(step, self.user, self.verified, self.rehashed)?;
        let reply = mfa::admit(step, &mut user, Method::Password, self.entry)?;
        user.save(step)?;
        Ok(reply)
    }
}

/// The user whose password was checked, if nothing has changed since that forbids to go on.
fn right_password(
    step: &mut Step<'_, '_>,
    user: UserId,
    verified: u32,
    rehashed: Option<String>,
) -> Result<User, Stop> {
    let mut user = User::load(step, user)?.ok_or(Rejection::InvalidCredentials)?;
    refuse_if_locked(step, &user.profile.email)?;
    user.password_is(verified)?;
    if user.status == Status::Suspended {
        return Err(Rejection::AccountSuspended.into());
    }
    clear(step, &user.profile.email)?;
    if let (Some(password), Some(phc)) = (&mut user.password, rehashed) {
        password.phc = phc;
    }
    Ok(user)
}

impl Fail {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let before = refuse_if_locked(step, &self.email)?;
        let lockout = Lockout::with_one_more(before, &self.policy, step.now);
        step.record(
            Draft::new(EventKind::LoginFailed, self.user)
                .with("method", "password")
                .with("success", false)
                .with_personal("email", &self.email),
        );
        if let Some(until) = lockout.locked_until {
            step.record(
                Draft::new(EventKind::AccountLocked, self.user)
                    .with("until", until.to_string().as_str())
                    .with_personal("email", &self.email),
            );
        }
        step.put(keys::lockout(step.tenant, &self.email), &lockout)?;
        Ok(Reply::WrongGuess)
    }
}

impl Change {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        refuse_if_locked(step, &user.profile.email)?;
        user.password_is(self.verified)?;
        clear(step, &user.profile.email)?;
        let generation = self.verified + 1;
        user.password = Some(Password { phc: self.password, generation, changed: step.now });
        step.record(Draft::new(EventKind::UserPasswordChanged, self.user));
        let ended = if self.log_out_others {
            sessions::end_all(step, &mut user, Some(self.session), EndReason::PasswordChanged)?
        } else {
            0
        };
        user.save(step)?;
        Ok(Reply::Count(ended))
    }
}

/// Invariant: while an address is closed no guess at it is told right from wrong.
pub(super) fn refuse_if_locked(step: &Step<'_, '_>, email: &str) -> Result<Option<Lockout>, Stop> {
    let lockout: Option<Lockout> = step.get(&keys::lockout(step.tenant, email))?;
    match lockout.as_ref().and_then(|lockout| lockout.closed(step.now)) {
        Some(until) => Err(Rejection::AccountLocked { until }.into()),
        None => Ok(lockout),
    }
}

/// The right password forgives the wrong ones before it.
fn clear(step: &mut Step<'_, '_>, email: &str) -> Result<(), Fault> {
    let key = keys::lockout(step.tenant, email);
    if step.contains(&key)? {
        step.delete(key);
    }
    Ok(())
}
