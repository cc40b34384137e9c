//! API keys: what names a tenant to its applications, and what its servers show.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::ApiKeyId;
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::records::Records;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiKeyKind {
    /// Names the tenant; safe in a browser.
    Publishable,
    /// Server to server.
    Secret,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What it may do.
    pub kind: ApiKeyKind,
    /// What people call it.
    pub name: String,
    /// Permissions of a secret key.
    pub scopes: Vec<String>,
    /// What is stored of it.
    pub hash: SecretHash,
    /// When it was made.
    pub created: Moment,
    /// When it stops working.
    pub expires: Option<Moment>,
    /// Its own rate limit, `N/unit`.
    pub rate_limit: Option<String>,
}

/// How an API key looks, and when it was last used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Its first characters, by which people find it again.
    pub prefix: String,
    /// Some minutes coarse.
    pub last_used: Option<Moment>,
}

/// What can be done to API keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A new one.
    Create(Box<Create>),
    /// Another name, other scopes, another end.
    Update(Box<Update>),
    /// No key any more.
    Revoke(Revoke),
    /// Another secret for the same key.
    Rotate(Box<Rotate>),
    /// Some were used.
    Used(Vec<Used>),
    /// A change of a key, by somebody who was found to hold all that the key may do.
    Judged(Box<Judged>),
}

/// A change of a key, by somebody who was found to hold all that the key may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Which key.
    pub id: ApiKeyId,
    /// What it could do when that was judged.
    pub scopes: Vec<String>,
    /// The change.
    pub change: Command,
}

/// What a server has decided by its key, to be done only while the key is good for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByKey {
    /// What is stored of the secret that it has shown.
    pub hash: SecretHash,
    /// What the key could do when that was found to be enough.
    pub scopes: Vec<String>,
    /// What was decided.
    pub command: crate::command::Command,
}

/// A new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    /// The key.
    pub key: ApiKey,
    /// Its first characters.
    pub prefix: String,
}

/// Changes of a key; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Which one.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: Option<String>,
    /// Permissions of a secret key.
    pub scopes: Option<Vec<String>>,
    /// When it stops working, or `Some(None)` for never.
    pub expires: Option<Option<Moment>>,
    /// Its own rate limit, or `Some(None)` for that of all others.
    pub rate_limit: Option<Option<String>>,
}

/// No key any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoke {
    /// Which one.
    pub id: ApiKeyId,
}

/// Another secret for the same key; the old one works a while longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotate {
    /// Which one.
    pub id: ApiKeyId,
    /// What is stored of the new secret.
    pub hash: SecretHash,
    /// The first characters of the new secret.
    pub prefix: String,
    /// How long the old secret works, milliseconds.
    pub grace_ms: u64,
}

/// A key was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Which one.
    pub id: ApiKeyId,
    /// When.
    pub at: Moment,
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Create(command) => command.apply(step),
        Command::Update(command) => command.apply(step),
        Command::Revoke(command) => command.apply(step),
        Command::Rotate(command) => command.apply(step),
        Command::Used(used) => note(step, used),
        Command::Judged(command) => command.apply(step),
    }
}

/// Refuses what was decided by a secret that has been voided, or has expired, meanwhile, or by a key
/// that may do less by now.
///
/// Invariant: what a key decides holds only while the key is good for it: a request that was on its way,
/// or whose body still comes in, does nothing once the revocation of its key was answered.
pub(crate) fn require_good(
    step: &Step<'_, '_>,
    hash: &SecretHash,
    scopes: &[String],
) -> Result<(), Stop> {
    let key: Option<ApiKey> = step.get(&keys::by_hash(step.tenant, Kind::ApiKey, hash))?;
    let is_live = |key: &ApiKey| key.expires.is_none_or(|expires| expires > step.now);
    let key = key.filter(is_live).ok_or(Rejection::InvalidToken)?;
    // What a narrowed key may still do is for the request to find out when it is made again.
    match scopes.iter().all(|scope| key.scopes.contains(scope)) {
        true => Ok(()),
        false => Err(Rejection::Stale.into()),
    }
}

impl ApiKey {
    fn load(step: &Step<'_, '_>, id: ApiKeyId) -> Result<Option<Self>, Fault> {
        match step.get::<SecretHash>(&keys::api_key(step.tenant, id))? {
            Some(hash) => step.get(&keys::by_hash(step.tenant, Kind::ApiKey, &hash)),
            None => Ok(None),
        }
    }

    pub(super) fn save(&self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        self.put(step)?;
        record(step, EventKind::ApiKeyCreated, self.id);
        Ok(())
    }

    fn put(&self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        step.put(keys::by_hash(step.tenant, Kind::ApiKey, &self.hash), self)?;
        step.put(keys::api_key(step.tenant, self.id), &self.hash)
    }
}

