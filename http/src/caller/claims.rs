//! What the headers of a request claim of who calls and for which tenant. Nothing is confirmed here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use janua_storage::ids::TenantId;
use serde::Deserialize;

use crate::error::{Detail, Error};

/// Where the key of an application stands.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Where a request names its tenant.
pub const TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");

/// What the reference's examples send in place of a key.
///
/// Decision: it counts as no key, so that those lines work as pasted wherever requests without a
/// key do. It grants nothing: no key can be this text.
const PLACEHOLDER_KEY: &str = "your-api-key";

/// What the headers claim, unconfirmed.
pub struct Claims<'a> {
    /// The token of `Authorization`, whosever it is.
    pub bearer: Option<&'a str>,
    /// The key of an application.
    pub api_key: Option<&'a str>,
    /// The tenant that `X-Tenant-ID` names.
    pub tenant: Option<TenantId>,
}

impl<'a> Claims<'a> {
    /// Reads them; a header that says two things is refused.
    pub fn read(headers: &'a HeaderMap) -> Result<Self, Error> {
        let (bearer, api_key) = shown(headers)?;
        let tenant = match single(headers, &TENANT_ID)? {
            Some(id) => Some(id.parse().map_err(|_| Error::not_found())?),
            None => None,
        };
        Ok(Self { bearer, api_key, tenant })
    }

    /// The token of an operator.
    pub fn operator_token(&self) -> Option<&'a str> {
        self.bearer.filter(|token| token.starts_with("jop_"))
    }

    /// The access token of a session.
    pub fn access_token(&self) -> Option<&'a str> {
        self.bearer.filter(|token| !token.starts_with("jop_"))
    }

    /// The tenant that the access token names.
    pub fn tenant_of_token(&self) -> Option<TenantId> {
        self.access_token().and_then(tenant_of)
    }
}

/// Whether headers show neither a token nor a key, whatever tenant they name.
pub fn show_nothing(headers: &HeaderMap) -> bool {
    shown(headers).is_ok_and(|(bearer, api_key)| bearer.or(api_key).is_none())
}

/// The token and the key.
fn shown(headers: &HeaderMap) -> Result<(Option<&str>, Option<&str>), Error> {
    let bearer = single(headers, &AUTHORIZATION)?.and_then(bearer);
    let api_key = single(headers, &API_KEY)?.filter(|key| *key != PLACEHOLDER_KEY);
    Ok((bearer, api_key))
}

/// The one value of a header; two would be a chance for two readers to disagree.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let invalid =
        || Error::invalid(vec![Detail::new(name.as_str(), "must be sent once, as plain text")]);
    text.map(|text| Some(text.trim())).ok_or_else(invalid)
}

/// The token of an `Authorization` header, if that is what it holds (RFC 6750 §2.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

/// The tenant that an access token names. Nothing is trusted here: the token routes itself to the
/// tenant, whose keys then prove it or not.
fn tenant_of(access_token: &str) -> Option<TenantId> {
    #[derive(Deserialize)]
    struct Payload {
        tid: String,
    }
    let payload = access_token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Payload>(&payload).ok()?.tid.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn tokens_are_told_apart() {
        let operator = headers(&[("authorization", "bearer jop_0_x")]);
        let claims = Claims::read(&operator).unwrap();
        assert_eq!((claims.operator_token(), claims.access_token()), (Some("jop_0_x"), None));
        let session = headers(&[("authorization", "Bearer a.b.c")]);
        let claims = Claims::read(&session).unwrap();
        assert_eq!((claims.operator_token(), claims.access_token()), (None, Some("a.b.c")));
        let foreign = headers(&[("authorization", "Basic YTpi")]);
        assert!(Claims::read(&foreign).unwrap().bearer.is_none());
    }

    #[test]
    fn a_header_that_says_two_things_is_refused() {
        let twice = headers(&[("x-api-key", "jpk_1"), ("x-api-key", "jpk_2")]);
        assert!(Claims::read(&twice).is_err());
    }

    #[test]
    fn the_reference_s_placeholder_is_no_key() {
        let pasted = headers(&[("x-api-key", "your-api-key")]);
        assert!(Claims::read(&pasted).unwrap().api_key.is_none());
    }

    #[test]
    fn a_token_names_its_tenant() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"tid":"ten_1","sub":"usr_1"}"#);
        assert_eq!(tenant_of(&format!("x.{payload}.x")), "ten_1".parse().ok());
        assert_eq!(tenant_of("x.nonsense.x"), None);
        assert_eq!(tenant_of("nonsense"), None);
    }
}
