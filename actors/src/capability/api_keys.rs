//! API keys: who an application is.

use janua_storage::capability::api_keys::{ApiKey, ApiKeyKind};
use janua_storage::ids::TenantNumber;
use janua_storage::secret::{Purpose, Secret};
use janua_storage::view::View;

use crate::directory::Directory;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// An API key that was recognised.
#[derive(Clone)]
pub struct ApiKeyCaller {
    /// Whose it is.
    pub tenant: TenantRef,
    /// The key.
    pub key: std::sync::Arc<ApiKey>,
}

impl Directory {
    /// Whose API key this is; `None` when it is nobody's, or has expired.
    pub async fn api_key(&self, secret: &Secret) -> Result<Option<ApiKeyCaller>, Refusal> {
        let named = [Purpose::PublishableKey, Purpose::SecretKey]
            .into_iter()
            .find_map(|purpose| secret.tenant(purpose));
        let named_elsewhere = match named {
            Some(number) => match self.api_key_of(number, secret).await {
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => None,
                Err(refusal) => Some(refusal),
            },
            None => None,
        };
        // A key of the configuration is free after its prefix, and may look as if it named a tenant.
        match (self.bootstrap_key(secret).await?, named_elsewhere) {
            (Some(number), _) => self.api_key_of(number, secret).await,
            (None, Some(refusal)) => Err(refusal),
            (None, None) => Ok(None),
        }
    }

    /// The tenant of a key of the configuration.
    ///
    /// Invariant: these keys are recorded with the cluster, in one entry, and never after it. So any
    /// replica that knows the cluster knows them all.
    async fn bootstrap_key(&self, secret: &Secret) -> Result<Option<TenantNumber>, Refusal> {
        let hash = secret.hash();
        if let Ok(records) = self.node().shards.of(TenantNumber::CLUSTER).follow() {
            let cluster = View::new(&records, TenantNumber::CLUSTER);
            if cluster.cluster()?.is_some() {
                return Ok(cluster.bootstrap_key(&hash)?);
            }
        }
        self.of_cluster(|cluster| cluster.bootstrap_key(&hash)).await
    }

    async fn api_key_of(
        &self,
        number: TenantNumber,
        secret: &Secret,
    ) -> Result<Option<ApiKeyCaller>, Refusal> {
        let Some(tenant) = self.tenant(number).await? else { return Ok(None) };
        let records = tenant.0.shard.read().await?;
        let found = View::new(&records, number).api_key(&secret.hash())?;
        let now = self.node().clock.now();
        Ok(found
            .filter(|key| key.expires.is_none_or(|expires| expires > now))
            .map(|key| ApiKeyCaller { tenant, key: key.into() }))
    }
}

impl ApiKeyCaller {
    /// Whether it is a server's key.
    pub fn is_secret(&self) -> bool {
        self.key.kind == ApiKeyKind::Secret
    }
}
