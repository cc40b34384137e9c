//! The one-time codes by which a page picks up the login that a redirect has completed: tokens never
//! travel in a URL.

use serde::{Deserialize, Serialize};

use super::arrive::told_of;
use super::{Arrival, Identity};
use crate::capability::mfa::{self, Entry};
use crate::capability::sessions::Method;
use crate::capability::users::User;
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::UserId;
use crate::one_time::{Content, OneTime};
use crate::pkce::{Challenge, Proof};
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// How long a code waits for its page, milliseconds (RFC 6749 §4.1.2 asks for ten minutes at most).
pub const CODE_TTL_MS: u64 = 60_000;

/// A login that was completed by a redirect, under the hash of its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Who logged in.
    pub user: UserId,
    /// How.
    pub method: Method,
    /// Whether the account was made by it.
    pub is_new_user: bool,
    /// The provider that vouched for them, if one did.
    pub provider: Option<String>,
}

/// The same, worth nothing once the user has another password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundExchange {
    /// The login.
    pub exchange: Exchange,
    /// Generation of the password that the user had then.
    pub password: Option<u32>,
}

/// Turns a code into the session that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redeem {
    /// Hash of the code.
    pub code: SecretHash,
    /// The session to be, or what stands for it while a second factor is asked for.
    pub entry: Entry,
}

/// The same, with what the code's page shows beside it (RFC 7636 §4.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prove {
    /// The code, and the session to be.
    pub redeem: Redeem,
    /// What is shown.
    pub proof: Proof,
}

impl Exchange {
    /// Leaves the login where its page finds it; one that was asked for with a challenge, for whoever
    /// answers it.
    pub(crate) fn leave(
        self,
        step: &mut Step<'_, '_>,
        code: &SecretHash,
        user: &User,
        challenge: Option<Challenge>,
    ) -> Result<(), Stop> {
        let bound = BoundExchange { exchange: self, password: user.password_generation() };
        let content = Content::BoundExchange(bound).proven_by(challenge);
        OneTime::issue(step, code, content, CODE_TTL_MS).map(drop)
    }
}

impl Redeem {
    /// Decision: a code is spent by the first proof that is shown with it, right or wrong, so that
    /// nobody guesses at it (RFC 6749 §10.5). A session that was left under it ends with it: nobody holds
    /// that any more.
    pub(super) fn apply(self, step: &mut Step<'_, '_>, proof: Proof) -> Result<Reply, Stop> {
        let found = OneTime::find(step, &self.code)?;
        if !proof.answers(found.content.challenge()) {
            let content = found.content.clone();
            found.spend(step, &self.code)?;
            refuse(step, content.unproven())?;
            return Ok(Reply::WrongGuess);
        }
        let (exchange, password) = match found.content.unproven().clone() {
            Content::Exchange(exchange) => (exchange, None),
            Content::BoundExchange(bound) => (bound.exchange, Some(bound.password)),
            Content::HandedOver(handed_over) => {
                found.spend(step, &self.code)?;
                let signed_in = handed_over.take_over(step, &self.entry.start)?;
                let entered = Reply::SignedIn(Box::new(signed_in));
                return Ok(Reply::Arrived(Box::new(Arrival { is_new_user: false, entered })));
            }
            _ => return Err(Rejection::InvalidToken.into()),
        };
        let mut user = User::load(step, exchange.user)?.ok_or(Rejection::InvalidToken)?;
        if password.is_some_and(|password| password != user.password_generation()) {
            return Err(Rejection::InvalidToken.into());
        }
        // A way in that has been closed since leads nowhere any more.
        if let Some(provider) = &exchange.provider
            && Identity::load(step, exchange.user, provider)?.is_none()
        {
            return Err(Rejection::InvalidToken.into());
        }
        found.spend(step, &self.code)?;
        let entered = mfa::admit(step, &mut user, exchange.method, self.entry)?;
        if let Some(provider) = &exchange.provider {
            told_of(step, provider);
        }
        user.save(step)?;
        let is_new_user = exchange.is_new_user;
        Ok(Reply::Arrived(Box::new(Arrival { is_new_user, entered })))
    }
}

/// A proof that answers nothing was shown for a login that waited: said in the audit log, since somebody
/// may have seen the code on its way.
fn refuse(step: &mut Step<'_, '_>, content: &Content) -> Result<(), Fault> {
    let user = match content {
        Content::Exchange(exchange) => exchange.user,
        Content::BoundExchange(bound) => bound.exchange.user,
        Content::HandedOver(handed_over) => {
            handed_over.end(step)?;
            handed_over.user
        }
        _ => return Ok(()),
    };
    step.record(
        Draft::new(EventKind::LoginFailed, user)
            .with("method", "code")
            .with("success", false)
            .with("reason", "wrong_verifier"),
    );
    Ok(())
}

impl Prove {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        self.redeem.apply(step, self.proof)
    }
}
