//! Who calls, for which tenant: read from the request's headers, confirmed by the actors.
//!
//! The tenant is named by the API key, else by the access token, else by `X-Tenant-ID`, else by the
//! configuration. Sources that disagree are an error: whichever of them a proxy or a log believes,
//! it must be the one that we believe.

mod claims;

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use janua_actors::capability::api_keys::ApiKeyCaller;
use janua_actors::directory;
use janua_actors::refusal::Vouched;
use janua_actors::settings::Settings;
use janua_actors::tenant::TenantRef;
use janua_storage::ids::{TenantId, TenantNumber};
use janua_storage::secret::Secret;

use self::claims::{API_KEY, Claims, TENANT_ID};
use crate::app::{App, Door};
use crate::endpoint::Access;
use crate::error::{Code, Error};
use crate::forwarding::Route;
use crate::limits::Who;
use crate::limits::key::{Key, Network};

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
    match confirm(app, access, claimed, vouched, admitted).await {
        // Whoever must show something hears that first, not whether the tenant that they name exists.
        Err(error) if is_telling(access, &error, claimed.headers) => Ok(Caller::nobody()),
        resolved => resolved,
    }
}

/// Whether this tells which tenants there are to somebody who shows nothing where something is wanted.
fn is_telling(access: Access, error: &Error, headers: &HeaderMap) -> bool {
    let wants_more = !matches!(access, Access::Public | Access::Service);
    wants_more && error.code() == Code::ResourceNotFound && claims::show_nothing(headers)
}

async fn confirm(
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
