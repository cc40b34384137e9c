//! Showing a second factor, and counting what was shown in vain. A node checks what was shown; that
//! it is good only once, and how often one may be wrong, is decided here.
//!
//! Decision: wrong codes are counted twice. Five of them use up the temporary token that they came
//! with; and all of a user's, over whichever tokens, are counted by the tenant's lockout policy, apart
//! from wrong passwords: whoever guesses codes knows the password, and a right password must not
//! forgive them. While codes are closed (`account_locked`), a passkey still opens.

use serde::{Deserialize, Serialize};

use super::factors::Factors;
use super::{Pending, PendingDevice, let_in};
use crate::capability::email_verification::Contest;
use crate::capability::passkeys::{Aim, Assertion};
use crate::capability::passwords::{Lockout, LockoutPolicy};
use crate::capability::sessions::{self, Method, Start};
use crate::capability::users::{Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::{SessionId, UserId};
use crate::keys;
use crate::one_time::{Content, OneTime};
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// How many wrong codes may be shown with one temporary token.
pub const GUESSES: u32 = 5;

/// A second factor, as a node has checked it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// A code of an authenticator app.
    Totp {
        /// Which of the user's apps it was checked against.
        generation: u32,
        /// The time step that it is of, if it is of any that counts.
        time_step: Option<u64>,
    },
    /// A backup code, by its hash.
    BackupCode(SecretHash),
    /// A passkey.
    Passkey(Box<Assertion>),
}

/// The second factor of a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Hash of the temporary token.
    pub temp_token: SecretHash,
    /// Who it was issued to.
    pub user: UserId,
    /// The factor.
    pub proof: Proof,
    /// When wrong codes are taken no more.
    pub policy: LockoutPolicy,
    /// The session to be.
    pub start: Start,
}

/// A second factor shown once more, within a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUp {
    /// Whose.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// The factor.
    pub proof: Proof,
    /// When wrong codes are taken no more.
    pub policy: LockoutPolicy,
}

impl Pending {
    /// What a temporary token stands for, if it is good.
    fn find(step: &Step<'_, '_>, token: &SecretHash) -> Result<(OneTime, Self), Stop> {
        let found = OneTime::find(step, token)?;
        match found.content.pending().cloned() {
            Some(pending) => Ok((found, pending)),
            None => Err(Rejection::InvalidToken.into()),
        }
    }

    /// Counts a wrong code; with the last of them the token is used up.
    fn count(step: &mut Step<'_, '_>, token: &SecretHash, mut found: OneTime) -> Result<(), Fault> {
        let over = match &mut found.content {
            Content::Pending(pending) | Content::PendingDevice(PendingDevice { pending, .. }) => {
                pending.guesses += 1;
                pending.guesses >= GUESSES
            }
            _ => false,
        };
        if over { found.spend(step, token) } else { found.save(step, token) }
    }
}

impl Content {
    /// The first factor that it stands for, if it does.
    pub fn pending(&self) -> Option<&Pending> {
        match self {
            Self::Pending(pending) | Self::PendingDevice(PendingDevice { pending, .. }) => {
                Some(pending)
            }
            _ => None,
        }
    }
}

impl Answer {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let (found, pending) = Pending::find(step, &self.temp_token)?;
        let mut user = User::load(step, pending.user)?.ok_or(Rejection::InvalidToken)?;
        if pending.user != self.user || user.password_generation() != pending.password {
            return Err(Rejection::InvalidToken.into());
        }
        if user.status == Status::Suspended {
            return Err(Rejection::AccountSuspended.into());
        }
        let aim = Aim::SecondFactor(self.temp_token);
        let Some(second) = prove(step, self.user, self.proof, Some(&aim), &self.policy)? else {
            Pending::count(step, &self.temp_token, found)?;
            return Ok(Reply::WrongGuess);
        };
        found.spend(step, &self.temp_token)?;
        Contest::answered(step, self.user)?;
        let reply = let_in(step, &mut user, vec![pending.first, second], self.start)?;
        user.save(step)?;
        Ok(reply)
    }
}

impl StepUp {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        sessions::require_live(step, self.user, self.session)?;
        if prove(step, self.user, self.proof, None, &self.policy)?.is_none() {
            return Ok(Reply::WrongGuess);
        }
        let mut factors = Factors::load(step, self.user)?;
        factors.showed(self.session, step.now);
        factors.save(step, self.user)?;
        Ok(Reply::Done)
    }
}

/// Which factor it was that was shown, or that it was none and has been counted. A passkey must have
/// been asked for with this aim.
pub(super) fn prove(
    step: &mut Step<'_, '_>,
    user: UserId,
    proof: Proof,
    aim: Option<&Aim>,
    policy: &LockoutPolicy,
) -> Result<Option<Method>, Stop> {
    let (method, good) = match proof {
        Proof::Passkey(assertion) => {
            let found = assertion.ceremony(step)?;
            if Some(&found.aim) != aim || assertion.user != user {
                return Err(Rejection::InvalidToken.into());
            }
            return Ok(assertion.take(step)?.then_some(Method::Passkey));
        }
        Proof::Totp { generation, time_step } => {
            refuse_if_closed(step, user)?;
            let mut factors = Factors::load(step, user)?;
            let good = match (&mut factors.totp, time_step) {
                (Some(app), Some(time_step)) => app.take(generation, time_step),
                _ => false,
            };
            factors.save(step, user)?;
            (Method::Totp, good)
        }
        Proof::BackupCode(hash) => {
            refuse_if_closed(step, user)?;
            let mut factors = Factors::load(step, user)?;
            let before = factors.backup_codes.len();
            factors.backup_codes.retain(|code| *code != hash);
            let good = factors.backup_codes.len() < before;
            factors.save(step, user)?;
            (Method::BackupCode, good)
        }
    };
    if good {
        step.delete(keys::mfa_guesses(step.tenant, user));
        return Ok(Some(method));
    }
    count(step, user, method, policy)?;
    Ok(None)
}

/// Invariant: while codes are closed none is told right from wrong.
pub(super) fn refuse_if_closed(step: &Step<'_, '_>, user: UserId) -> Result<(), Stop> {
    match guesses(step, user)?.and_then(|guesses| guesses.closed(step.now)) {
        Some(until) => Err(Rejection::AccountLocked { until }.into()),
        None => Ok(()),
    }
}

fn guesses(step: &Step<'_, '_>, user: UserId) -> Result<Option<Lockout>, Fault> {
    step.get(&keys::mfa_guesses(step.tenant, user))
}

/// Counts a wrong code; it may be the one that closes them.
pub(super) fn count(
    step: &mut Step<'_, '_>,
    user: UserId,
    method: Method,
    policy: &LockoutPolicy,
) -> Result<(), Fault> {
    let lockout = Lockout::with_one_more(guesses(step, user)?, policy, step.now);
    step.record(
        Draft::new(EventKind::LoginFailed, user)
            .with("method", method.name())
            .with("success", false),
    );
    if let Some(until) = lockout.locked_until {
        step.record(
            Draft::new(EventKind::AccountLocked, user)
                .with("method", method.name())
                .with("until", until.to_string().as_str()),
        );
    }
    step.put(keys::mfa_guesses(step.tenant, user), &lockout)
}
