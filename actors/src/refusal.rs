//! Refusals: why a request is not granted. Only the HTTP floor knows the status of each.

use std::time::Duration;

use janua_storage::capability::limits::Level;
use janua_storage::command::Rejection;
use janua_storage::engine::Unavailable;
use janua_storage::fault::Fault;
use janua_storage::moment::Moment;

/// When to ask again for a mail that the outbox has no room for.
const OUTBOX_AGAIN: Duration = Duration::from_secs(60);

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Its path, as the client wrote it.
    pub field: String,
    /// What would be right.
    pub message: String,
}

impl FieldError {
    /// `field` should be as `message` says.
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Why a request is not granted. What it says is safe to show; what broke inside is only logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fields are missing, malformed or out of range.
    #[error("invalid input data")]
    Invalid(Vec<FieldError>),
    /// The password is too easily guessed.
    #[error("password does not meet the requirements")]
    WeakPassword(Vec<FieldError>),
    /// The address belongs to a user already.
    #[error("email already exists")]
    EmailAlreadyExists,
    /// Address and password do not belong together.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// Too many wrong guesses.
    #[error("account locked after too many failed attempts")]
    AccountLocked {
        /// When guesses are taken again.
        retry_after: Duration,
    },
    /// An administrator has suspended the user.
    #[error("account suspended")]
    AccountSuspended,
    /// Nobody is logged in.
    #[error("authentication required")]
    AuthenticationRequired,
    /// The token was never valid here.
    #[error("invalid token")]
    InvalidToken,
    /// The token was spent before.
    #[error("token already used")]
    TokenUsed,
    /// The code of a second factor is wrong.
    #[error("invalid code")]
    InvalidMfaCode,
    /// The action demands a second factor that the session has not shown.
    #[error("multi-factor authentication required")]
    MfaRequired,
    /// The address has an account that must be linked from inside.
    #[error("the account must be linked by its owner")]
    AccountLinkRequired,
    /// Too many of these for one address.
    #[error("rate limit exceeded")]
    LimitReached {
        /// When the next one is taken.
        retry_after: Duration,
        /// What an answer shows of the limit, where it shows it.
        level: Option<Level>,
    },
    /// Somebody ended the session.
    #[error("session revoked")]
    SessionRevoked,
    /// The token or its session ran out.
    #[error("session expired")]
    SessionExpired,
    /// The caller may not do this.
    #[error("insufficient permissions")]
    InsufficientPermissions,
    /// There is no such thing, or it is another tenant's.
    #[error("resource not found")]
    NotFound,
    /// Two parts of the request name two tenants.
    #[error("the request names two tenants")]
    TenantMismatch,
    /// The idempotency key came with another request before.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// More work than fits is waiting already.
    #[error("too busy")]
    Overloaded {
        /// When to come again.
        retry_after: Duration,
    },
    /// The truth cannot be had or kept at the moment.
    #[error("service unavailable")]
    Unavailable {
        /// For the operator; never shown.
        reason: String,
    },
}

impl Refusal {
    /// One field is not as it should be.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }

    /// Something that should not happen did; `reason` is for the operator.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    /// What the state's no means to a client at the moment `now`.
    pub(crate) fn from_rejection(rejection: Rejection, now: Moment) -> Self {
        match rejection {
            Rejection::NotFound => Self::NotFound,
            Rejection::EmailAlreadyExists => Self::EmailAlreadyExists,
            Rejection::InvalidCredentials => Self::InvalidCredentials,
            Rejection::AccountLocked { until } => {
                Self::AccountLocked { retry_after: until.since(now) }
            }
            Rejection::AccountSuspended => Self::AccountSuspended,
            Rejection::InvalidToken => Self::InvalidToken,
            Rejection::TokenUsed => Self::TokenUsed,
            Rejection::InvalidMfaCode => Self::InvalidMfaCode,
            Rejection::AccountLinkRequired => Self::AccountLinkRequired,
            Rejection::LimitReached { until } => {
                Self::LimitReached { retry_after: until.since(now), level: None }
            }
            Rejection::OutboxFull => Self::Overloaded { retry_after: OUTBOX_AGAIN },
            Rejection::SessionRevoked => Self::SessionRevoked,
            Rejection::SessionExpired => Self::SessionExpired,
            Rejection::IdempotencyConflict => Self::IdempotencyConflict,
            Rejection::Stale => Self::unavailable("the record changed while it was being changed"),
            Rejection::RegistrationClosed
            | Rejection::EmailRequired
            | Rejection::IdentityAlreadyLinked
            | Rejection::LastLoginMethod => Self::InsufficientPermissions,
            Rejection::CredentialExists => Self::field("id", "is registered already"),
            Rejection::TooMany => Self::field("id", "is one more than an account may have"),
            Rejection::AlreadyExists => Self::unavailable("an id was drawn twice"),
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(unavailable: Unavailable) -> Self {
        Self::unavailable(unavailable.to_string())
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::unavailable(fault.to_string())
    }
}
