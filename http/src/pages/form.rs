//! What a page's form posts, and whether it was this browser that was given the form.
//!
//! Invariant: no form is acted on unless its request comes from our own pages, as the browser says
//! (`Sec-Fetch-Site`, else `Origin`), and holds the same text as the browser's cookie. The cookie is
//! `SameSite=Lax`, so a form of a foreign site comes without it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use garde::Validate;
use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use utoipa::openapi::Required;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};

use crate::call::Call;
use crate::error::{Code, Detail, Error};
use crate::input::{FORM, Input, Schemas, reference};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The fields of a posted form. All are text, and what is missing is empty: what is wrong with them
/// is said on the page.
pub struct Form<T>(pub T);

impl<T> Input for Form<T>
where
    T: DeserializeOwned + Validate<Context = ()> + ToSchema + Send + 'static,
{
    const TAKES_BODY: bool = true;
    const MEDIA_TYPE: &'static str = FORM;

    fn decode(_: &Call, body: &[u8]) -> Result<Self, Error> {
        let mut fields = Map::new();
        for (name, value) in url::form_urlencoded::parse(body) {
            if fields.insert(name.clone().into_owned(), Value::from(&*value)).is_some() {
                return Err(Error::invalid(vec![Detail::new(name, "must be sent once")]));
            }
        }
        let malformed = |_| Error::invalid(vec![Detail::new("body", "is not of this form")]);
        serde_json::from_value(Value::Object(fields)).map(Self).map_err(malformed)
    }

    fn describe(schemas: &mut Schemas) -> Option<RequestBody> {
        let content = ContentBuilder::new().schema(Some(reference::<T>(schemas))).build();
        let body = RequestBodyBuilder::new().content(FORM, content);
        Some(body.required(Some(Required::True)).build())
    }
}

/// Refuses a form that another site has sent, or that this browser was not given.
pub fn guard(headers: &HeaderMap, cookie: Option<&str>, sent: &str) -> Result<(), Error> {
    let given = cookie.is_some_and(|cookie| digest(cookie) == digest(sent));
    if given && is_our_own(headers) { Ok(()) } else { Err(stale()) }
}

/// The refusal of what was begun in another browser.
pub fn stale() -> Error {
    let message = "The form was not given to this browser, or too long ago; open its page again";
    Error::new(Code::InsufficientPermissions, message)
}

/// What ties a way through another site to the browser with this cookie, without telling it.
pub fn tie(cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&format!("tie {cookie}"))[..16])
}

/// What a mailed link tells of the browser with this cookie, by what it has done there: enough to know it
/// again, and nothing that ties a way through another site, since who reads the mail may be another.
pub fn mark(done: &str, cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&format!("{done} {cookie}"))[..16])
}

/// What answers the challenge of whatever the browser with this cookie has begun (RFC 7636 §4.1).
/// Nobody else can tell it, and the browser is never told.
pub fn verifier(cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&format!("verifier {cookie}")))
}

/// Digests take as long to compare whatever they hold.
fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Whether one of our own pages has sent a request. `Origin` is `null` where a page hides its
/// address from whom it calls, as ours do; then the cookie has to tell.
fn is_our_own(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(&FETCH_SITE) {
        return matches!(site, "same-origin" | "none");
    }
    match text(&ORIGIN) {
        None | Some("null") => true,
        Some(origin) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some_and(|authority| text(&HOST) == Some(authority))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn comes(lines: &[(&'static str, &'static str)]) -> bool {
        let headers = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        guard(&headers, Some("given"), "given").is_ok()
    }

    #[test]
    fn a_foreign_site_sends_no_form() {
        assert!(comes(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(comes(&[("host", "id.example"), ("origin", "https://id.example")]));
        assert!(comes(&[]));
        for site in ["cross-site", "same-site"] {
            assert!(!comes(&[("sec-fetch-site", site)]), "{site}");
        }
        assert!(!comes(&[("host", "id.example"), ("origin", "https://evil.example")]));
        assert!(!comes(&[("host", "id.example"), ("origin", "https://id.example.evil")]));
    }

    #[test]
    fn a_form_belongs_to_the_browser_that_was_given_it() {
        let headers = HeaderMap::new();
        assert!(guard(&headers, Some("a"), "a").is_ok());
        assert!(guard(&headers, Some("a"), "b").is_err());
        assert!(guard(&headers, Some("a"), "").is_err());
        assert!(guard(&headers, None, "").is_err());
    }
}
