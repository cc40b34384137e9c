//! Other providers: sending browsers there, and what comes back. Identities, and the codes by which a
//! page picks up a login that a redirect has completed, have files of their own.

mod answers;
mod exchange;
mod identities;

use garde::Validate;
use http::HeaderValue;
use janua_actors::capability::oauth::{
    By, FLOW_SECONDS, Led, Outcome, Returned, Start, Started, Word,
};
use janua_actors::pkce;
use janua_storage::secret::{Purpose, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::answers::FederatedLogIn;
use crate::call::Call;
use crate::cookies;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Detail, Error};
use crate::input::{Empty, Json};
use crate::output::{Data, Redirect};
use crate::query::Query;
use crate::{rules, shapes};

/// What can come of somebody for whom a provider vouches.
const ARRIVALS: &[Code] = &[
    Code::InvalidCredentials,
    Code::TokenUsed,
    Code::AuthenticationRequired,
    Code::SessionRevoked,
    Code::InsufficientPermissions,
    Code::AccountSuspended,
    Code::AccountLinkRequired,
    Code::IdentityAlreadyLinked,
    Code::EmailRequired,
];

/// The endpoints for other providers.
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        get("/auth/oauth/providers", Access::Public, Limit::Api, providers)
            .describes("List the providers to sign in with"),
        get("/auth/oauth/{provider}", Access::Public, Limit::Authentication, start)
            .describes("Send the browser to a provider, to sign in there"),
        post("/auth/oauth/{provider}/callback", Access::Public, Limit::Authentication, end)
            .describes("Sign in with what a provider sent the browser back with")
            .names_its_tenant()
            .refuses(ARRIVALS),
        get("/auth/oauth/{provider}/callback", Access::Public, Limit::Authentication, lead_back)
            .describes(
                "Lead a browser that a provider sent back to its page, with a one-time code or an error",
            )
            .spends()
            .refuses(&[Code::TokenUsed]),
    ];
    endpoints.extend(exchange::endpoints());
    endpoints.extend(identities::endpoints());
    endpoints
}

/// What a page asks for that sends its browser to a provider.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct StartQuery {
    /// The page that the browser is led back to: one of the tenant's `redirectUrls`, or of the
    /// provider's own redirect URIs.
    #[garde(skip)]
    #[schema(required = true, example = "https://app.example.com/auth/callback")]
    redirect_uri: Option<String>,
    /// Given back to the page, so that it knows the browser again.
    #[garde(skip)]
    #[schema(max_length = 4096)]
    state: Option<String>,
    /// Scopes in place of the usual ones, separated by spaces.
    #[garde(skip)]
    #[schema(max_length = 512)]
    scope: Option<String>,
    /// What the page answers when it exchanges the code that it is led back with (RFC 7636).
    #[garde(skip)]
    #[schema(schema_with = shapes::challenge)]
    code_challenge: Option<String>,
    /// `S256`
    #[garde(skip)]
    #[schema(schema_with = shapes::challenge_method)]
    code_challenge_method: Option<String>,
    /// The tenant, for browsers that cannot send `X-Tenant-ID`.
    #[garde(skip)]
    tenant_id: Option<String>,
}

/// What a provider gave the page.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct CallbackRequest {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1, example = "oauth_code_123")]
    code: String,
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1, example = "csrf_state_456")]
    state: String,
    /// The issuer, where the provider names it (RFC 9207).
    #[garde(skip)]
    iss: Option<String>,
    /// The verifier of the challenge that the login was asked for with (RFC 7636): there if, and only
    /// if, it was with one. Shown in vain it uses `state` up.
    #[serde(rename = "codeVerifier", alias = "code_verifier")]
    #[garde(skip)]
    #[schema(min_length = 43, max_length = 128)]
    code_verifier: Option<String>,
}

/// What a provider sends a browser back with.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct CallbackQuery {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1)]
    state: String,
    #[garde(skip)]
    code: Option<String>,
    #[garde(skip)]
    error: Option<String>,
    /// The issuer (RFC 9207).
    #[garde(skip)]
    iss: Option<String>,
}

/// The providers, as buttons show them.
#[derive(Serialize, ToSchema)]
pub struct ProviderList {
    providers: Vec<ListedProvider>,
}

