//! The codes of the API, and the status that carries each.

use http::StatusCode;

/// The codes of the API. `ALL` lists them for the documents and the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The request cannot be parsed, or a field is missing, malformed or of the wrong type.
    ValidationError,
    /// The head of the request is larger than the server takes.
    HeadersTooLarge,
    /// The body did not arrive in time.
    RequestTimeout,
    /// No credential, or not one of the kind that the endpoint takes.
    AuthenticationRequired,
    /// Address or password are wrong.
    InvalidCredentials,
    /// Unknown, expired, revoked or foreign token.
    InvalidToken,
    /// A token that was good for one use, and has had it.
    TokenUsed,
    /// The code of a second factor is wrong.
    InvalidMfaCode,
    /// The session was ended.
    SessionRevoked,
    /// The access token or its session has run out.
    SessionExpired,
    /// Known, but not allowed.
    InsufficientPermissions,
    /// The session has not shown the second factor that is demanded.
    MfaRequired,
    /// Two sources name different tenants.
    TenantMismatch,
    /// The action wants to know anew who its caller is.
    ReauthenticationRequired,
    /// The account is switched off.
    AccountSuspended,
    /// No such thing, or not the caller's.
    ResourceNotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The address is taken.
    EmailAlreadyExists,
    /// The address has an account that must be linked from inside.
    AccountLinkRequired,
    /// Another tenant has this id or slug.
    SlugTaken,
    /// Backups are encrypted to another recovery key, or to none.
    RecoveryKeyConflict,
    /// The account at the provider, or another one there, is linked already.
    IdentityAlreadyLinked,
    /// Without it nobody would get in any more.
    LastLoginMethod,
    /// The same idempotency key with another request.
    IdempotencyConflict,
    /// The body is larger than the server takes.
    PayloadTooLarge,
    /// The body is not JSON.
    UnsupportedMediaType,
    /// The provider gave no address, and an account needs one.
    EmailRequired,
    /// The password policy refuses it.
    WeakPassword,
    /// The password is known from a breach.
    PasswordBreached,
    /// Too many wrong passwords.
    AccountLocked,
    /// Too many requests.
    RateLimitExceeded,
    /// Something broke.
    InternalError,
    /// Overloaded, without a quorum, or stopping.
    ServiceUnavailable,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 33] = [
        Self::ValidationError,
        Self::HeadersTooLarge,
        Self::RequestTimeout,
        Self::AuthenticationRequired,
        Self::InvalidCredentials,
        Self::InvalidToken,
        Self::TokenUsed,
        Self::InvalidMfaCode,
        Self::SessionRevoked,
        Self::SessionExpired,
        Self::InsufficientPermissions,
        Self::MfaRequired,
        Self::TenantMismatch,
        Self::ReauthenticationRequired,
        Self::AccountSuspended,
        Self::ResourceNotFound,
        Self::MethodNotAllowed,
        Self::EmailAlreadyExists,
        Self::AccountLinkRequired,
        Self::SlugTaken,
        Self::RecoveryKeyConflict,
        Self::IdentityAlreadyLinked,
        Self::LastLoginMethod,
        Self::EmailRequired,
        Self::IdempotencyConflict,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::WeakPassword,
        Self::PasswordBreached,
        Self::AccountLocked,
        Self::RateLimitExceeded,
        Self::InternalError,
        Self::ServiceUnavailable,
    ];

    /// As it stands in the envelope.
    pub const fn as_str(self) -> &'static str {
        self.entry().1
    }

    /// The status that carries it.
    pub const fn status(self) -> StatusCode {
        self.entry().0
    }

    /// How a 401 asks for what is missing, or says that what was sent is no good (RFC 6750 §3).
    pub(super) const fn challenge(self) -> Option<&'static str> {
        match self {
            Self::AuthenticationRequired | Self::InvalidCredentials | Self::InvalidMfaCode => {
                Some("Bearer")
            }
            Self::InvalidToken | Self::TokenUsed | Self::SessionRevoked | Self::SessionExpired => {
                Some("Bearer error=\"invalid_token\"")
            }
            _ => None,
        }
    }

    const fn entry(self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::ValidationError => (S::BAD_REQUEST, "validation_error"),
            Self::HeadersTooLarge => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
            Self::RequestTimeout => (S::REQUEST_TIMEOUT, "request_timeout"),
            Self::AuthenticationRequired => (S::UNAUTHORIZED, "authentication_required"),
            Self::InvalidCredentials => (S::UNAUTHORIZED, "invalid_credentials"),
            Self::InvalidToken => (S::UNAUTHORIZED, "invalid_token"),
            Self::TokenUsed => (S::UNAUTHORIZED, "token_used"),
            Self::InvalidMfaCode => (S::UNAUTHORIZED, "invalid_mfa_code"),
            Self::MfaRequired => (S::FORBIDDEN, "mfa_required"),
            Self::AccountLinkRequired => (S::CONFLICT, "account_link_required"),
            Self::IdentityAlreadyLinked => (S::CONFLICT, "identity_already_linked"),
            Self::LastLoginMethod => (S::CONFLICT, "last_login_method"),
            Self::EmailRequired => (S::UNPROCESSABLE_ENTITY, "email_required"),
            Self::ReauthenticationRequired => (S::FORBIDDEN, "reauthentication_required"),
            Self::SessionRevoked => (S::UNAUTHORIZED, "session_revoked"),
            Self::SessionExpired => (S::UNAUTHORIZED, "session_expired"),
            Self::InsufficientPermissions => (S::FORBIDDEN, "insufficient_permissions"),
            Self::TenantMismatch => (S::FORBIDDEN, "tenant_mismatch"),
            Self::AccountSuspended => (S::FORBIDDEN, "account_suspended"),
            Self::ResourceNotFound => (S::NOT_FOUND, "resource_not_found"),
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::EmailAlreadyExists => (S::CONFLICT, "email_already_exists"),
            Self::SlugTaken => (S::CONFLICT, "slug_taken"),
            Self::RecoveryKeyConflict => (S::CONFLICT, "recovery_key_conflict"),
            Self::IdempotencyConflict => (S::CONFLICT, "idempotency_conflict"),
            Self::PayloadTooLarge => (S::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Self::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::WeakPassword => (S::UNPROCESSABLE_ENTITY, "weak_password"),
            Self::PasswordBreached => (S::UNPROCESSABLE_ENTITY, "password_breached"),
            Self::AccountLocked => (S::LOCKED, "account_locked"),
            Self::RateLimitExceeded => (S::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            Self::InternalError => (S::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::ServiceUnavailable => (S::SERVICE_UNAVAILABLE, "service_unavailable"),
        }
    }
}
