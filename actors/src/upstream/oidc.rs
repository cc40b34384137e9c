//! Issuers of OpenID Connect: the code flow with PKCE, and what is asked of an ID token.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use janua_storage::capability::oauth::Account;
use janua_storage::moment::Moment;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, AuthType, AuthenticationFlow,
    AuthorizationCode, ClaimsVerificationError, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdToken, IdTokenClaims,
    IdTokenFields, IdTokenVerifier, IssuerUrl, LocalizedClaim, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError,
    StandardErrorResponse, StandardTokenResponse, TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::documents::Found;
use super::provider::{Dialect, Kind, Provider};
use super::{
    Departure, Return, Upstream, distrusted, name, picture, subject, token_refused, verifier,
};
use crate::email::EmailAddress;
use crate::refusal::Refusal;

/// How far an issuer's clock may be from ours.
const SKEW: Duration = Duration::from_secs(60);

/// How old an ID token may be that was asked for just now.
const OLDEST: Duration = Duration::from_secs(600);

/// How ID tokens may be signed: with keys that their issuer publishes. `none` is no signature, and
/// with a MAC whoever knows the client's secret could sign.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
];

/// The scopes that tell who somebody is; `openid` comes by itself.
const SCOPES: [&str; 2] = ["email", "profile"];

/// Claims beside the standard's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct More {
    /// Microsoft: the tenant.
    tid: Option<String>,
    /// Microsoft: whether the owner of the address's domain has been seen.
    xms_edov: Option<Value>,
}

impl AdditionalClaims for More {}

type Fields = IdTokenFields<
    More,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type Token =
    IdToken<More, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;
type Claims = IdTokenClaims<More, CoreGenderClaim>;
type Verifier<'a> = IdTokenVerifier<'a, CoreJsonWebKey>;
type OpenIdClient = Client<
    More,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

fn client(provider: &Provider, found: &Found) -> OpenIdClient {
    let id = ClientId::new(provider.client_id.clone());
    let secret = provider.client_secret.as_ref();
    let secret = secret.map(|secret| ClientSecret::new(secret.expose().to_owned()));
    let methods = found.metadata.token_endpoint_auth_methods_supported();
    let takes = |method| methods.is_none_or(|methods| methods.contains(&method));
    let basic = takes(CoreClientAuthMethod::ClientSecretBasic);
    let how = if basic { AuthType::BasicAuth } else { AuthType::RequestBody };
    OpenIdClient::from_provider_metadata(found.metadata.clone(), id, secret).set_auth_type(how)
}

/// Where a browser is sent to (OpenID Connect Core §3.1.2.1).
pub fn departure(
    provider: &Provider,
    found: &Found,
    departure: Departure<'_>,
) -> Result<Url, Refusal> {
    let state = CsrfToken::new(departure.state.expose().to_owned());
    let nonce = Nonce::new(departure.nonce.to_owned());
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let usual = || SCOPES.map(str::to_owned).into();
    let scopes: Vec<String> = departure.scopes.unwrap_or_else(usual);
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier(departure.verifier));
    let client = client(provider, found);
    let (url, ..) = client
        .authorize_url(flow, move || state, move || nonce)
        .add_scopes(scopes.into_iter().filter(|scope| scope != "openid").map(Scope::new))
        .set_redirect_uri(Cow::Owned(redirect_url(departure.redirect_uri)?))
        .set_pkce_challenge(challenge)
        .url();
    Ok(url)
}

/// Whom a code stands for (OpenID Connect Core §3.1.3).
pub async fn account(
    upstream: &Upstream,
    provider: &Provider,
    returned: Return<'_>,
) -> Result<Account, Refusal> {
    let mut found = upstream.documents.of(provider, &upstream.outbound).await?;
    let openid = client(provider, &found);
    let tokens = exchange(upstream, provider, &openid, &returned).await?;
    let token = tokens.id_token().ok_or_else(|| distrusted(provider, "it sent no ID token"))?;
    let issuer = issuer_of(provider, &found, token)?;
    let nonce = Nonce::new(returned.nonce.to_owned());
    let now = upstream.clock.now();
    let mut checked = check(provider, &issuer, &found, token, &nonce, now);
    if matches!(checked, Err(Wrong::UnknownKey)) {
        // A key that was published since.
        found = upstream.documents.again(provider, &upstream.outbound).await?;
        checked = check(provider, &issuer, &found, token, &nonce, now);
    }
    let claims = checked.map_err(|wrong| distrusted(provider, wrong))?;
    is_for(provider, &claims, token, tokens.access_token(), &issuer, &found)
        .map_err(|wrong| distrusted(provider, wrong))?;
    let told = if claims.email().is_none() {
        ask(upstream, provider, &openid, tokens.access_token(), &claims).await?
    } else {
        None
    };
    person(provider, issuer, &claims, told.as_ref())
}

