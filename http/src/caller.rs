//! Who calls, for which tenant: read from the request's headers, confirmed by the actors.
//!
//! The tenant is named by the API key, else by the access token, else by `X-Tenant-ID`, else by the
//! configuration. Sources that disagree are an error: whichever of them a proxy or a log believes,
//! it must be the one that we believe.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use janua_actors::capability::api_keys::ApiKeyCaller;
use janua_actors::directory;
use janua_actors::refusal::Vouched;
use janua_actors::settings::Settings;
use janua_actors::tenant::TenantRef;
use janua_storage::ids::{TenantId, TenantNumber};
use janua_storage::secret::Secret;
use serde::Deserialize;

use crate::app::{App, Door};
use crate::endpoint::Access;
use crate::error::{Detail, Error};
use crate::forwarding::Route;
use crate::limits::Who;
use crate::limits::key::{Key, Network};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const TENANT_ID: HeaderName = HeaderName::from_static("x-tenant-id");

/// What the reference's examples send in place of a key.
///
/// Decision: it counts as no key, so that those lines work as pasted wherever requests without a
/// key do. It grants nothing: no key can be this text.
const PLACEHOLDER_KEY: &str = "your-api-key";

/// The caller of a request.
pub struct Caller {
    /// The tenant of the request, unless it names none and there is no default.
    pub tenant: Option<TenantRef>,
    /// Where the default tenant is led, when that is elsewhere and the request may not need it.
    pub(crate) elsewhere: Option<Route>,
    /// Whether the request itself named the tenant.
    pub named_tenant: bool,
    /// The application that calls, if it showed its key.
    pub api_key: Option<ApiKeyCaller>,
    /// Who calls.
    pub credential: Credential,
}

/// What a caller has shown, and the actors confirmed.
pub enum Credential {
    /// Nothing.
    Anonymous,
    /// The access token of a live session.
    Session(directory::Caller),
    /// The operator token.
    Operator,
}

impl Caller {
    fn nobody() -> Self {
        let credential = Credential::Anonymous;
        Self { tenant: None, elsewhere: None, named_tenant: false, api_key: None, credential }
    }

    /// Whose buckets a request from this address is counted in.
    pub fn who(&self, network: Network) -> Who {
        let number = match (&self.tenant, &self.credential) {
            (Some(tenant), _) => tenant.number(),
            (None, Credential::Operator) => TenantNumber::CLUSTER,
            (None, _) => TenantNumber::DEFAULT,
        };
        let mut who = Who::anonymous(number.0, network);
        if let Some(caller) = &self.api_key {
            let id = caller.key.id;
            let one = caller.is_secret();
            who.api = if one { Key::SecretKey(id) } else { Key::PublishableKey(id, network) };
            who.api_rate = caller.key.rate_limit.as_deref().and_then(|rate| rate.parse().ok());
        } else if let Credential::Session(session) = &self.credential {
            who.api = Key::Session(session.session());
        }
        who
    }

    /// Whether the caller holds a permission of the catalogue, by its key.
    ///
    /// Decision: a server that passes on the access token of a user keeps its own permissions.
    pub fn may(&self, permission: &str) -> bool {
        self.api_key.as_ref().is_some_and(|caller| caller.may(permission))
    }

    /// The caller's name in idempotency records.
    pub fn name(&self) -> String {
        match (&self.credential, &self.api_key) {
            (Credential::Session(session), _) => session.session().to_string(),
            (Credential::Operator, _) => "operator".into(),
            (Credential::Anonymous, Some(caller)) => caller.key.id.to_string(),
            (Credential::Anonymous, None) => "anonymous".into(),
        }
    }
}

/// What a request claims, and by which door it has come.
#[derive(Clone, Copy)]
pub struct Claimed<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The door.
    pub door: Door,
}

