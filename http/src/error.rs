//! Every no that a client can hear: its code, its status, its text. No other file knows statuses of
//! errors. The text is for the client and says what to do; what an operator needs is logged where it
//! happens, and secrets appear in neither.

mod refusal;

use std::borrow::Cow;
use std::time::Duration;

use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::forwarding::Route;
use crate::limits::Shown;
use crate::output::Response;
use crate::stream;

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
    pub const ALL: [Self; 32] = [
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
    const fn challenge(self) -> Option<&'static str> {
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
            Self::AccountLocked => (S::LOCKED, "account_locked"),
            Self::RateLimitExceeded => (S::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            Self::InternalError => (S::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::ServiceUnavailable => (S::SERVICE_UNAVAILABLE, "service_unavailable"),
        }
    }
}

/// One field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// The path of the field: `deviceInfo.userAgent`, `permissions[2]`.
    pub field: String,
    /// What it must be.
    pub message: String,
}

impl Detail {
    /// A field and its fault.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// An answer that is a no. Boxed, so that the way of a yes stays narrow.
#[derive(Debug)]
pub struct Error(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    message: Cow<'static, str>,
    details: Vec<Detail>,
    retry_after: Option<Duration>,
    allow: Option<HeaderValue>,
    shown: Option<Shown>,
    closes: bool,
    route: Option<Route>,
}

impl Error {
    /// A no with its code and what the client should do.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            code,
            message: message.into(),
            details: Vec::new(),
            retry_after: None,
            allow: None,
            shown: None,
            closes: false,
            route: None,
        }))
    }

    /// 400, naming the fields.
    pub fn invalid(details: Vec<Detail>) -> Self {
        let mut error = Self::new(Code::ValidationError, "Invalid input data");
        error.0.details = details;
        error
    }

    /// The same, about fields of an object that is itself a field.
    pub fn within(mut self, field: &str) -> Self {
        for detail in &mut self.0.details {
            detail.field = format!("{field}.{}", detail.field);
        }
        self
    }

    /// 401, when nobody is signed in where somebody must be.
    pub fn authentication_required() -> Self {
        let message = "Sign in and send the access token as Authorization: Bearer";
        Self::new(Code::AuthenticationRequired, message)
    }

    /// 401, for a token or key that is unknown, expired, revoked or another tenant's.
    pub fn invalid_token() -> Self {
        Self::new(Code::InvalidToken, "The token is unknown, expired or revoked")
    }

    /// 403, when key, token and `X-Tenant-ID` do not name the same tenant.
    pub fn tenant_mismatch() -> Self {
        let message = "API key, access token and X-Tenant-ID must name the same tenant";
        Self::new(Code::TenantMismatch, message)
    }

    /// 403, where nobody else may act.
    pub fn only_the_operator() -> Self {
        let message = "Only the operator token may do this; send it as Authorization: Bearer jop_…";
        Self::new(Code::InsufficientPermissions, message)
    }

    /// 404, for what is not there and for what is not the caller's.
    pub fn not_found() -> Self {
        Self::new(Code::ResourceNotFound, "The requested resource does not exist")
    }

    /// 405, with the methods that the path knows.
    pub fn method_not_allowed(allow: HeaderValue) -> Self {
        let message = "The path does not take this method; see the Allow header";
        let mut error = Self::new(Code::MethodNotAllowed, message);
        error.0.allow = Some(allow);
        error
    }

    /// 429, after `wait`.
    pub fn rate_limited(wait: Duration) -> Self {
        let message = "Too many requests. Please try again later.";
        Self::new(Code::RateLimitExceeded, message).after(wait)
    }

    /// 500; the cause belongs in the log.
    pub fn internal() -> Self {
        let message = "Something went wrong on our side; the request id helps us find it";
        Self::new(Code::InternalError, message)
    }

    /// 503, after `wait`.
    pub fn unavailable(message: impl Into<Cow<'static, str>>, wait: Duration) -> Self {
        Self::new(Code::ServiceUnavailable, message).after(wait)
    }

    /// With fields that explain it.
    pub fn with_details(mut self, details: Vec<Detail>) -> Self {
        self.0.details = details;
        self
    }

    /// With the time after which another try makes sense.
    pub fn after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// With the bucket that it was counted in, beside the caller's.
    pub fn counted(mut self, shown: Option<Shown>) -> Self {
        self.0.shown = shown;
        self
    }

    /// With the end of the connection, because the rest of the request is not worth reading.
    pub fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// Not for the client, if there is somebody else to ask.
    pub(crate) fn on(mut self, route: Route) -> Self {
        self.0.route = Some(route);
        self
    }

    /// Where else to ask before this is answered.
    pub(crate) fn route(&self) -> Option<Route> {
        self.0.route
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The fields that explain it.
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    /// The time after which another try makes sense.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What is wrong, in one line.
    pub fn in_one_line(&self) -> String {
        let details = self.0.details.iter();
        let details: Vec<_> =
            details.map(|detail| format!("{}: {}", detail.field, detail.message)).collect();
        if details.is_empty() { self.0.message.to_string() } else { details.join("; ") }
    }

    /// The answer, in the envelope.
    pub fn into_response(self) -> Response {
        let parts = *self.0;
        let retry_after = parts.retry_after.map(whole_seconds);
        let envelope = Envelope {
            success: false,
            error: Body {
                code: parts.code.as_str(),
                message: &parts.message,
                details: &parts.details,
                retry_after,
            },
        };
        // Strings and numbers alone: this cannot fail, and an empty body would still be a no.
        let body = serde_json::to_vec(&envelope).unwrap_or_default();
        let mut response = Response::new(stream::Body::from(body));
        *response.status_mut() = parts.code.status();
        if let Some(shown) = parts.shown {
            response.extensions_mut().insert(shown);
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(challenge) = parts.code.challenge() {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = parts.allow {
            headers.insert(ALLOW, allow);
        }
        if parts.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    seconds.max(1)
}

#[derive(Serialize)]
struct Envelope<'a> {
    success: bool,
    error: Body<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
    details: &'a [Detail],
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

#[cfg(test)]
mod tests;
