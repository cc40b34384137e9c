//! Which keys a tenant gives out: making, changing, rotating and revoking them.

use std::time::Duration;

use janua_storage::capability::api_keys::{
    self, ApiKey, ApiKeyKind, Create, Judged, Revoke, Rotate, Update, Usage,
};
use janua_storage::command::{Command, Reply};
use janua_storage::ids::ApiKeyId;
use janua_storage::moment::Moment;
use janua_storage::secret::{Purpose, Secret};

use crate::authority::Authority;
use crate::capability::sessions::unexpected;
use crate::context::Context;
use crate::idempotency::Attempt;
use crate::permissions::is_known;
use crate::refusal::Refusal;
use crate::tenant::{Answer, TenantRef};

/// How many characters of a key are kept, by which people find it again. What follows them in a key
/// is still beyond guessing.
const SHOWN: usize = 12;

/// For how long a secret that was rotated works on.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// A key to be.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub kind: ApiKeyKind,
    /// Permissions, of a secret key alone.
    pub scopes: Vec<String>,
    /// When it stops working.
    pub expires: Option<Moment>,
    /// Its own rate limit, `N/unit`.
    pub rate_limit: Option<String>,
}

/// Changes of a key; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ApiKeyChanges {
    /// What people call it.
    pub name: Option<String>,
    /// Permissions, of a secret key alone.
    pub scopes: Option<Vec<String>>,
    /// When it stops working.
    pub expires: Option<Option<Moment>>,
    /// Its own rate limit.
    pub rate_limit: Option<Option<String>>,
}

/// A key, as lists show it.
#[derive(Debug, Clone)]
pub struct ApiKeyInfo {
    /// The key.
    pub key: ApiKey,
    /// How it looks, and when it was last used.
    pub usage: Usage,
}

/// A key with its secret, which is shown once.
pub struct NewlyMadeKey {
    /// The key.
    pub info: ApiKeyInfo,
    /// `jpk_…` or `jsk_…`
    pub secret: Secret,
}

impl TenantRef {
    /// Makes a key, which may do nothing but what its maker may.
    pub async fn create_api_key(
        &self,
        context: &Context,
        by: &Authority,
        new: NewApiKey,
    ) -> Result<NewlyMadeKey, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return newly_made(answer, None),
            Attempt::First(first) => first,
        };
        check_scopes(new.kind, &new.scopes, by)?;
        let node = &self.0.node;
        if new.expires.is_some_and(|expires| expires <= node.clock.now()) {
            return Err(Refusal::field("expiresAt", "must lie ahead"));
        }
        let (ms, random) = node.clock.id_bits();
        let secret = self.draw(new.kind);
        let key = ApiKey {
            id: ApiKeyId::new(ms, random),
            kind: new.kind,
            name: new.name,
            scopes: new.scopes,
            hash: secret.hash(),
            created: node.clock.now(),
            expires: new.expires,
            rate_limit: new.rate_limit,
        };
        let create = Create { key, prefix: shown(&secret) };
        let command = by.decides(Command::ApiKeys(api_keys::Command::Create(Box::new(create))));
        let ticket = self.ticket(&first, Some(secret.expose())).await?;
        newly_made(self.propose(context.origin(), ticket, command).await?, Some(secret))
    }

    /// Changes a key, for whoever holds all that it may do before and after.
    pub async fn update_api_key(
        &self,
        context: &Context,
        by: &Authority,
        id: ApiKeyId,
        changes: ApiKeyChanges,
    ) -> Result<ApiKeyInfo, Refusal> {
        let present = self.managed_key(by, id).await?;
        if let Some(scopes) = &changes.scopes {
            check_scopes(present.key.kind, scopes, by)?;
        }
        let ApiKeyChanges { name, scopes, expires, rate_limit } = changes;
        let update = Update { id, name, scopes, expires, rate_limit };
        let command = judged(by, &present, api_keys::Command::Update(Box::new(update)));
        match self.propose_once(context, command).await?.reply {
            Reply::ApiKey(key) => Ok(ApiKeyInfo { key: *key, usage: present.usage }),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Gives a key another secret, for whoever holds all that it may do; the old one works on for
    /// a while.
    pub async fn rotate_api_key(
        &self,
        context: &Context,
        by: &Authority,
        id: ApiKeyId,
    ) -> Result<NewlyMadeKey, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return newly_made(answer, None),
            Attempt::First(first) => first,
        };
        let present = self.managed_key(by, id).await?;
        let secret = self.draw(present.key.kind);
        let grace_ms = GRACE.as_millis() as u64;
        let rotate = Rotate { id, hash: secret.hash(), prefix: shown(&secret), grace_ms };
        let command = judged(by, &present, api_keys::Command::Rotate(Box::new(rotate)));
        let ticket = self.ticket(&first, Some(secret.expose())).await?;
        newly_made(self.propose(context.origin(), ticket, command).await?, Some(secret))
    }

    /// Voids a key with every secret that it has, for whoever holds all that it may do.
    pub async fn revoke_api_key(
        &self,
        context: &Context,
        by: &Authority,
        id: ApiKeyId,
    ) -> Result<(), Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(_) => return Ok(()),
            Attempt::First(first) => first,
        };
        let present = self.managed_key(by, id).await?;
        let command = judged(by, &present, api_keys::Command::Revoke(Revoke { id }));
        let ticket = self.ticket(&first, None).await?;
        self.propose(context.origin(), ticket, command).await.map(drop)
    }

    /// A key.
    pub async fn api_key_by_id(&self, id: ApiKeyId) -> Result<ApiKeyInfo, Refusal> {
        let records = self.0.shard.read().await?;
        let view = self.0.view(&records);
        let key = view.api_key_by_id(id)?.ok_or(Refusal::NotFound)?;
        let usage = view.api_key_usage(id)?.unwrap_or_else(|| unknown(&key));
        Ok(ApiKeyInfo { key, usage })
    }

    /// A key that is to be changed.
    ///
    /// Invariant: nobody gets at what another key may do by way of that key, be it its secret, its
    /// end or its limit.
    async fn managed_key(&self, by: &Authority, id: ApiKeyId) -> Result<ApiKeyInfo, Refusal> {
        let found = self.api_key_by_id(id).await?;
        by.check_holds(&found.key.scopes)?;
        Ok(found)
    }

    /// All keys, oldest first.
    pub async fn api_keys(&self) -> Result<Vec<ApiKeyInfo>, Refusal> {
        let records = self.0.shard.read().await?;
        let view = self.0.view(&records);
        let mut all = Vec::new();
        for key in view.api_keys()? {
            let usage = view.api_key_usage(key.id)?.unwrap_or_else(|| unknown(&key));
            all.push(ApiKeyInfo { key, usage });
        }
        Ok(all)
    }

    fn draw(&self, kind: ApiKeyKind) -> Secret {
        Secret::new(purpose(kind), self.number(), &self.0.node.clock.random())
    }
}

