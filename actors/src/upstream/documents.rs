//! What issuers publish of themselves (OpenID Connect Discovery 1.0) and their keys, kept for a while.

use std::sync::Arc;
use std::time::Duration;

use janua_storage::moment::Moment;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, ProviderMetadata};
use quick_cache::sync::Cache;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::provider::{Dialect, Kind, Provider};
use crate::clock::SharedClock;
use crate::outbound::Outbound;
use crate::refusal::Refusal;

/// For how long documents are taken to be as they were.
const FRESH: Duration = Duration::from_secs(3600);

/// How often keys are fetched anew for a token whose key is not among them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of how many issuers documents are kept.
const MOST: usize = 1024;

/// What an issuer says of itself.
pub type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What else it says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct More {
    /// Whether it names itself in its answers (RFC 9207 §3).
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub names_itself: bool,
}

impl AdditionalProviderMetadata for More {}

/// An issuer's documents.
#[derive(Debug)]
pub struct Found {
    /// What it says of itself.
    pub metadata: Metadata,
    /// Its keys.
    pub keys: CoreJsonWebKeySet,
    fetched: Moment,
}

/// The documents of the issuers that are in use.
pub struct Documents {
    kept: Cache<String, Arc<Slot>>,
    clock: SharedClock,
}

type Slot = Mutex<Option<Arc<Found>>>;

impl Documents {
    pub fn new(clock: SharedClock) -> Self {
        Self { kept: Cache::new(MOST), clock }
    }

    /// The documents of a provider, at most an hour old.
    pub async fn of(&self, provider: &Provider, client: &Outbound) -> Result<Arc<Found>, Refusal> {
        self.newer_than(provider, client, FRESH).await
    }

    /// The same, where a key was not among them: fetched anew, unless that was just done.
    pub async fn again(
        &self,
        provider: &Provider,
        client: &Outbound,
    ) -> Result<Arc<Found>, Refusal> {
        self.newer_than(provider, client, PATIENCE).await
    }

    /// Whoever comes while an issuer is being asked waits for its answer.
    async fn newer_than(
        &self,
        provider: &Provider,
        client: &Outbound,
        age: Duration,
    ) -> Result<Arc<Found>, Refusal> {
        let Kind::OpenId { issuer, dialect } = &provider.kind else {
            return Err(Refusal::unavailable(
                "a provider without an issuer was asked for its keys",
            ));
        };
        let slot = self.kept.get_or_insert_with(issuer, || Ok::<_, Refusal>(Arc::default()))?;
        let mut kept = slot.lock().await;
        let now = self.clock.now();
        if let Some(found) = kept.as_ref().filter(|found| now.since(found.fetched) < age) {
            return Ok(found.clone());
        }
        let found = Arc::new(fetch(provider, issuer, *dialect, client, now).await?);
        *kept = Some(found.clone());
        Ok(found)
    }
}

async fn fetch(
    provider: &Provider,
    issuer: &str,
    dialect: Dialect,
    client: &Outbound,
    now: Moment,
) -> Result<Found, Refusal> {
    let issuer = issuer.trim_end_matches('/');
    let url = format!("{issuer}/.well-known/openid-configuration");
    let metadata: Metadata = get(provider, &url, client).await?;
    // Whoever answers must be who was asked for, or one issuer could pass for another (§4.3). A
    // configuration has no slash at the end of its addresses.
    let named = metadata.issuer().as_str().trim_end_matches('/');
    let template = matches!(dialect, Dialect::Microsoft { any_tenant: true });
    if named != issuer && !(template && is_template(named, issuer)) {
        let reason = format!("{issuer} says that its issuer is {named}");
        return Err(Refusal::unavailable(reason));
    }
    let keys = get(provider, metadata.jwks_uri().as_str(), client).await?;
    Ok(Found { metadata, keys, fetched: now })
}

/// Microsoft's document for all tenants has a gap in the place of the tenant.
fn is_template(named: &str, asked: &str) -> bool {
    named.replacen("{tenantid}", "common", 1) == asked
}

async fn get<T: DeserializeOwned>(
    provider: &Provider,
    url: &str,
    client: &Outbound,
) -> Result<T, Refusal> {
    let request = oauth2::http::Request::get(url)
        .header("accept", "application/json")
        .body(Vec::new())
        .map_err(|error| Refusal::unavailable(format!("{url}: {error}")))?;
    let answer = client.send(request, provider.host.as_deref()).await?;
    if answer.status() != oauth2::http::StatusCode::OK {
        return Err(Refusal::unavailable(format!("{url} answered {}", answer.status())));
    }
    serde_json::from_slice(answer.body())
        .map_err(|error| Refusal::unavailable(format!("{url} is not what it should be: {error}")))
}
