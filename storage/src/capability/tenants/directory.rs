//! The directory of tenants, in shard 0. A tenant comes and goes in small steps over two shards,
//! each of which can be repeated: its name is reserved here, it is made (or erased) in its own
//! shard, and then it is known here (or forgotten). What is left half-way is noted here, so that it
//! is finished whoever began it.

use serde::{Deserialize, Serialize};

use crate::command::{Rejection, Reply, Stop};
use crate::fault::Fault;
use crate::ids::{TenantId, TenantNumber};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::state_machine::Step;
use crate::view::View;

/// A tenant that is not wholly there, or not wholly gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// Its public name.
    pub id: TenantId,
    /// Its number.
    pub number: TenantNumber,
    /// Its name in addresses.
    pub slug: String,
    /// Since when.
    pub since: Moment,
    /// Whether it is going.
    pub leaving: bool,
}

/// Takes id and slug for a tenant to be, and gives it a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// Its public name.
    pub id: TenantId,
    /// Its name in addresses.
    pub slug: String,
}

/// Makes a tenant known that was made in its shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enlist {
    /// Its public name.
    pub id: TenantId,
    /// Its number.
    pub number: TenantNumber,
}

/// Makes a tenant unknown; what is in its shard is to be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delist {
    /// Its public name.
    pub id: TenantId,
    /// Its name in addresses, which is free again once it is forgotten.
    pub slug: String,
}

/// Ends what is half-way: nothing of the tenant is in its shard. A number is never given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// Its number.
    pub number: TenantNumber,
}

/// Marks a position in the log of a shard. Nothing writes it any more; old logs have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Drawn for one backup.
    pub value: [u8; 16],
}

/// Remembers to whom backups are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRecoveryKey {
    /// The public half of the recovery key.
    pub public: [u8; 32],
    /// Whether another one may be there.
    pub replace: bool,
}

impl Unsettled {
    fn load(step: &Step<'_, '_>, number: TenantNumber) -> Result<Option<Self>, Fault> {
        step.get(&keys::unsettled(number))
    }

    fn save(&self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        step.put(keys::unsettled(self.number), self)
    }
}

impl Reserve {
    /// Invariant: an id and a slug are taken from here on until their tenant is forgotten, so that no
    /// two tenants ever have the same.
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        in_the_directory(step)?;
        let taken = step.contains(&keys::slug(&self.slug))?
            || step.contains(&keys::directory(&self.slug))?
            || step.contains(&keys::directory(self.id.as_str()))?
            || step.contains(&keys::slug(self.id.as_str()))?
            || self.is_unsettled(step)?;
        if taken {
            return Err(Rejection::SlugTaken.into());
        }
        let counter = keys::single(step.tenant, Kind::TenantCounter);
        let last = step.get(&counter)?.unwrap_or(TenantNumber::DEFAULT);
        let number = last.0.checked_add(1).map(TenantNumber).ok_or(Rejection::SlugTaken)?;
        step.put(counter, &number)?;
        step.put(keys::slug(&self.slug), &number)?;
        let Self { id, slug } = self;
        Unsettled { id, number, slug, since: step.now, leaving: false }.save(step)?;
        Ok(Reply::Tenant(number))
    }

    /// Whether a tenant that is coming or going has the id, or has the slug for an id.
    fn is_unsettled(&self, step: &Step<'_, '_>) -> Result<bool, Fault> {
        let unsettled = View::new(step.records(), step.tenant).unsettled()?;
        Ok(unsettled.iter().any(|one| one.id == self.id || one.id.as_str() == self.slug))
    }
}

impl Enlist {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        in_the_directory(step)?;
        let entry = keys::directory(self.id.as_str());
        match step.get::<TenantNumber>(&entry)? {
            Some(known) if known == self.number => return Ok(Reply::Done),
            Some(_) => return Err(Rejection::SlugTaken.into()),
            None => {}
        }
        let unsettled = Unsettled::load(step, self.number)?.ok_or(Rejection::NotFound)?;
        if unsettled.id != self.id || unsettled.leaving {
            return Err(Rejection::NotFound.into());
        }
        step.put(entry, &self.number)?;
        step.delete(keys::unsettled(self.number));
        step.tenant_changed();
        Ok(Reply::Done)
    }
}

impl Delist {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        in_the_directory(step)?;
        let entry = keys::directory(self.id.as_str());
        let number: TenantNumber = step.get(&entry)?.ok_or(Rejection::NotFound)?;
        step.delete(entry);
        let Self { id, slug } = self;
        Unsettled { id, number, slug, since: step.now, leaving: true }.save(step)?;
        step.tenant_changed();
        Ok(Reply::Tenant(number))
    }
}

impl Forget {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        in_the_directory(step)?;
        let Some(unsettled) = Unsettled::load(step, self.number)? else { return Ok(Reply::Done) };
        let slug = keys::slug(&unsettled.slug);
        if step.get(&slug)? == Some(self.number) {
            step.delete(slug);
        }
        step.delete(keys::unsettled(self.number));
        Ok(Reply::Done)
    }
}

impl Mark {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        in_the_directory(step)?;
        step.put(keys::single(step.tenant, Kind::BackupMark), &self.value)?;
        Ok(Reply::Done)
    }
}

impl SetRecoveryKey {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        in_the_directory(step)?;
        let key = keys::single(step.tenant, Kind::RecoveryKey);
        match step.get::<[u8; 32]>(&key)? {
            Some(present) if present == self.public => {}
            Some(_) if !self.replace => return Err(Rejection::AlreadyExists.into()),
            _ => step.put(key, &self.public)?,
        }
        Ok(Reply::Done)
    }
}

fn in_the_directory(step: &Step<'_, '_>) -> Result<(), Rejection> {
    match step.tenant == TenantNumber::CLUSTER {
        true => Ok(()),
        false => Err(Rejection::NotFound),
    }
}
