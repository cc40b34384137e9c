//! GitHub: OAuth 2 without OpenID Connect. Who somebody is, its API says.

use std::borrow::Cow;

use janua_storage::capability::oauth::Account;
use oauth2::basic::BasicClient;
use oauth2::http::StatusCode;
use oauth2::{
    AccessToken, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    PkceCodeChallenge, RedirectUrl, RequestTokenError, Scope, TokenResponse, TokenUrl,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::oidc::split;
use super::provider::{Kind, Provider};
use super::{Departure, Return, Upstream, name, picture, token_refused, verifier};
use crate::email::EmailAddress;
use crate::outbound::Response;
use crate::refusal::Refusal;

const SCOPES: [&str; 2] = ["read:user", "user:email"];

/// `GET /user`
#[derive(Deserialize)]
struct User {
    id: u64,
    name: Option<String>,
    email: Option<String>,
    avatar_url: Option<String>,
}

/// One of `GET /user/emails`
#[derive(Deserialize)]
struct Email {
    email: String,
    primary: bool,
    verified: bool,
}

fn places(provider: &Provider) -> Result<(&Url, &Url), Refusal> {
    match &provider.kind {
        Kind::GitHub { web, api } => Ok((web, api)),
        Kind::OpenId { .. } => Err(Refusal::unavailable("a provider that is not GitHub")),
    }
}

fn below(base: &Url, path: &str) -> String {
    format!("{}{path}", base.as_str().trim_end_matches('/'))
}

fn malformed(error: impl std::fmt::Display) -> Refusal {
    Refusal::unavailable(format!("an address of GitHub: {error}"))
}

/// Where a browser is sent to.
pub fn departure(provider: &Provider, departure: Departure<'_>) -> Result<Url, Refusal> {
    let (web, _) = places(provider)?;
    let authorize = AuthUrl::new(below(web, "/login/oauth/authorize")).map_err(malformed)?;
    let client =
        BasicClient::new(ClientId::new(provider.client_id.clone())).set_auth_uri(authorize);
    let state = CsrfToken::new(departure.state.expose().to_owned());
    let usual = || SCOPES.map(str::to_owned).into();
    let scopes: Vec<String> = departure.scopes.unwrap_or_else(usual);
    let redirect_uri = RedirectUrl::new(departure.redirect_uri.into()).map_err(malformed)?;
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier(departure.verifier));
    let (url, _) = client
        .authorize_url(move || state)
        .add_scopes(scopes.into_iter().map(Scope::new))
        .set_redirect_uri(Cow::Owned(redirect_uri))
        .set_pkce_challenge(challenge)
        .url();
    Ok(url)
}

/// Whom a code stands for.
pub async fn account(
    upstream: &Upstream,
    provider: &Provider,
    returned: Return<'_>,
) -> Result<Account, Refusal> {
    let (web, api) = places(provider)?;
    let token = exchange(upstream, provider, web, returned).await?;
    let user: User = get(upstream, provider, &below(api, "/user"), &token)
        .await?
        .ok_or(Refusal::InvalidCredentials)?;
    // Without the scope there are no addresses to see, and the public one says nothing of itself.
    let emails: Option<Vec<Email>> =
        get(upstream, provider, &below(api, "/user/emails"), &token).await?;
    let primary = emails.and_then(|emails| emails.into_iter().find(|email| email.primary));
    let (email, verified) = match primary {
        Some(primary) => (Some(primary.email), primary.verified),
        None => (user.email, false),
    };
    let email = email.and_then(|email| email.parse::<EmailAddress>().ok());
    let (given, family) = split(user.name.as_deref());
    Ok(Account {
        provider: provider.name.clone(),
        issuer: web.as_str().to_owned(),
        subject: user.id.to_string(),
        email_verified: verified && email.is_some(),
        email: email.map(|email| email.as_str().to_owned()),
        first_name: name(given),
        last_name: name(family),
        avatar: picture(user.avatar_url.as_deref()),
    })
}

async fn exchange(
    upstream: &Upstream,
    provider: &Provider,
    web: &Url,
    returned: Return<'_>,
) -> Result<AccessToken, Refusal> {
    let url = TokenUrl::new(below(web, "/login/oauth/access_token")).map_err(malformed)?;
    let mut client = BasicClient::new(ClientId::new(provider.client_id.clone()))
        .set_token_uri(url)
        .set_auth_type(AuthType::RequestBody);
    if let Some(secret) = &provider.client_secret {
        client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
    }
    let redirect_uri = RedirectUrl::new(returned.redirect_uri.into()).map_err(malformed)?;
    let line = upstream.line(provider, honest);
    let tokens = client
        .exchange_code(AuthorizationCode::new(returned.code.to_owned()))
        .set_pkce_verifier(verifier(returned.verifier))
        .set_redirect_uri(Cow::Owned(redirect_uri))
        .request_async(&line)
        .await;
    match tokens {
        Ok(tokens) => Ok(tokens.access_token().clone()),
        Err(RequestTokenError::ServerResponse(no)) => {
            Err(token_refused(provider, no.error().as_ref()))
        }
        Err(RequestTokenError::Request(no_answer)) => Err(no_answer.into()),
        Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => {
            let reason = format!("the tokens of {} cannot be read", provider.name);
            Err(Refusal::unavailable(reason))
        }
    }
}

/// GitHub says no with status 200.
fn honest(mut answer: Response) -> Response {
    #[derive(Deserialize)]
    struct No {
        #[serde(rename = "error")]
        _error: String,
    }
    if serde_json::from_slice::<No>(answer.body()).is_ok() && answer.status() == StatusCode::OK {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
    }
    answer
}

/// What the API says; `None` where the token does not show it.
async fn get<T: DeserializeOwned>(
    upstream: &Upstream,
    provider: &Provider,
    url: &str,
    token: &AccessToken,
) -> Result<Option<T>, Refusal> {
    let request = oauth2::http::Request::get(url)
        .header("accept", "application/vnd.github+json")
        .header("authorization", format!("Bearer {}", token.secret()))
        .body(Vec::new())
        .map_err(malformed)?;
    let answer = upstream.outbound.send(request, provider.host.as_deref()).await?;
    match answer.status() {
        StatusCode::OK => serde_json::from_slice(answer.body()).map(Some).map_err(|error| {
            Refusal::unavailable(format!("{url} is not what it should be: {error}"))
        }),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(None),
        status => Err(Refusal::unavailable(format!("{url} answered {status}"))),
    }
}
