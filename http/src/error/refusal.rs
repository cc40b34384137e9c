//! What the actors refuse, as a client hears it.

use std::time::Duration;

use janua_actors::refusal::{FieldError, Refusal};

use super::{Code, Detail, Error};
use crate::forwarding::Route;
use crate::limits::Shown;

/// When a client should ask again for what cannot be had now.
const ONE_SECOND: Duration = Duration::from_secs(1);

impl From<FieldError> for Detail {
    fn from(error: FieldError) -> Self {
        Self { field: error.field, message: error.message }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let details = |fields: Vec<FieldError>| fields.into_iter().map(Detail::from).collect();
        match refusal {
            Refusal::Invalid(fields) => Self::invalid(details(fields)),
            Refusal::WeakPassword(fields) => {
                Self::new(Code::WeakPassword, "Choose a password that is harder to guess")
                    .with_details(details(fields))
            }
            Refusal::PasswordBreached(fields) => {
                let message = "Choose another password; this one is known to whoever guesses";
                Self::new(Code::PasswordBreached, message).with_details(details(fields))
            }
            Refusal::EmailAlreadyExists => {
                Self::new(Code::EmailAlreadyExists, "An account with this address exists already")
            }
            Refusal::InvalidCredentials => {
                Self::new(Code::InvalidCredentials, "The credentials are not right")
            }
            Refusal::AccountLocked { retry_after } => {
                let message = "Too many failed attempts; wait, or reset the password";
                Self::new(Code::AccountLocked, message).after(retry_after)
            }
            Refusal::AccountSuspended => {
                Self::new(Code::AccountSuspended, "The account is suspended; ask an administrator")
            }
            Refusal::AuthenticationRequired => Self::authentication_required(),
            Refusal::InvalidToken => Self::invalid_token(),
            Refusal::TokenUsed => {
                Self::new(Code::TokenUsed, "The token was used before; ask for a new one")
            }
            Refusal::InvalidMfaCode => {
                Self::new(Code::InvalidMfaCode, "The code is not right; use a fresh one")
            }
            Refusal::MfaRequired => {
                Self::new(Code::MfaRequired, "Show a second factor first: sign in with one")
            }
            Refusal::AccountLinkRequired => Self::new(
                Code::AccountLinkRequired,
                "The address has an account already; sign in to it and link the provider there",
            ),
            Refusal::ReauthenticationRequired => Self::new(
                Code::ReauthenticationRequired,
                "The login is too long ago for this; send the password, or sign in again",
            ),
            Refusal::EmailRequired => Self::new(
                Code::EmailRequired,
                "The provider gave no e-mail address; allow it to, or sign up otherwise",
            ),
            Refusal::IdentityAlreadyLinked => Self::new(
                Code::IdentityAlreadyLinked,
                "An account of this provider is linked already; unlink it there first",
            ),
            Refusal::LastLoginMethod => Self::new(
                Code::LastLoginMethod,
                "This is the last way to sign in; add another one before you remove it",
            ),
            Refusal::LimitReached { retry_after, level } => {
                Self::rate_limited(retry_after).counted(level.map(Shown::from))
            }
            Refusal::SessionRevoked => {
                Self::new(Code::SessionRevoked, "The session was ended; sign in again")
            }
            Refusal::SessionExpired => {
                Self::new(Code::SessionExpired, "The access token has expired; refresh it")
            }
            Refusal::InsufficientPermissions => {
                Self::new(Code::InsufficientPermissions, "The caller may not do this")
            }
            Refusal::NotFound => Self::not_found(),
            Refusal::TenantMismatch => Self::tenant_mismatch(),
            Refusal::IdempotencyConflict => Self::new(
                Code::IdempotencyConflict,
                "The Idempotency-Key came with another request before; use a new one",
            ),
            Refusal::SlugTaken => {
                Self::new(Code::SlugTaken, "Another tenant has this id or slug; choose another")
            }
            Refusal::RecoveryKey => Self::new(
                Code::RecoveryKeyConflict,
                "Backups are encrypted to another recovery key, or there is none yet",
            ),
            Refusal::Overloaded { retry_after } => {
                Self::unavailable("The server is busy; try again shortly", retry_after)
            }
            Refusal::Elsewhere(elsewhere) => unavailable().on(Route::Elsewhere(elsewhere)),
            Refusal::Unsettled { shard, reason } => {
                tracing::debug!(%shard, reason, "the outcome of a write is unknown");
                unavailable().on(Route::Unsettled(shard))
            }
            Refusal::Unavailable { reason } => {
                tracing::warn!(reason, "a request could not be served");
                unavailable()
            }
        }
    }
}

fn unavailable() -> Error {
    Error::unavailable("The service is unavailable; try again shortly", ONE_SECOND)
}