/// A provider, as a button shows it.
#[derive(Serialize, ToSchema)]
pub struct ListedProvider {
    #[schema(example = "google")]
    id: String,
    #[schema(example = "Google")]
    name: String,
    enabled: bool,
    /// URL of a picture.
    #[schema(example = "https://cdn.janua.dev/icons/google.svg")]
    icon: Option<String>,
}

async fn providers(call: Call, _: Empty) -> Result<Data<ProviderList>, Error> {
    let listed = call.tenant()?.providers().await?.into_iter();
    let providers = listed.map(|provider| ListedProvider {
        icon: provider.known.then(|| format!("https://cdn.janua.dev/icons/{}.svg", provider.id)),
        id: provider.id,
        name: provider.name,
        enabled: provider.enabled,
    });
    Ok(Data(ProviderList { providers: providers.collect() }))
}

async fn start(call: Call, Query(query): Query<StartQuery>) -> Result<Redirect, Error> {
    let tenant = call.tenant_by(query.tenant_id.as_deref()).await?;
    let provider: String = call.parameter("provider")?;
    let (challenge, method) = (query.code_challenge, query.code_challenge_method);
    let start = Start {
        redirect_uri: query.redirect_uri,
        page_state: query.state,
        scope: query.scope,
        challenge: pkce::challenge(challenge.as_deref(), method.as_deref())?,
    };
    let started = tenant.start_oauth(&call.context(), &provider, start).await?;
    let cookies = vec![remember(&call, &started)?];
    Ok(Redirect { location: started.location, cookies })
}

async fn end(call: Call, Json(body): Json<CallbackRequest>) -> Result<Data<FederatedLogIn>, Error> {
    let returned = Returned {
        state: Secret::given(&body.state),
        word: Word::Code(Secret::given(&body.code)),
        issuer: body.iss,
    };
    let provider: String = call.parameter("provider")?;
    let tenant = call.tenant_of(&returned.state, Purpose::State).await?;
    let by = By {
        proof: pkce::proof(body.code_verifier.as_deref()),
        caller: call.session_if_shown().await?,
    };
    let arrived = tenant.end_oauth(&call.context(), &provider, &returned, &by).await?;
    Ok(Data(arrived.into()))
}

async fn lead_back(call: Call, Query(query): Query<CallbackQuery>) -> Result<Redirect, Error> {
    let word = match (query.code, query.error) {
        (_, Some(error)) => Word::Error(error),
        (Some(code), None) => Word::Code(Secret::given(&code)),
        (None, None) => return Err(Error::invalid(vec![Detail::new("code", "is required")])),
    };
    let returned = Returned { state: Secret::given(&query.state), word, issuer: query.iss };
    let provider: String = call.parameter("provider")?;
    let tenant = call.tenant_of(&returned.state, Purpose::State).await?;
    let cookie = cookie_name(&call, &returned.flow());
    let browser = cookies::get(&call.headers, &cookie).map(Secret::given);
    let led = tenant.lead_back(&call.context(), &provider, &returned, browser.as_ref()).await?;
    let forget = cookies::set(&cookie, "", 0, call.app.settings.is_https());
    Ok(Redirect { location: told(led, &provider), cookies: forget.into_iter().collect() })
}

/// What the page is told (RFC 6749 §4.1.2 in its form).
fn told(led: Led, provider: &str) -> String {
    let (name, value) = match led.outcome {
        Outcome::Code(code) => ("code", code.expose().to_owned()),
        Outcome::Linked => ("linked", provider.to_owned()),
        Outcome::Denied(error) => ("error", error),
        Outcome::Refused(refusal) => ("error", Error::from(refusal).code().as_str().to_owned()),
    };
    let state = led.page_state.as_deref().map(|state| ("state", state));
    led.page.telling([(name, value.as_str())].into_iter().chain(state))
}

/// The cookie by which a browser is known again.
pub(crate) fn remember(call: &Call, started: &Started) -> Result<HeaderValue, Error> {
    let name = cookie_name(call, &started.flow);
    let https = call.app.settings.is_https();
    cookies::set(&name, started.browser.expose(), FLOW_SECONDS, https).ok_or_else(Error::internal)
}

/// One for each flow, so that two tabs do not get in each other's way.
fn cookie_name(call: &Call, flow: &str) -> String {
    cookies::name(&format!("janua_oauth_{flow}"), call.app.settings.is_https())
}
