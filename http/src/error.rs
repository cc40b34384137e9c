//! Every no that a client can hear: its code, its status, its text. No other file knows statuses of
//! errors. The text is for the client and says what to do; what an operator needs is logged where it
//! happens, and secrets appear in neither.

mod code;
mod refusal;

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderValue;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

pub use self::code::Code;
use crate::forwarding::Route;
use crate::limits::Shown;
use crate::output::Response;
use crate::stream;

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
