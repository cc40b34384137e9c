//! Tenants: founding the first, settings, signing keys.

mod anew;
mod directory;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use janua_storage::capability::api_keys::{ApiKey, ApiKeyKind};
use janua_storage::capability::tenants::{
    self, Algorithm, Cluster, Configure, Create, Found, RotateSigningKey, SigningKey, Tenant,
};
use janua_storage::codec;
use janua_storage::command::{Command, Rejection};
use janua_storage::engine::Shards;
use janua_storage::event::Origin;
use janua_storage::ids::{ApiKeyId, TenantId, TenantNumber};
use janua_storage::seal::{Key, Sealed};
use janua_storage::secret::{Purpose, Secret};
use janua_storage::view::View;
use serde_json::Value;
use zeroize::Zeroizing;

pub use self::anew::Anew;
pub(crate) use self::directory::settle;
pub use self::directory::{NewTenant, NewlyMade};
use super::sessions::{text, unexpected};
use crate::clock::Clock;
use crate::context::Context;
use crate::directory::{Directory, Node};
use crate::idempotency::Attempt;
use crate::refusal::Refusal;
use crate::settings::{LONGEST_ACCESS_TTL, Settings, merge, seal_secrets};
use crate::tenant::{Answer, Held, Shared, TENANT_KEY, TenantRef};
use crate::tokens;

/// Under which context secrets among the settings are sealed.
const SETTING: &[u8] = b"setting";

/// Secrets for a cluster to be; those not given are drawn.
#[derive(Debug, Clone, Default)]
pub struct Bootstrap {
    /// `jpk_…`
    pub publishable_key: Option<Secret>,
    /// `jsk_…`
    pub secret_key: Option<Secret>,
    /// `jop_…`
    pub operator_token: Option<Secret>,
}

/// What a new cluster's operator is told, once.
#[derive(Debug, Clone)]
pub struct Founding {
    /// The tenant that was created.
    pub tenant: TenantId,
    /// Names the tenant; safe in a browser.
    pub publishable_key: Secret,
    /// Server to server.
    pub secret_key: Secret,
    /// For `/admin` and the command line.
    pub operator_token: Secret,
}

/// Whether the cluster exists. Until it does, nothing that lies in the records is of use to anyone.
pub async fn is_founded(shards: &Shards) -> Result<bool, Refusal> {
    let records = shards.of(TenantNumber::CLUSTER).read().await?;
    Ok(View::new(&records, TenantNumber::CLUSTER).cluster()?.is_some())
}

impl Directory {
    /// Founds the cluster, unless it exists: the default tenant in its shard, then the cluster's own
    /// records, which end it. Interrupted in between, it is begun again.
    pub async fn found(&self, bootstrap: Bootstrap) -> Result<Option<Founding>, Refusal> {
        if is_founded(self.node().shards.shards()).await? {
            return Ok(None);
        }
        let founding = self.draw(bootstrap);
        self.create_default_tenant(&founding).await?;
        self.record_cluster(&founding).await?;
        Ok(Some(founding))
    }

    /// Whether this is the operator's token.
    pub async fn is_operator(&self, token: &Secret) -> Result<bool, Refusal> {
        let hash = token.hash();
        let is_operators = self.of_cluster(|records| {
            use subtle::ConstantTimeEq;
            let same = |cluster: &Cluster| bool::from(cluster.operator_token.0.ct_eq(&hash.0));
            Ok(records.cluster()?.filter(same).map(drop))
        });
        Ok(is_operators.await?.is_some())
    }

    fn draw(&self, bootstrap: Bootstrap) -> Founding {
        let clock = &self.node().clock;
        let draw = |given: Option<Secret>, purpose, tenant| {
            given.unwrap_or_else(|| Secret::new(purpose, tenant, &clock.random()))
        };
        let tenant = TenantNumber::DEFAULT;
        Founding {
            tenant: TenantId::default_tenant(),
            publishable_key: draw(bootstrap.publishable_key, Purpose::PublishableKey, tenant),
            secret_key: draw(bootstrap.secret_key, Purpose::SecretKey, tenant),
            operator_token: draw(
                bootstrap.operator_token,
                Purpose::OperatorToken,
                TenantNumber::CLUSTER,
            ),
        }
    }

