//! Cross-origin requests, by the rules of each tenant (Fetch Standard, CORS protocol). Credentials
//! travel in headers that a page must know to send, never in cookies, so what these rules guard is
//! the reading of answers.

mod judge;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

pub(crate) use self::judge::{judge, judge_as_followed, judge_at_last};
use crate::output::Response;

const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, x-api-key, \
                               x-organization-id, x-request-id, x-tenant-id";
const EXPOSED: &str = "retry-after, x-janua-node, x-ratelimit-bucket, x-ratelimit-limit, \
                       x-ratelimit-remaining, x-ratelimit-reset, x-request-id";

/// The origin of a page that asks, if one does.
pub fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(ORIGIN)
}

/// Whether a browser asks if it may ask.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether a preflight announces a header that names a tenant.
pub fn will_name_a_tenant(preflight: &HeaderMap) -> bool {
    let lines = preflight.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    names.map(str::trim).any(|name| {
        let known = ["authorization", "x-api-key", "x-tenant-id"];
        known.iter().any(|known| name.eq_ignore_ascii_case(known))
    })
}

/// The answer to `OPTIONS`, for a path with these methods.
pub fn options(allow: &HeaderValue, preflight: bool) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ALLOW, allow.clone());
    if preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

/// Lets a page of `origin` read the response when the tenant allows that origin: exactly as listed,
/// or any by `*`, which never allows credentials.
pub fn admit(response: &mut HeaderMap, origin: &HeaderValue, allowed: &[String]) {
    let exact = allowed.iter().any(|known| known.as_bytes() == origin.as_bytes());
    if !exact && !allowed.iter().any(|known| known == "*") {
        return;
    }
    if exact {
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    } else {
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
}

/// Lets any page read the response.
pub fn admit_all(response: &mut HeaderMap) {
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Lets a page of `origin` send what it asks to send. Whether it may read the answer is said by that
/// answer.
pub fn let_ask(response: &mut HeaderMap, origin: &HeaderValue) {
    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
}

/// Whether an origin has been admitted.
pub fn is_admitted(response: &HeaderMap) -> bool {
    response.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN)
}

/// Strikes what a preflight would permit, for an origin that has not been admitted.
pub fn strike_unadmitted(response: &mut HeaderMap) {
    if !is_admitted(response) {
        response.remove(ACCESS_CONTROL_ALLOW_METHODS);
        response.remove(ACCESS_CONTROL_ALLOW_HEADERS);
        response.remove(ACCESS_CONTROL_MAX_AGE);
    }
}

/// Tells caches that the answer depends on the origin.
pub fn vary(response: &mut HeaderMap) {
    response.append(VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(origin: &str, allowed: &[&str]) -> HeaderMap {
        let allowed: Vec<String> = allowed.iter().map(|&origin| origin.into()).collect();
        let mut headers = HeaderMap::new();
        admit(&mut headers, &HeaderValue::from_str(origin).unwrap(), &allowed);
        headers
    }

    #[test]
    fn only_listed_origins_are_admitted() {
        let headers = admitted("https://app.example", &["https://app.example"]);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        for foreign in ["https://app.example.evil", "http://app.example", "null"] {
            assert!(admitted(foreign, &["https://app.example"]).is_empty(), "{foreign}");
        }
    }

    #[test]
    fn any_origin_is_admitted_without_credentials() {
        let headers = admitted("https://elsewhere.example", &["*"]);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }
}