fn purpose(kind: ApiKeyKind) -> Purpose {
    match kind {
        ApiKeyKind::Publishable => Purpose::PublishableKey,
        ApiKeyKind::Secret => Purpose::SecretKey,
    }
}

fn shown(secret: &Secret) -> String {
    secret.expose().chars().take(SHOWN).collect()
}

/// Of a key that founding has made nothing is known but its kind.
fn unknown(key: &ApiKey) -> Usage {
    Usage { prefix: format!("{}_", purpose(key.kind).prefix()), last_used: None }
}

/// A change of a key as it was found, which has come to nothing if the key may do something else by
/// then.
fn judged(by: &Authority, found: &ApiKeyInfo, change: api_keys::Command) -> Command {
    let ApiKey { id, scopes, .. } = found.key.clone();
    let judged = api_keys::Command::Judged(Box::new(Judged { id, scopes, change }));
    by.decides(Command::ApiKeys(judged))
}

/// Whether these scopes exist, and may be granted.
fn check_scopes(kind: ApiKeyKind, scopes: &[String], by: &Authority) -> Result<(), Refusal> {
    if kind == ApiKeyKind::Publishable && !scopes.is_empty() {
        return Err(Refusal::field("scopes", "a publishable key has none"));
    }
    if let Some(unknown) = scopes.iter().position(|scope| !is_known(scope)) {
        return Err(Refusal::field(&format!("scopes[{unknown}]"), "is no permission"));
    }
    by.check_holds(scopes)
}

/// The key as proposed, unless another was recorded.
fn newly_made(answer: Answer, proposed: Option<Secret>) -> Result<NewlyMadeKey, Refusal> {
    let lost = || Refusal::unavailable("a recorded key that is no text");
    let recorded = answer.secrets.map(String::from_utf8).transpose().map_err(|_| lost())?;
    let secret = recorded.map(|text| Secret::given(&text)).or(proposed).ok_or_else(lost)?;
    match answer.reply {
        Reply::ApiKey(key) => {
            let usage = Usage { prefix: shown(&secret), last_used: None };
            Ok(NewlyMadeKey { info: ApiKeyInfo { key: *key, usage }, secret })
        }
        reply => Err(unexpected(&reply)),
    }
}
