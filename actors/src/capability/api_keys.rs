//! API keys: who an application is.

use janua_storage::capability::api_keys::{ApiKey, ApiKeyKind};
use janua_storage::ids::TenantNumber;
use janua_storage::secret::{Purpose, Secret};
use janua_storage::view::View;

use crate::directory::Directory;
use crate::permissions::covers;
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
        if let Some(number) = named
            && let Some(found) = self.api_key_of(number, secret).await?
        {
            return Ok(Some(found));
        }
        // A key of the configuration is free after its prefix, and may look as if it named a tenant.
        let records = self.node().shards.of(TenantNumber::CLUSTER).read().await?;
        let number = View::new(&records, TenantNumber::CLUSTER).bootstrap_key(&secret.hash())?;
        match number {
            Some(number) => self.api_key_of(number, secret).await,
            None => Ok(None),
        }
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

    /// Whether its scopes cover a permission; a publishable key has none, whatever it was given.
    pub fn may(&self, permission: &str) -> bool {
        allows(&self.key, permission)
    }
}

/// Whether a key's scopes cover a permission.
pub fn allows(key: &ApiKey, permission: &str) -> bool {
    key.kind == ApiKeyKind::Secret && key.scopes.iter().any(|scope| covers(scope, permission))
}

#[cfg(test)]
mod tests {
    use janua_storage::ids::ApiKeyId;
    use janua_storage::moment::Moment;
    use janua_storage::secret::SecretHash;

    use super::*;

    #[test]
    fn a_secret_key_may_do_what_its_scopes_cover() {
        let key = |kind, scopes: &[&str]| ApiKey {
            id: ApiKeyId::new(1, 1),
            kind,
            name: "a key".into(),
            scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
            hash: SecretHash([1; 32]),
            created: Moment(1),
            expires: None,
            rate_limit: None,
        };
        assert!(allows(&key(ApiKeyKind::Secret, &["audit:read", "users:*"]), "users:read"));
        assert!(!allows(&key(ApiKeyKind::Secret, &["audit:read", "users:*"]), "roles:read"));
        assert!(!allows(&key(ApiKeyKind::Secret, &[]), "users:read"));
        assert!(!allows(&key(ApiKeyKind::Publishable, &["*"]), "users:read"));
    }
}
