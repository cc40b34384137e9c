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
use crate::traces;

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
    /// A new password, or the first one.
    Set(Box<Set>),
    /// The password was wrong, of somebody who is logged in.
    FailWithin(FailWithin),
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

/// A wrong guess at the password of somebody who is logged in.
///
/// Decision: these are counted apart from guesses at logins, which anybody can make: a stranger who
/// closes an address does not keep its owner from their settings, and whoever has stolen a session has
/// as few guesses as a stranger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailWithin {
    /// Whose.
    pub user: UserId,
    /// When to take no more.
    pub policy: LockoutPolicy,
}

/// A new password, by somebody who has just confirmed that it is they.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// Whose.
    pub user: UserId,
    /// The session it is set from, which stays.
    pub session: SessionId,
    /// Generation of the password that was checked; `None` for a user without one.
    pub verified: Option<u32>,
    /// The new one, as a PHC string.
    pub password: String,
    /// Whether every other session ends.
    pub log_out_others: bool,
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

impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Set").field("user", &self.user).finish_non_exhaustive()
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
        let is_still = self.password_generation() == verified;
        if is_still { Ok(()) } else { Err(Rejection::InvalidCredentials) }
    }

    /// The user, who has just confirmed within a session that it is they: by their password, or
    /// otherwise where they have none.
    pub(crate) fn confirmed(
        step: &Step<'_, '_>,
        user: UserId,
        verified: Option<u32>,
    ) -> Result<Self, Stop> {
        let user = Self::load(step, user)?.ok_or(Rejection::NotFound)?;
        if verified.is_some() {
            refuse_if_locked(step, &within(user.profile.id))?;
        }
        user.password_is_still(verified)?;
        Ok(user)
    }

    /// Sets another password.
    ///
    /// Invariant: no generation comes twice. Where a password is set while there is none, there may
    /// have been one before; counting on from the time is always further than counting passwords.
    pub(crate) fn set_password(&mut self, phc: String, now: Moment) {
        let generation = match self.generation() {
            0 => u32::try_from(now.unix_seconds()).unwrap_or(u32::MAX),
            present => present.saturating_add(1),
        };
        self.password = Some(Password { phc, generation, changed: now });
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
        Command::Change(command) => Set::from(*command).apply(step),
        Command::Enter(command) => command.apply(step),
        Command::Set(command) => command.apply(step),
        Command::FailWithin(command) => command.apply(step),
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
        count(step, &self.email, self.user, &self.email, &self.policy)
    }
}

impl FailWithin {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        count(step, &within(self.user), Some(self.user), &user.profile.email, &self.policy)
    }
}

/// Counts a wrong guess under `name`.
fn count(
    step: &mut Step<'_, '_>,
    name: &str,
    user: Option<UserId>,
    email: &str,
    policy: &LockoutPolicy,
) -> Result<Reply, Stop> {
    let before = refuse_if_locked(step, name)?;
    let lockout = Lockout::with_one_more(before, policy, step.now);
    step.record(
        Draft::new(EventKind::LoginFailed, user)
            .with("method", "password")
            .with("success", false)
            .with_personal("email", email),
    );
    if let Some(until) = lockout.locked_until {
        step.record(
            Draft::new(EventKind::AccountLocked, user)
                .with("until", until.to_string().as_str())
                .with_personal("email", email),
        );
    }
    step.put(keys::lockout(step.tenant, name), &lockout)?;
    Ok(Reply::WrongGuess)
}

/// Under which name wrong guesses within a user's sessions are counted; no address reads like it.
pub fn within(user: UserId) -> String {
    user.to_string()
}

impl From<Change> for Set {
    fn from(change: Change) -> Self {
        let Change { user, session, verified, password, log_out_others } = change;
        Self { user, session, verified: Some(verified), password, log_out_others }
    }
}

impl Set {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        sessions::require_live(step, self.user, self.session)?;
        let mut user = User::confirmed(step, self.user, self.verified)?;
        unlock(step, &user)?;
        user.set_password(self.password, step.now);
        step.record(Draft::new(EventKind::UserPasswordChanged, self.user));
        let ended = if self.log_out_others {
            sessions::end_all(step, &mut user, Some(self.session), EndReason::PasswordChanged)?
        } else {
            0
        };
        traces::void(step, &user)?;
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

/// Forgives every wrong guess at a user's password, at logins and within sessions; says whether there
/// was any.
pub(super) fn unlock(step: &mut Step<'_, '_>, user: &User) -> Result<bool, Fault> {
    let (at_logins, within) = (user.profile.email.as_str(), within(user.profile.id));
    Ok(clear(step, at_logins)? | clear(step, &within)?)
}

/// The right password forgives the wrong ones before it.
fn clear(step: &mut Step<'_, '_>, name: &str) -> Result<bool, Fault> {
    let key = keys::lockout(step.tenant, name);
    let there = step.contains(&key)?;
    if there {
        step.delete(key);
    }
    Ok(there)
}