    async fn create_default_tenant(&self, founding: &Founding) -> Result<(), Refusal> {
        let node = self.node();
        let number = TenantNumber::DEFAULT;
        let key = Key::new(node.clock.random());
        let algorithm = node.defaults.tokens.signing_algorithm.into();
        let tenant = Tenant {
            id: founding.tenant.clone(),
            number,
            name: "Default".into(),
            slug: founding.tenant.as_str().into(),
            created: node.clock.now(),
            settings: "{}".into(),
            revision: 0,
            key: node.cluster_key.seal(node.clock.random(), TENANT_KEY, key.expose())?,
            signing_key: 1,
        };
        let create = Create {
            signing_key: tokens::generate(algorithm, number, 1, &key, &*node.clock)?,
            api_keys: vec![
                api_key_record(node, &founding.publishable_key, ApiKeyKind::Publishable),
                api_key_record(node, &founding.secret_key, ApiKeyKind::Secret),
            ],
            tenant,
            replace: true,
        };
        let shared = Shared::new(founding.tenant.clone(), number, node.clone());
        write(&shared, tenants::Command::Create(Box::new(create))).await
    }

    async fn record_cluster(&self, founding: &Founding) -> Result<(), Refusal> {
        let node = self.node();
        let keys = [&founding.publishable_key, &founding.secret_key];
        let found = Found {
            cluster: Cluster {
                id: node.clock.random(),
                founded: node.clock.now(),
                operator_token: founding.operator_token.hash(),
            },
            tenants: vec![(founding.tenant.clone(), TenantNumber::DEFAULT)],
            keys: keys.map(|key| (key.hash(), TenantNumber::DEFAULT)).to_vec(),
        };
        let shared = Shared::new(founding.tenant.clone(), TenantNumber::CLUSTER, node.clone());
        write(&shared, tenants::Command::Found(Box::new(found))).await
    }
}

impl Node {
    /// What a tenant's changes make of the deployment's settings, if that is right.
    fn settled(&self, changes: &Value) -> Result<Settings, Refusal> {
        let settings = self.defaults.merged(changes)?;
        self.check_addresses(&settings)?;
        Ok(settings)
    }

    /// Addresses that this node would call.
    fn check_addresses(&self, settings: &Settings) -> Result<(), Refusal> {
        let url = &settings.sms.webhook_url;
        if url.is_empty() {
            return Ok(());
        }
        let checked = self.outbound.check(url);
        checked.map(drop).map_err(|why| Refusal::field("settings.sms.webhookUrl", why))
    }
}

/// A key that a tenant begins with.
fn api_key_record(node: &Node, secret: &Secret, kind: ApiKeyKind) -> ApiKey {
    let (ms, random) = node.clock.id_bits();
    ApiKey {
        id: ApiKeyId::new(ms, random),
        kind,
        name: "Bootstrap".into(),
        scopes: match kind {
            ApiKeyKind::Publishable => Vec::new(),
            ApiKeyKind::Secret => vec!["*".into()],
        },
        hash: secret.hash(),
        created: node.clock.now(),
        expires: None,
        rate_limit: None,
    }
}

async fn write(shared: &Shared, command: tenants::Command) -> Result<(), Refusal> {
    let outcome = shared.write(Origin::default(), None, Command::Tenants(command)).await?;
    let now = shared.node.clock.now();
    outcome.map(drop).map_err(|rejection| Refusal::from_rejection(rejection, now))
}

impl TenantRef {
    /// The tenant's record.
    pub async fn record(&self) -> Result<Tenant, Refusal> {
        Ok(self.held().await?.tenant.clone())
    }

    /// The public keys of the tenant (RFC 7517 §5).
    pub async fn jwks(&self) -> Result<Value, Refusal> {
        Ok(self.held().await?.keys.jwks(self.0.node.clock.now()))
    }

    /// Changes settings by a JSON Merge Patch (RFC 7396), and answers them complete.
    pub async fn configure(&self, context: &Context, patch: &Value) -> Result<Settings, Refusal> {
        if !patch.is_object() {
            return Err(Refusal::field("settings", "must be an object"));
        }
        let first = match self.attempt(context).await? {
            Attempt::Repeated(_) => return self.configured(context).await,
            Attempt::First(first) => first,
        };
        let ticket = self.ticket(&first, None).await?;
        // Somebody else may change them meanwhile: then it is done again on top of that.
        for _ in 0..8 {
            let held = self.held().await?;
            let mut changes: Value =
                serde_json::from_str(&held.tenant.settings).unwrap_or_default();
            merge(&mut changes, &seal_settings(&held.key, &*self.0.node.clock, patch)?);
            self.0.node.settled(&changes)?;
            let (revision, changes) = (held.tenant.revision, changes.to_string());
            let configure = Configure { revision, settings: changes };
            let command = Command::Tenants(tenants::Command::Configure(configure));
            match self.0.write(context.origin(), ticket.clone(), command).await? {
                Ok(_) => return self.configured(context).await,
                Err(Rejection::Stale) => continue,
                Err(rejection) => {
                    return Err(Refusal::from_rejection(rejection, self.0.node.clock.now()));
                }
            }
        }
        Err(Refusal::unavailable("the settings change faster than they can be read"))
    }