async fn exchange(
    upstream: &Upstream,
    provider: &Provider,
    client: &OpenIdClient,
    returned: &Return<'_>,
) -> Result<Tokens, Refusal> {
    let line = upstream.line(provider, |answer| answer);
    let request = client
        .exchange_code(AuthorizationCode::new(returned.code.to_owned()))
        .map_err(|_| Refusal::unavailable("an issuer without a token endpoint"))?
        .set_pkce_verifier(verifier(returned.verifier))
        .set_redirect_uri(Cow::Owned(redirect_url(returned.redirect_uri)?));
    match request.request_async(&line).await {
        Ok(tokens) => Ok(tokens),
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

/// The issuer that must have signed: the one that was found or, at Microsoft, the tenant's that the
/// token names. The token is not believed in this: that issuer must be the one it says it is from,
/// and the keys are the same for all.
fn issuer_of(provider: &Provider, found: &Found, token: &Token) -> Result<String, Refusal> {
    let issuer = found.metadata.issuer().to_string();
    let Kind::OpenId { dialect: Dialect::Microsoft { any_tenant: true }, .. } = provider.kind
    else {
        return Ok(issuer);
    };
    let payload = token.to_string();
    let payload = payload.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims = payload.and_then(|payload| serde_json::from_slice::<More>(&payload).ok());
    let tenant = claims.and_then(|claims| claims.tid);
    let is_tenant = |id: &String| {
        id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    let tenant = tenant.filter(is_tenant);
    let tenant = tenant.ok_or_else(|| distrusted(provider, "the token names no tenant"))?;
    Ok(issuer.replacen("{tenantid}", &tenant, 1))
}

/// What is wrong with an ID token; safe to log.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("the key of the ID token is not published")]
    UnknownKey,
    #[error("the ID token does not hold: {0}")]
    Claims(ClaimsVerificationError),
    #[error("{0}")]
    Other(&'static str),
}

fn check(
    provider: &Provider,
    issuer: &str,
    found: &Found,
    token: &Token,
    nonce: &Nonce,
    now: Moment,
) -> Result<Claims, Wrong> {
    let claims = token.claims(&verifier_of(provider, issuer, found, now)?, nonce);
    match claims {
        Ok(claims) => Ok(claims.clone()),
        Err(ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        )) => Err(Wrong::UnknownKey),
        Err(wrong) => Err(Wrong::Claims(wrong)),
    }
}

/// As for a client without a secret, so that no MAC is taken for a signature.
fn verifier_of<'a>(
    provider: &Provider,
    issuer: &str,
    found: &Found,
    now: Moment,
) -> Result<Verifier<'a>, Wrong> {
    let issuer = IssuerUrl::new(issuer.into()).map_err(|_| Wrong::Other("no issuer"))?;
    let id = ClientId::new(provider.client_id.clone());
    let announced = found.metadata.id_token_signing_alg_values_supported();
    let algorithms = ALGORITHMS.into_iter().filter(|one| announced.contains(one));
    let past = UNIX_EPOCH + Duration::from_millis(now.0) - SKEW;
    Ok(Verifier::new_public_client(id, issuer, found.keys.clone())
        .set_allowed_algs(algorithms.collect::<Vec<_>>())
        .set_time_fn(move || past.into())
        .set_issue_time_verifier_fn(move |issued| {
            let issued = Moment(u64::try_from(issued.timestamp_millis()).unwrap_or_default());
            let (young, begun) = (now.since(issued) <= OLDEST, issued.since(now) <= SKEW);
            if young && begun { Ok(()) } else { Err("it was not issued just now".into()) }
        }))
}

