//! Tenants, their settings and signing keys; and the cluster that knows them all.

mod anew;
mod directory;

use serde::{Deserialize, Serialize};

pub use anew::{Cause, Erase, Rename, ResetOperator, Restart};
pub use directory::{Delist, Enlist, Forget, Mark, Reserve, SetRecoveryKey, Unsettled};

use crate::capability::api_keys::ApiKey;
use crate::command::{Rejection, Reply, Stop};
use crate::fault::Fault;
use crate::ids::{TenantId, TenantNumber};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::seal::Sealed;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its public name.
    pub id: TenantId,
    /// The number it has inside.
    pub number: TenantNumber,
    /// What people call it.
    pub name: String,
    /// Its name in addresses.
    pub slug: String,
    /// When it was created.
    pub created: Moment,
    /// A JSON object: what differs from the deployment's configuration.
    pub settings: String,
    /// Counts the changes of `settings`.
    pub revision: u64,
    /// The tenant's key, under the cluster's.
    pub key: Sealed,
    /// Number of the signing key in use.
    pub signing_key: u32,
}

/// How a token is signed (RFC 7518 §3.1, RFC 8037). Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// HMAC with SHA-256; never published.
    HS256,
}

/// A key that signs access tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// 1, 2, 3 … in the tenant.
    pub number: u32,
    /// `kid` of its tokens.
    pub kid: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// When it was made.
    pub created: Moment,
    /// When it is published no more: its last token has expired. `None` while it signs.
    pub retires: Option<Moment>,
    /// PKCS #8, or the bare secret of HMAC; sealed under the tenant's key.
    pub private: Sealed,
    /// Its public half as a JWK (RFC 7517), as text; `None` for HMAC.
    pub public: Option<String>,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Drawn at founding.
    pub id: [u8; 16],
    /// When it was founded.
    pub founded: Moment,
    /// What is stored of the operator's token.
    pub operator_token: SecretHash,
}

/// What can be done to tenants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A new tenant, in its own shard.
    Create(Box<Create>),
    /// The cluster's own records, in shard 0.
    Found(Box<Found>),
    /// Other settings.
    Configure(Configure),
    /// Another signing key.
    RotateSigningKey(Box<RotateSigningKey>),
    /// A name and a number for a tenant to be, in shard 0.
    Reserve(Reserve),
    /// A tenant is there, in shard 0.
    Enlist(Enlist),
    /// A tenant is to go, in shard 0.
    Delist(Delist),
    /// A tenant is gone, in shard 0.
    Forget(Forget),
    /// Erase records, in the tenant's shard.
    Erase(Erase),
    /// To whom backups are encrypted, in shard 0.
    SetRecoveryKey(SetRecoveryKey),
    /// Another id of the cluster, in shard 0.
    Rename(Rename),
    /// Another operator token, in shard 0.
    ResetOperator(ResetOperator),
    /// Other keys and another epoch, after a restore.
    Restart(Box<Restart>),
    /// Another name for people.
    Title(Title),
    /// A position in the log of any shard.
    Mark(Mark),
}

/// A new tenant with all that it needs to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    /// The tenant.
    pub tenant: Tenant,
    /// Its first signing key.
    pub signing_key: SigningKey,
    /// Its first API keys.
    pub api_keys: Vec<ApiKey>,
    /// Whether one left behind by an unfinished founding is replaced.
    pub replace: bool,
}

/// The last step of founding: from now on the cluster exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The cluster.
    pub cluster: Cluster,
    /// Its tenants.
    pub tenants: Vec<(TenantId, TenantNumber)>,
    /// Tenants of keys that do not name theirs.
    pub keys: Vec<(SecretHash, TenantNumber)>,
}

/// Other settings, checked against the revision that the checker saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configure {
    /// The revision that they were made from.
    pub revision: u64,
    /// All settings as they are to be.
    pub settings: String,
}

/// Another signing key; the old one stays published until its last token has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateSigningKey {
    /// The key to sign with from now on.
    pub key: SigningKey,
    /// How long the longest token lasts, milliseconds.
    pub longest_ttl_ms: u64,
}

/// Another name for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title {
    /// The name.
    pub name: String,
}

impl Tenant {
    fn load(step: &Step<'_, '_>) -> Result<Option<Self>, Fault> {
        step.get(&keys::single(step.tenant, Kind::Tenant))
    }

    fn save(&self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        step.put(keys::single(step.tenant, Kind::Tenant), self)?;
        step.tenant_changed();
        Ok(())
    }
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Create(command) => command.apply(step),
        Command::Found(command) => command.apply(step),
        Command::Configure(command) => command.apply(step),
        Command::RotateSigningKey(command) => command.apply(step),
        Command::Reserve(command) => command.apply(step),
        Command::Enlist(command) => command.apply(step),
        Command::Delist(command) => command.apply(step),
        Command::Forget(command) => command.apply(step),
        Command::Erase(command) => command.apply(step),
        Command::SetRecoveryKey(command) => command.apply(step),
        Command::Rename(command) => command.apply(step),
        Command::ResetOperator(command) => command.apply(step),
        Command::Restart(command) => command.apply(step),
        Command::Title(command) => command.apply(step),
        Command::Mark(command) => command.apply(step),
    }
}

impl Create {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        if !self.replace && Tenant::load(step)?.is_some() {
            return Err(Rejection::AlreadyExists.into());
        }
        step.put(keys::signing_key(step.tenant, self.signing_key.number), &self.signing_key)?;
        for key in &self.api_keys {
            key.save(step)?;
        }
        self.tenant.save(step)?;
        Ok(Reply::Done)
    }
}

impl Found {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let cluster = keys::single(step.tenant, Kind::Cluster);
        if step.contains(&cluster)? {
            return Err(Rejection::AlreadyExists.into());
        }
        step.put(cluster, &self.cluster)?;
        for (id, number) in &self.tenants {
            step.put(keys::directory(id.as_str()), number)?;
        }
        for (hash, number) in &self.keys {
            step.put(keys::by_hash(step.tenant, Kind::BootstrapKey, hash), number)?;
        }
        step.tenant_changed();
        Ok(Reply::Done)
    }
}

impl Configure {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut tenant = Tenant::load(step)?.ok_or(Rejection::NotFound)?;
        if tenant.revision != self.revision {
            return Err(Rejection::Stale.into());
        }
        tenant.settings = self.settings;
        tenant.revision += 1;
        tenant.save(step)?;
        Ok(Reply::Done)
    }
}

impl Title {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut tenant = Tenant::load(step)?.ok_or(Rejection::NotFound)?;
        tenant.name = self.name;
        tenant.save(step)?;
        Ok(Reply::Done)
    }
}

impl RotateSigningKey {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut tenant = Tenant::load(step)?.ok_or(Rejection::NotFound)?;
        if self.key.number != tenant.signing_key + 1 {
            return Err(Rejection::Stale.into());
        }
        let old = keys::signing_key(step.tenant, tenant.signing_key);
        if let Some(mut key) = step.get::<SigningKey>(&old)? {
            key.retires = Some(Moment(step.now.0.saturating_add(self.longest_ttl_ms)));
            step.put(old, &key)?;
        }
        tenant.signing_key = self.key.number;
        step.put(keys::signing_key(step.tenant, self.key.number), &self.key)?;
        tenant.save(step)?;
        Ok(Reply::Done)
    }
}
