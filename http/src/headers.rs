//! The headers that every response carries, whatever its status.

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, Entry, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::limits::Shown;
use crate::output::Response;

/// The node that answered for a tenant.
pub const NODE: HeaderName = HeaderName::from_static("x-janua-node");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const BUCKET: HeaderName = HeaderName::from_static("x-ratelimit-bucket");

/// The state of a bucket; nothing when its limit is off.
pub fn rate_limit(headers: &mut HeaderMap, shown: Option<Shown>) {
    let Some(shown) = shown else { return };
    headers.insert(LIMIT, HeaderValue::from(shown.limit));
    headers.insert(REMAINING, HeaderValue::from(shown.remaining));
    headers.insert(RESET, HeaderValue::from(shown.reset));
    headers.insert(BUCKET, HeaderValue::from_static(shown.bucket));
}

/// Keeps answers out of caches, frames, referrers and other types, unless they say otherwise.
pub fn secure(headers: &mut HeaderMap, https: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    unless_set(headers, CACHE_CONTROL, "no-store");
    unless_set(headers, CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    if https {
        let a_year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(STRICT_TRANSPORT_SECURITY, a_year);
    }
}

fn unless_set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if let Entry::Vacant(entry) = headers.entry(name) {
        entry.insert(HeaderValue::from_static(value));
    }
}

/// The answer to `HEAD`: what `GET` would say of itself, without saying it. The length is left out
/// where it is known only once all has been sent (RFC 9110 §8.6), and where nothing would be.
pub fn without_body(response: Response) -> Response {
    use hyper::body::Body;

    let length = response.body().size_hint().exact();
    let has_body = response.status() != StatusCode::NOT_MODIFIED;
    let mut response = response.map(|_| Default::default());
    if let Some(length) = length.filter(|_| has_body) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}
