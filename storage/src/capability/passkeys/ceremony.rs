//! Challenges, what they were issued for, and what authenticators made of them.

use serde::{Deserialize, Serialize};

use super::Passkey;
use crate::capability::users::{Status, User};
use crate::command::{Rejection, Stop};
use crate::event::{Draft, EventKind};
use crate::ids::{CredentialId, SessionId, UserId};
use crate::one_time::{Content, OneTime};
use crate::seal::Sealed;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// How long a challenge waits, milliseconds.
pub const CHALLENGE_TTL_MS: u64 = 5 * 60 * 1000;

/// What an authenticator was asked to sign, under the hash of its challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceremony {
    /// What for.
    pub aim: Aim,
    /// What the verifier must know again, sealed under the tenant's key.
    pub state: Sealed,
}

/// What a challenge was issued for; it is good for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aim {
    /// A new passkey.
    Register {
        /// Whose.
        user: UserId,
        /// In which session.
        session: SessionId,
    },
    /// A login.
    LogIn(Whose),
    /// The second factor of the login with this temporary token.
    SecondFactor(SecretHash),
}

/// Who may answer a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whose {
    /// Whoever has a passkey.
    Anybody,
    /// This user.
    User(UserId),
    /// Nobody: the address that was given has no passkey, and its asker must not learn it.
    Nobody,
}

/// What an authenticator has signed, as a node has verified it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// Hash of the challenge that it answers.
    pub challenge: SecretHash,
    /// Whose passkey it is.
    pub user: UserId,
    /// Which.
    pub id: CredentialId,
    /// The signature counter that came with it.
    pub counter: u32,
    /// Whether the passkey has been copied to other devices of its owner.
    pub backed_up: bool,
    /// What the verifier keeps of it from now on, as JSON.
    pub verifier: String,
}

impl Ceremony {
    /// What a challenge was issued for, if it can still be answered.
    pub(super) fn find(
        step: &Step<'_, '_>,
        challenge: &SecretHash,
    ) -> Result<(OneTime, Self), Stop> {
        let found = OneTime::find(step, challenge)?;
        match found.content.clone() {
            Content::Ceremony(ceremony) => Ok((found, ceremony)),
            _ => Err(Rejection::InvalidToken.into()),
        }
    }
}

impl Assertion {
    /// What the challenge was issued for.
    pub(crate) fn ceremony(&self, step: &Step<'_, '_>) -> Result<Ceremony, Stop> {
        Ceremony::find(step, &self.challenge).map(|(_, ceremony)| ceremony)
    }

    /// Spends the challenge and notes the use of the passkey; whether it holds. Invariant: a counter
    /// only grows, whichever of two answers arrives first (WebAuthn §6.1.1).
    pub(crate) fn take(self, step: &mut Step<'_, '_>) -> Result<bool, Stop> {
        let (found, _) = Ceremony::find(step, &self.challenge)?;
        let passkey = Passkey::load(step, self.user, self.id)?;
        let mut passkey = passkey.ok_or(Rejection::InvalidCredentials)?;
        let user = User::load(step, self.user)?.ok_or(Rejection::InvalidCredentials)?;
        if user.status == Status::Suspended {
            return Err(Rejection::AccountSuspended.into());
        }
        found.spend(step, &self.challenge)?;
        if (self.counter > 0 || passkey.counter > 0) && self.counter <= passkey.counter {
            record_failure(step, self.user.into(), POSSIBLE_CLONE);
            return Ok(false);
        }
        passkey.counter = self.counter;
        passkey.backed_up = self.backed_up;
        passkey.verifier = self.verifier;
        passkey.last_used = Some(step.now);
        passkey.save(step)?;
        Ok(true)
    }
}

/// Why an answer with an old counter is refused: two devices may hold the key.
pub const POSSIBLE_CLONE: &str = "possible_clone";

/// An answer that does not hold, for the audit log.
pub(super) fn record_failure(step: &mut Step<'_, '_>, user: Option<UserId>, reason: &str) {
    step.record(
        Draft::new(EventKind::LoginFailed, user)
            .with("method", "passkey")
            .with("success", false)
            .with("reason", reason),
    );
}