/// Confirms what the headers claim, as far as the endpoint cares, and as far as no other node has
/// `vouched` for it. If one has `admitted` the request, what it sends for is another tenant than the
/// default one, which is then of no concern.
pub async fn resolve(
    app: &App,
    access: Access,
    claimed: Claimed<'_>,
    vouched: Vouched,
    admitted: bool,
) -> Result<Caller, Error> {
    if access == Access::Service {
        return Ok(Caller::nobody());
    }
    let claims = Claims::read(claimed.headers)?;
    if claims.operator_token().is_some() && !app.lets_operators_in(claimed.door) {
        // Whoever has taken the token out of the operators' network cannot use it, nor try whether it
        // is one.
        return Err(Error::invalid_token());
    }
    match access {
        Access::Service => Ok(Caller::nobody()),
        Access::Permission(_) if claims.operator_token().is_some() => {
            for_a_tenant(app, &claims, vouched).await
        }
        Access::Operator => operator(app, &claims, vouched).await,
        Access::Session | Access::Permission(_) => match claims.access_token() {
            Some(token) => session(app, &claims, token, vouched).await,
            None => anonymous(app, &claims, admitted).await,
        },
        Access::Public => anonymous(app, &claims, admitted).await,
    }
}

/// The tenant that the headers name, for what must be answered without knowing the caller: nothing
/// is confirmed but that the tenant exists. Where another node has to say which it is, that is said.
pub async fn named_tenant(app: &App, headers: &HeaderMap) -> Result<Option<TenantRef>, Route> {
    let Ok(claims) = Claims::read(headers) else { return Ok(None) };
    let by_key = known(api_key(app, &claims).await)?.map(|caller| caller.tenant);
    match by_key {
        Some(tenant) => Ok(Some(tenant)),
        None => known(tenant(app, &claims, claims.tenant_of_token()).await),
    }
}

/// What was found; a no is as good as nothing.
fn known<T>(found: Result<Option<T>, Error>) -> Result<Option<T>, Route> {
    found.or_else(|error| error.route().map_or(Ok(None), Err))
}

/// The settings of the tenant that the headers name, as this node's replicas have them, whoever leads
/// it.
pub fn followed_settings(app: &App, headers: &HeaderMap) -> Option<Arc<Settings>> {
    let claims = Claims::read(headers).ok()?;
    let id = claims.tenant_of_token().or(claims.tenant);
    let id = id.as_ref().or(app.settings.default_tenant.as_ref());
    let key = claims.api_key.map(Secret::given);
    app.directory().ok()?.followed_settings(key.as_ref(), id)
}

/// The access token that a request carries, unconfirmed.
pub fn access_token(headers: &HeaderMap) -> Option<&str> {
    Claims::read(headers).ok()?.access_token()
}

/// Whether a request claims a tenant at all, rightly or not.
pub fn claims_a_tenant(headers: &HeaderMap) -> bool {
    [&AUTHORIZATION, &API_KEY, &TENANT_ID].into_iter().any(|name| headers.contains_key(name))
}

async fn operator(app: &App, claims: &Claims<'_>, vouched: Vouched) -> Result<Caller, Error> {
    let mut caller = Caller::nobody();
    if let Some(token) = claims.operator_token() {
        if !vouched.operator && !app.directory()?.is_operator(&Secret::given(token)).await? {
            return Err(Error::invalid_token());
        }
        caller.credential = Credential::Operator;
    } else if claims.bearer.is_some() || claims.api_key.is_some() {
        return Err(Error::only_the_operator());
    }
    Ok(caller)
}

/// The operator, acting for the tenant that the request names; a key names one and grants nothing.
async fn for_a_tenant(app: &App, claims: &Claims<'_>, vouched: Vouched) -> Result<Caller, Error> {
    let mut caller = operator(app, claims, vouched).await?;
    let by_key = api_key(app, claims).await?.map(|caller| caller.tenant);
    agree([by_key.as_ref().map(TenantRef::id), claims.tenant.as_ref(), None])?;
    caller.named_tenant = by_key.is_some() || claims.tenant.is_some();
    caller.tenant = match by_key {
        Some(tenant) => Some(tenant),
        None => tenant(app, claims, None).await?,
    };
    Ok(caller)
}

