//! What a user has for a second factor, as it lies in the records.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::ids::{SessionId, UserId};
use crate::keys;
use crate::moment::Moment;
use crate::seal::Sealed;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// For how long a second factor that was shown counts as just shown.
pub const SHOWN_FOR: Duration = Duration::from_secs(15 * 60);

/// How many sessions of a user are remembered as having just shown one.
const MOST_SHOWN: usize = 32;

/// The second factors of a user, passkeys aside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factors {
    /// The authenticator app that is asked for.
    pub totp: Option<Totp>,
    /// An app that has not shown a code yet.
    pub pending: Option<Totp>,
    /// How many apps there have been, one that is pending included.
    pub generation: u32,
    /// Hashes of the backup codes that are left.
    pub backup_codes: Vec<SecretHash>,
    /// Sessions that have shown a second factor since they began.
    pub shown: Vec<Shown>,
}

/// An authenticator app (RFC 6238).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totp {
    /// Which of the user's apps.
    pub generation: u32,
    /// What app and server share, sealed under the tenant's key.
    pub seed: Sealed,
    /// When it was enrolled.
    pub enrolled: Moment,
    /// The last time step whose code was taken. Invariant: it only grows, so that no code is taken
    /// twice (RFC 6238 §5.2).
    pub last_step: u64,
}

/// A session that has shown a second factor since it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Which.
    pub session: SessionId,
    /// When.
    pub at: Moment,
}

impl Factors {
    /// Those of a user.
    pub(crate) fn load(step: &Step<'_, '_>, user: UserId) -> Result<Self, Fault> {
        Ok(step.get(&keys::mfa(step.tenant, user))?.unwrap_or_default())
    }

    /// Writes the record.
    pub(crate) fn save(&self, step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
        step.put(keys::mfa(step.tenant, user), self)
    }

    /// Notes that a session has just shown one.
    pub(crate) fn showed(&mut self, session: SessionId, now: Moment) {
        self.shown.retain(|shown| shown.session != session && now.since(shown.at) < SHOWN_FOR);
        if self.shown.len() >= MOST_SHOWN {
            self.shown.remove(0);
        }
        self.shown.push(Shown { session, at: now });
    }

    /// Whether a session has just shown one.
    pub fn has_shown(&self, session: SessionId, now: Moment) -> bool {
        let mut shown = self.shown.iter();
        shown.any(|shown| shown.session == session && now.since(shown.at) < SHOWN_FOR)
    }
}

impl Totp {
    /// Takes the code of a time step, which must be later than that of any code before.
    pub(crate) fn take(&mut self, generation: u32, time_step: u64) -> bool {
        let good = self.generation == generation && time_step > self.last_step;
        if good {
            self.last_step = time_step;
        }
        good
    }
}