    /// The settings as they are now, in force.
    async fn configured(&self, context: &Context) -> Result<Settings, Refusal> {
        self.renew_signing_key(context.origin()).await?;
        Ok(Settings::clone(&*self.settings().await?))
    }

    /// A secret among the settings, opened.
    pub(crate) fn opened_setting(&self, held: &Held, sealed: &str) -> Result<Secret, Refusal> {
        let damaged = || Refusal::unavailable("a secret among the settings is damaged");
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| damaged())?;
        text(held.key.open(SETTING, &codec::decode(&bytes)?)?)
    }

    /// Signs with a new key from now on; the old one stays published until its last token has
    /// expired.
    pub async fn rotate_signing_key(&self, context: &Context) -> Result<String, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return kid(answer, None),
            Attempt::First(first) => first,
        };
        let (kid_of_new, command) = self.next_signing_key(&*self.held().await?)?;
        let ticket = self.ticket(&first, Some(&kid_of_new)).await?;
        kid(self.propose(context.origin(), ticket, command).await?, Some(kid_of_new))
    }

    /// Rotates if the key that signs is of another algorithm than the tenant wants, or old.
    pub(crate) async fn renew_signing_key(&self, origin: Origin) -> Result<(), Refusal> {
        let held = self.held().await?;
        let node = &self.0.node;
        let wanted: Algorithm = held.settings.tokens.signing_algorithm.into();
        let old = node.clock.now().since(held.signing.created) >= node.signing_key_ttl;
        if held.signing.algorithm == wanted && !old {
            return Ok(());
        }
        let (_, command) = self.next_signing_key(&held)?;
        match self.0.write(origin, None, command).await? {
            // Somebody else was faster.
            Ok(_) | Err(Rejection::Stale) => Ok(()),
            Err(rejection) => Err(Refusal::from_rejection(rejection, node.clock.now())),
        }
    }

    fn new_signing_key(&self, held: &Held) -> Result<SigningKey, Refusal> {
        let algorithm = held.settings.tokens.signing_algorithm.into();
        let number = held.tenant.signing_key + 1;
        let clock = &*self.0.node.clock;
        Ok(tokens::generate(algorithm, self.number(), number, &held.key, clock)?)
    }

    fn next_signing_key(&self, held: &Held) -> Result<(String, Command), Refusal> {
        let key = self.new_signing_key(held)?;
        let kid = key.kid.clone();
        // Not the present lifetime: earlier tokens may have been given a longer one.
        let rotate = RotateSigningKey { key, longest_ttl_ms: LONGEST_ACCESS_TTL * 1000 };
        Ok((kid, Command::Tenants(tenants::Command::RotateSigningKey(Box::new(rotate)))))
    }
}

/// A secret among the settings, as it came in.
pub(super) fn open_setting(held: &Held, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let damaged = |_| Refusal::unavailable("a sealed setting that is not of its form");
    let sealed: Sealed = codec::decode(&URL_SAFE_NO_PAD.decode(sealed).map_err(damaged)?)?;
    Ok(Zeroizing::new(held.key.open(SETTING, &sealed)?))
}

/// A patch of settings with its secrets sealed under the tenant's key.
fn seal_settings(key: &Key, clock: &dyn Clock, patch: &Value) -> Result<Value, Refusal> {
    let mut patch = patch.clone();
    seal_secrets(&mut patch, |secret| {
        let sealed = key.seal(clock.random(), SETTING, secret.as_bytes())?;
        Ok(URL_SAFE_NO_PAD.encode(codec::encode(&sealed)?))
    })?;
    Ok(patch)
}

/// The `kid` that was proposed, unless another was recorded.
fn kid(answer: Answer, proposed: Option<String>) -> Result<String, Refusal> {
    let recorded = answer.secrets.map(String::from_utf8).transpose();
    let recorded = recorded.map_err(|_| Refusal::unavailable("a recorded kid that is no text"))?;
    recorded.or(proposed).ok_or_else(|| unexpected(&answer.reply))
}
