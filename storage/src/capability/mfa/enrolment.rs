//! How a second factor comes and goes: an app is enrolled, then shows a code, and only then is asked
//! for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::factors::{Factors, Totp};
use super::guesses::{self, Proof};
use crate::capability::passwords::LockoutPolicy;
use crate::capability::sessions::{self, Method};
use crate::capability::users::User;
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::ids::{SessionId, UserId};
use crate::seal::Sealed;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// How long a seed waits for the first code of its app.
const PENDING_FOR: Duration = Duration::from_secs(3600);

/// A seed for an authenticator app; one that is pending gives way to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enroll {
    /// Whose.
    pub user: UserId,
    /// Generation of the password that was checked; `None` for a user without one.
    pub verified: Option<u32>,
    /// What app and server share, sealed under the tenant's key.
    pub seed: Sealed,
}

/// The first code of an app that was enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enable {
    /// Whose.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
    /// Which of the user's apps.
    pub generation: u32,
    /// The time step that the code is of, if it is of any that counts.
    pub time_step: Option<u64>,
    /// Hashes of the backup codes that come with it.
    pub backup_codes: Vec<SecretHash>,
    /// When wrong codes are taken no more.
    pub policy: LockoutPolicy,
}

/// The end of the second factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disable {
    /// Whose.
    pub user: UserId,
    /// Generation of the password that was checked; `None` for a user without one.
    pub verified: Option<u32>,
    /// The factor, shown for the last time.
    pub proof: Proof,
    /// When wrong codes are taken no more.
    pub policy: LockoutPolicy,
}

/// Other backup codes in the place of those that are left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewBackupCodes {
    /// Whose.
    pub user: UserId,
    /// Generation of the password that was checked; `None` for a user without one.
    pub verified: Option<u32>,
    /// Their hashes.
    pub backup_codes: Vec<SecretHash>,
}

impl Enroll {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        User::confirmed(step, self.user, self.verified)?;
        let mut factors = Factors::load(step, self.user)?;
        factors.generation += 1;
        factors.pending = Some(Totp {
            generation: factors.generation,
            seed: self.seed,
            enrolled: step.now,
            last_step: 0,
        });
        factors.save(step, self.user)?;
        Ok(Reply::Done)
    }
}

impl Enable {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        sessions::require_live(step, self.user, self.session)?;
        let mut factors = Factors::load(step, self.user)?;
        let mut app = factors.pending.take().ok_or(Rejection::NotFound)?;
        if step.now.since(app.enrolled) >= PENDING_FOR {
            return Err(Rejection::NotFound.into());
        }
        guesses::refuse_if_closed(step, self.user)?;
        if !self.time_step.is_some_and(|time_step| app.take(self.generation, time_step)) {
            guesses::count(step, self.user, Method::Totp, &self.policy)?;
            return Ok(Reply::WrongGuess);
        }
        factors.totp = Some(app);
        factors.backup_codes = self.backup_codes;
        factors.showed(self.session, step.now);
        factors.save(step, self.user)?;
        user.profile.mfa_enabled = true;
        user.save(step)?;
        step.record(Draft::new(EventKind::MfaEnabled, self.user).with("method", "totp"));
        Ok(Reply::Done)
    }
}

impl Disable {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = User::confirmed(step, self.user, self.verified)?;
        if Factors::load(step, self.user)?.totp.is_none() {
            return Err(Rejection::NotFound.into());
        }
        if guesses::prove(step, self.user, self.proof, None, &self.policy)?.is_none() {
            return Ok(Reply::WrongGuess);
        }
        // What stays is the count of apps, so that no code of this one is taken for another's.
        let generation = Factors::load(step, self.user)?.generation;
        Factors { generation, ..Factors::default() }.save(step, self.user)?;
        user.profile.mfa_enabled = false;
        user.save(step)?;
        step.record(Draft::new(EventKind::MfaDisabled, self.user).with("method", "totp"));
        Ok(Reply::Done)
    }
}

impl RenewBackupCodes {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        User::confirmed(step, self.user, self.verified)?;
        let mut factors = Factors::load(step, self.user)?;
        if factors.totp.is_none() {
            return Err(Rejection::NotFound.into());
        }
        factors.backup_codes = self.backup_codes;
        factors.save(step, self.user)?;
        step.record(Draft::new(EventKind::UserUpdated, self.user).with("fields", "backupCodes"));
        Ok(Reply::Done)
    }
}