impl Create {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        if !step.contains(&keys::single(step.tenant, Kind::Tenant))? {
            return Err(Rejection::NotFound.into());
        }
        self.key.save(step)?;
        let usage = Usage { prefix: self.prefix, last_used: None };
        step.put(keys::api_key_use(step.tenant, self.key.id), &usage)?;
        Ok(Reply::ApiKey(Box::new(self.key)))
    }
}

impl Judged {
    /// Invariant: nobody changes a key that may do more by now than what they were found to hold.
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let key = ApiKey::load(step, self.id)?.ok_or(Rejection::NotFound)?;
        if key.scopes != self.scopes {
            return Err(Rejection::Stale.into());
        }
        apply(step, self.change)
    }
}

impl Update {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut key = ApiKey::load(step, self.id)?.ok_or(Rejection::NotFound)?;
        key.name = self.name.unwrap_or(key.name);
        key.scopes = self.scopes.unwrap_or(key.scopes);
        key.expires = self.expires.unwrap_or(key.expires);
        key.rate_limit = self.rate_limit.unwrap_or(key.rate_limit);
        // A secret that works on for a while may not do more than its key.
        for older in secrets_of(step, self.id)?.into_iter().filter(|older| older.hash != key.hash) {
            let (hash, ends) = (older.hash, older.expires);
            let older = ApiKey { hash, expires: key.expires.min(ends).or(ends), ..key.clone() };
            step.put(keys::by_hash(step.tenant, Kind::ApiKey, &hash), &older)?;
        }
        key.put(step)?;
        record(step, EventKind::ApiKeyUpdated, key.id);
        step.tenant_changed();
        Ok(Reply::ApiKey(Box::new(key)))
    }
}

impl Revoke {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        ApiKey::load(step, self.id)?.ok_or(Rejection::NotFound)?;
        for key in secrets_of(step, self.id)? {
            step.delete(keys::by_hash(step.tenant, Kind::ApiKey, &key.hash));
        }
        step.delete(keys::api_key(step.tenant, self.id));
        step.delete(keys::api_key_use(step.tenant, self.id));
        record(step, EventKind::ApiKeyRevoked, self.id);
        step.tenant_changed();
        Ok(Reply::Done)
    }
}

impl Rotate {
    /// At most one secret before the present one works on.
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut key = ApiKey::load(step, self.id)?.ok_or(Rejection::NotFound)?;
        for older in secrets_of(step, self.id)?.iter().filter(|older| older.hash != key.hash) {
            step.delete(keys::by_hash(step.tenant, Kind::ApiKey, &older.hash));
        }
        let ends = Moment(step.now.0.saturating_add(self.grace_ms));
        let ends = key.expires.map_or(ends, |expires| expires.min(ends));
        let old = ApiKey { expires: Some(ends), ..key.clone() };
        step.put(keys::by_hash(step.tenant, Kind::ApiKey, &old.hash), &old)?;
        key.hash = self.hash;
        key.put(step)?;
        let place = keys::api_key_use(step.tenant, self.id);
        let usage = step.get::<Usage>(&place)?.unwrap_or_default();
        step.put(place, &Usage { prefix: self.prefix, ..usage })?;
        record(step, EventKind::ApiKeyUpdated, key.id);
        step.tenant_changed();
        Ok(Reply::ApiKey(Box::new(key)))
    }
}

fn note(step: &mut Step<'_, '_>, used: Vec<Used>) -> Result<Reply, Stop> {
    for Used { id, at } in used {
        let place = keys::api_key_use(step.tenant, id);
        let mut usage = step.get::<Usage>(&place)?.unwrap_or_default();
        let is_there = step.contains(&keys::api_key(step.tenant, id))?;
        if is_there && usage.last_used.is_none_or(|last| last < at) {
            usage.last_used = Some(at);
            step.put(place, &usage)?;
        }
    }
    Ok(Reply::Done)
}

/// Every secret that works, or has worked lately, for a key.
fn secrets_of(step: &Step<'_, '_>, id: ApiKeyId) -> Result<Vec<ApiKey>, Fault> {
    let mut found = Vec::new();
    step.records().scan(&keys::range(step.tenant, Kind::ApiKey), None, &mut |_, value| {
        match codec::decode::<ApiKey>(value) {
            Ok(key) if key.id != id => {}
            key => found.push(key),
        }
        ControlFlow::Continue(())
    })?;
    found.into_iter().collect()
}

fn record(step: &mut Step<'_, '_>, kind: EventKind, id: ApiKeyId) {
    step.record(Draft::new(kind, None).with("apiKeyId", id.to_string().as_str()));
}
