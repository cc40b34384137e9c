//! API keys: who an application is, and which keys a tenant gives out.

mod manage;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use janua_storage::capability::api_keys::{self, ApiKey, ApiKeyKind, Used};
use janua_storage::command::{Command, Proposal};
use janua_storage::event::Origin;
use janua_storage::ids::{ApiKeyId, TenantNumber};
use janua_storage::moment::Moment;
use janua_storage::secret::{Purpose, Secret};
use janua_storage::view::View;
use parking_lot::Mutex;

pub use self::manage::{ApiKeyChanges, ApiKeyInfo, NewApiKey, NewlyMadeKey};
use crate::directory::{Directory, Node};
use crate::permissions::covers;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// How coarsely it is recorded when a key was last used.
const COARSE: Duration = Duration::from_secs(300);

/// How many keys' last uses are held in memory.
const MOST_USES: usize = 10_000;

/// An API key that was recognised.
#[derive(Clone)]
pub struct ApiKeyCaller {
    /// Whose it is.
    pub tenant: TenantRef,
    /// The key.
    pub key: Arc<ApiKey>,
}

impl Directory {
    /// Whose API key this is; `None` when it is nobody's, or has expired.
    pub async fn api_key(&self, secret: &Secret) -> Result<Option<ApiKeyCaller>, Refusal> {
        let named_elsewhere = match named_by(secret) {
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
        let found = found.filter(|key| key.expires.is_none_or(|expires| expires > now));
        if let Some(key) = &found {
            self.node().key_uses.note(number, key.id, now);
        }
        Ok(found.map(|key| ApiKeyCaller { tenant, key: key.into() }))
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

/// The tenant that a key names. Those of the configuration name none.
pub(crate) fn named_by(secret: &Secret) -> Option<TenantNumber> {
    let purposes = [Purpose::PublishableKey, Purpose::SecretKey];
    purposes.into_iter().find_map(|purpose| secret.tenant(purpose))
}

/// Whether a key's scopes cover a permission.
pub fn allows(key: &ApiKey, permission: &str) -> bool {
    key.kind == ApiKeyKind::Secret && key.scopes.iter().any(|scope| covers(scope, permission))
}

/// When keys were last used, as far as that waits to be written.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<HashMap<(TenantNumber, ApiKeyId), Use>>);

struct Use {
    at: Moment,
    written: bool,
}

impl KeyUses {
    fn note(&self, tenant: TenantNumber, key: ApiKeyId, now: Moment) {
        let mut uses = self.0.lock();
        let has_room = uses.len() < MOST_USES;
        match uses.get_mut(&(tenant, key)) {
            Some(known) if now.since(known.at) < COARSE => {}
            Some(known) => *known = Use { at: now, written: false },
            None if has_room => {
                uses.insert((tenant, key), Use { at: now, written: false });
            }
            // What does not fit is noted when there is room again.
            None => {}
        }
    }

    /// What waits, by tenant. What has been quiet is forgotten.
    fn take(&self, now: Moment) -> HashMap<TenantNumber, Vec<Used>> {
        let mut waiting: HashMap<_, Vec<_>> = HashMap::new();
        let mut uses = self.0.lock();
        for ((tenant, id), used) in uses.iter_mut().filter(|(_, used)| !used.written) {
            used.written = true;
            waiting.entry(*tenant).or_default().push(Used { id: *id, at: used.at });
        }
        uses.retain(|_, used| now.since(used.at) < COARSE);
        waiting
    }

    /// Writes down what waits.
    pub async fn write_down(node: &Arc<Node>) {
        let now = node.clock.now();
        for (tenant, used) in node.key_uses.take(now) {
            let proposal = Proposal {
                tenant,
                proposed: now,
                seed: [0; 32],
                origin: Origin::default(),
                idempotency: None,
                command: Command::ApiKeys(api_keys::Command::Used(used)),
            };
            if let Err(error) = node.shards.of(tenant).write(proposal).await {
                tracing::debug!(%error, "uses of keys were not recorded");
            }
        }
    }
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