async fn session(
    app: &App,
    claims: &Claims<'_>,
    token: &str,
    vouched: Vouched,
) -> Result<Caller, Error> {
    let api_key = api_key(app, claims).await?;
    let directory = app.directory()?;
    let session = match vouched.token {
        Some(verified) => directory.vouched_caller(verified).await?,
        None => directory.authenticate(token).await?,
    };
    let tenant = session.tenant.clone();
    let by_key = api_key.as_ref().map(|caller| caller.tenant.id());
    agree([by_key, claims.tenant.as_ref(), Some(tenant.id())])?;
    let credential = Credential::Session(session);
    Ok(Caller { tenant: Some(tenant), elsewhere: None, named_tenant: true, api_key, credential })
}

/// A public endpoint does not ask who is signed in, so an access token is not confirmed there; but
/// the tenant that it names must be the one that is called.
async fn anonymous(app: &App, claims: &Claims<'_>, admitted: bool) -> Result<Caller, Error> {
    let api_key = api_key(app, claims).await?;
    let by_token = claims.tenant_of_token();
    let by_key = api_key.as_ref().map(|caller| caller.tenant.id());
    agree([by_key, by_token.as_ref(), claims.tenant.as_ref()])?;
    let named_tenant = by_key.is_some() || by_token.is_some() || claims.tenant.is_some();
    let mut elsewhere = None;
    let tenant = match &api_key {
        Some(caller) => Some(caller.tenant.clone()),
        None => match tenant(app, claims, by_token).await {
            Err(error) if admitted && !named_tenant && error.route().is_some() => {
                elsewhere = error.route();
                None
            }
            found => found?,
        },
    };
    let credential = Credential::Anonymous;
    Ok(Caller { tenant, elsewhere, named_tenant, api_key, credential })
}

async fn api_key(app: &App, claims: &Claims<'_>) -> Result<Option<ApiKeyCaller>, Error> {
    let Some(key) = claims.api_key else { return Ok(None) };
    let found = app.directory()?.api_key(&Secret::given(key)).await?;
    found.map(Some).ok_or_else(Error::invalid_token)
}

async fn tenant(
    app: &App,
    claims: &Claims<'_>,
    by_token: Option<TenantId>,
) -> Result<Option<TenantRef>, Error> {
    let named = by_token.as_ref().or(claims.tenant.as_ref());
    let Some(id) = named.or(app.settings.default_tenant.as_ref()) else { return Ok(None) };
    let found = app.directory()?.tenant_by_id(id).await?;
    found.map(Some).ok_or_else(Error::not_found)
}

/// Whether all that name a tenant name the same.
fn agree(sources: [Option<&TenantId>; 3]) -> Result<(), Error> {
    let mut named = sources.into_iter().flatten();
    let Some(first) = named.next() else { return Ok(()) };
    if named.all(|other| other == first) { Ok(()) } else { Err(Error::tenant_mismatch()) }
}

/// What the headers claim, unconfirmed.
struct Claims<'a> {
    bearer: Option<&'a str>,
    api_key: Option<&'a str>,
    tenant: Option<TenantId>,
}

impl<'a> Claims<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, Error> {
        let bearer = single(headers, &AUTHORIZATION)?.and_then(bearer);
        let api_key = single(headers, &API_KEY)?.filter(|key| *key != PLACEHOLDER_KEY);
        let tenant = match single(headers, &TENANT_ID)? {
            Some(id) => Some(id.parse().map_err(|_| Error::not_found())?),
            None => None,
        };
        Ok(Self { bearer, api_key, tenant })
    }

    fn operator_token(&self) -> Option<&'a str> {
        self.bearer.filter(|token| token.starts_with("jop_"))
    }

    fn access_token(&self) -> Option<&'a str> {
        self.bearer.filter(|token| !token.starts_with("jop_"))
    }

    fn tenant_of_token(&self) -> Option<TenantId> {
        self.access_token().and_then(tenant_of)
    }
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
