//! Refusals: why a request is not granted. Only the HTTP floor knows the status of each.

use std::fmt;
use std::time::Duration;

use janua_storage::capability::limits::Level;
use janua_storage::command::Rejection;
use janua_storage::engine::Unavailable;
use janua_storage::fault::Fault;
use janua_storage::ids::ShardId;
use janua_storage::moment::Moment;

use crate::tokens::VerifiedToken;

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

    /// The field that is not of its type. serde's own text may quote the value, and the value may be
    /// a secret, so only what was expected is kept of it.
    pub fn of_type<E: fmt::Display>(error: &serde_path_to_error::Error<E>) -> Self {
        let (path, text) = (error.path().to_string(), error.inner().to_string());
        let text = text.split(" at line ").next().unwrap_or_default();
        for (fault, message) in
            [("missing field `", "is required"), ("duplicate field `", "must be sent once")]
        {
            let name = text.strip_prefix(fault).and_then(|rest| rest.strip_suffix('`'));
            match name {
                Some(name) if path == "." => return Self::new(name, message),
                Some(name) => return Self::new(&format!("{path}.{name}"), message),
                None => {}
            }
        }
        let expected = text.rsplit_once(", expected ").map(|(_, expected)| expected);
        let message = match expected {
            _ if text.starts_with("unknown field ") => "is not known".into(),
            Some(expected) if expected.starts_with("struct ") || expected == "a map" => {
                "expected an object".into()
            }
            Some("u8" | "u16" | "u32" | "u64") => "expected a whole number".into(),
            Some("a boolean") => "expected true or false".into(),
            Some(expected) => format!("expected {expected}"),
            None => "is not of the expected form".into(),
        };
        Self::new(if path == "." { "body" } else { &path }, message)
    }
}

/// What a node has found out of a request and vouches for to the node that it sends it to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vouched {
    /// What its access token says: the signature is good.
    pub token: Option<VerifiedToken>,
    /// Whether it carries the operator's token.
    pub operator: bool,
}

/// Where a request has to go, because this node does not lead the shard that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elsewhere {
    /// The shard that it needs.
    pub shard: ShardId,
    /// What need not be found out again there.
    pub vouched: Vouched,
}

impl Elsewhere {
    /// To the leader of `shard`.
    pub fn to(shard: ShardId) -> Self {
        Self { shard, vouched: Vouched::default() }
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
    /// The password is known from a breach.
    #[error("password was breached")]
    PasswordBreached(Vec<FieldError>),
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
    /// The action wants to know anew who its caller is.
    #[error("authentication is too long ago")]
    ReauthenticationRequired,
    /// The provider gave no address, and an account needs one.
    #[error("the provider gave no e-mail address")]
    EmailRequired,
    /// The account at the provider is a way in to another account, or another one is to this.
    #[error("the identity is linked already")]
    IdentityAlreadyLinked,
    /// Without it nobody would get in any more.
    #[error("this is the last way to log in")]
    LastLoginMethod,
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
    /// Another tenant has this id or slug.
    #[error("id or slug is taken")]
    SlugTaken,
    /// Backups have no recovery key, or another one.
    #[error("backups are encrypted to another recovery key, or to none")]
    RecoveryKey,
    /// More work than fits is waiting already.
    #[error("too busy")]
    Overloaded {
        /// When to come again.
        retry_after: Duration,
    },
    /// Another node leads the shard. No client hears of it: the request goes there. Nothing was read
    /// or proposed here.
    #[error("another node leads shard {}", .0.shard)]
    Elsewhere(Elsewhere),
    /// Something was proposed, and nobody here knows what came of it. A request that may be repeated
    /// is; any other is told that it failed.
    #[error("unknown outcome in shard {shard}")]
    Unsettled {
        /// Where.
        shard: ShardId,
        /// For the operator; never shown.
        reason: String,
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

    /// The same, with this vouched for where it turns out that another node has to answer.
    pub(crate) fn vouching(self, vouched: Vouched) -> Self {
        match self {
            Self::Elsewhere(elsewhere) => Self::Elsewhere(Elsewhere { vouched, ..elsewhere }),
            refusal => refusal,
        }
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
            Rejection::RegistrationClosed => Self::InsufficientPermissions,
            Rejection::EmailRequired => Self::EmailRequired,
            Rejection::IdentityAlreadyLinked => Self::IdentityAlreadyLinked,
            Rejection::LastLoginMethod => Self::LastLoginMethod,
            Rejection::LimitReached { until } => {
                Self::LimitReached { retry_after: until.since(now), level: None }
            }
            Rejection::OutboxFull => Self::Overloaded { retry_after: OUTBOX_AGAIN },
            Rejection::SessionRevoked => Self::SessionRevoked,
            Rejection::SessionExpired => Self::SessionExpired,
            Rejection::IdempotencyConflict => Self::IdempotencyConflict,
            Rejection::SlugTaken => Self::SlugTaken,
            Rejection::Stale => Self::unavailable("the record changed while it was being changed"),
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