/// What the library leaves open: who may use the token, and which access token goes with it.
fn is_for(
    provider: &Provider,
    claims: &Claims,
    token: &Token,
    access: &AccessToken,
    issuer: &str,
    found: &Found,
) -> Result<(), Wrong> {
    // §3.1.3.7, 4 and 5.
    if claims.authorized_party().is_some_and(|party| party.as_str() != provider.client_id) {
        return Err(Wrong::Other("the ID token was issued to another client"));
    }
    let Some(hash) = claims.access_token_hash() else { return Ok(()) };
    let issuer = IssuerUrl::new(issuer.into()).map_err(|_| Wrong::Other("no issuer"))?;
    let id = ClientId::new(provider.client_id.clone());
    let keys = Verifier::new_public_client(id, issuer, found.keys.clone());
    let of = |_| Wrong::Other("the access token cannot be hashed");
    let (algorithm, key) =
        (token.signing_alg().map_err(of)?, token.signing_key(&keys).map_err(of)?);
    let own = AccessTokenHash::from_token(access, algorithm, key)
        .map_err(|_| Wrong::Other("the access token cannot be hashed"))?;
    if own == *hash { Ok(()) } else { Err(Wrong::Other("the access token is another one's")) }
}

/// Where the token does not say who somebody is (§5.4), the issuer is asked; it must speak of the
/// same subject (§5.3.2).
async fn ask(
    upstream: &Upstream,
    provider: &Provider,
    client: &OpenIdClient,
    access: &AccessToken,
    claims: &Claims,
) -> Result<Option<UserInfoClaims<More, CoreGenderClaim>>, Refusal> {
    let line = upstream.line(provider, |answer| answer);
    let Ok(request) = client.user_info(access.clone(), Some(claims.subject().clone())) else {
        return Ok(None);
    };
    match request.require_signed_response(false).request_async(&line).await {
        Ok(told) => Ok(Some(told)),
        Err(openidconnect::UserInfoError::Request(no_answer)) => Err(no_answer.into()),
        Err(openidconnect::UserInfoError::ClaimsVerification(wrong)) => {
            Err(distrusted(provider, wrong))
        }
        Err(_) => Err(Refusal::unavailable(format!("{} did not say who it is", provider.name))),
    }
}

/// The person that the claims describe. The address counts as verified only where the issuer says so.
fn person(
    provider: &Provider,
    issuer: String,
    claims: &Claims,
    told: Option<&UserInfoClaims<More, CoreGenderClaim>>,
) -> Result<Account, Refusal> {
    let said = claims.email_verified().or_else(|| told.and_then(UserInfoClaims::email_verified));
    let email = claims.email().or_else(|| told.and_then(UserInfoClaims::email));
    let email = email.and_then(|email| email.as_str().parse::<EmailAddress>().ok());
    let email_verified = match &provider.kind {
        Kind::OpenId { dialect: Dialect::Microsoft { .. }, .. } => {
            is_true(claims.additional_claims().xms_edov.as_ref())
        }
        _ => said == Some(true),
    };
    macro_rules! claim {
        ($claim:ident) => {
            first(claims.$claim()).or_else(|| first(told.and_then(UserInfoClaims::$claim)))
        };
    }
    let (given, family) = (claim!(given_name), claim!(family_name));
    let (given, family) = match (given, family) {
        (None, None) => split(claim!(name)),
        both => both,
    };
    Ok(Account {
        provider: provider.name.clone(),
        issuer,
        subject: subject(provider, claims.subject().as_str())?,
        email_verified: email_verified && email.is_some(),
        email: email.map(|email| email.as_str().to_owned()),
        first_name: name(given),
        last_name: name(family),
        avatar: picture(claim!(picture)),
    })
}

/// The value in no language in particular, else any.
fn first<T>(claim: Option<&LocalizedClaim<T>>) -> Option<&str>
where
    T: std::ops::Deref<Target = String>,
{
    let claim = claim?;
    let value = claim.get(None).or_else(|| claim.iter().next().map(|(_, value)| value));
    value.map(|value| value.as_str())
}

/// A whole name in two, at its first space.
pub(super) fn split(name: Option<&str>) -> (Option<&str>, Option<&str>) {
    let Some(name) = name else { return (None, None) };
    match name.trim().split_once(' ') {
        Some((given, family)) => (Some(given), Some(family)),
        None => (Some(name), None),
    }
}

/// As Microsoft writes it: `true`, `1`, `"1"` or `"true"`.
fn is_true(claim: Option<&Value>) -> bool {
    match claim {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::Number(number)) => number.as_u64() == Some(1),
        Some(Value::String(text)) => matches!(text.as_str(), "1" | "true"),
        _ => false,
    }
}

fn redirect_url(text: &str) -> Result<RedirectUrl, Refusal> {
    RedirectUrl::new(text.into())
        .map_err(|error| Refusal::unavailable(format!("the redirect URI {text}: {error}")))
}
