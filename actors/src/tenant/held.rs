//! What a node holds of a tenant in memory, until its stamp changes.

use std::sync::Arc;

use janua_storage::capability::tenants::{SigningKey, Tenant};
use janua_storage::engine::View as ShardView;
use janua_storage::seal::Key;

use super::Shared;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::tokens::Keys;

/// Under which context a tenant's key is sealed by the cluster's.
pub(crate) const TENANT_KEY: &[u8] = b"tenant key";

/// A tenant's record, settings and keys.
pub struct Held {
    pub(crate) stamp: u64,
    /// The record.
    pub tenant: Tenant,
    /// Complete settings.
    pub settings: Arc<Settings>,
    /// Signing keys.
    pub keys: Keys,
    /// The one that signs, as storage keeps it.
    pub(crate) signing: SigningKey,
    pub(crate) key: Key,
    pub(crate) idempotency: Key,
}

impl Held {
    pub(super) fn load(
        shared: &Shared,
        records: &ShardView,
        stamp: u64,
    ) -> Result<Arc<Self>, Refusal> {
        let view = shared.view(records);
        let tenant = view.tenant()?.ok_or(Refusal::NotFound)?;
        let settings = Arc::new(shared.node.defaults.with(&tenant.settings)?);
        let key = unseal(&shared.node.cluster_key, &tenant)?;
        let stored = view.signing_keys()?;
        let issuer = &shared.node.issuer;
        let signing = stored.iter().find(|key| key.number == tenant.signing_key).cloned();
        let signing = signing.ok_or_else(|| Refusal::unavailable("no key to sign with"))?;
        let keys = Keys::open(&stored, tenant.signing_key, &key, issuer, tenant.id.as_str())?;
        let idempotency = key.derive("idempotency");
        Ok(Arc::new(Self { stamp, tenant, settings, keys, signing, key, idempotency }))
    }
}

fn unseal(cluster: &Key, tenant: &Tenant) -> Result<Key, Refusal> {
    let bytes = cluster.open(TENANT_KEY, &tenant.key)?;
    let bytes =
        bytes.try_into().map_err(|_| Refusal::unavailable("a tenant key of wrong length"))?;
    Ok(Key::new(bytes))
}
