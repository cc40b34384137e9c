//! What begins anew after a restore, and what ends for good: another cluster's id, other signing
//! keys, another epoch of the audit chain; and a tenant whose records are erased.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{Cluster, SigningKey, Tenant};
use crate::capability::audit::Epoch;
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::{TenantNumber, UserId};
use crate::keys::{self, Kind};
use crate::records::Records;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// What lets anybody in goes before the rest.
const DOORS: [Kind; 6] = [
    Kind::Tenant,
    Kind::SigningKey,
    Kind::ApiKey,
    Kind::ApiKeyById,
    Kind::Session,
    Kind::RefreshToken,
];

/// Another id for the cluster, so that no node of the old one can join the new one; its nodes are
/// forgotten, and the one that is left makes itself known when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Drawn for the new cluster.
    pub id: [u8; 16],
}

/// Another token for the operator; the old one is void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetOperator {
    /// What is stored of it.
    pub token: SecretHash,
}

/// Why a tenant begins anew. Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// Its cluster was restored from a backup.
    Restored,
    /// Its cluster was recovered from one node of an older one.
    Recovered,
}

impl Cause {
    /// As events name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restored => "restored",
            Self::Recovered => "recovered",
        }
    }
}

/// A tenant whose past was cut: no key of before signs or is published any more, and its audit chain
/// goes on in another epoch, since the old one may have gone on elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// The key to sign with from now on.
    pub key: SigningKey,
    /// Why.
    pub cause: Cause,
}

/// Erases records of a tenant, at most so many; what lets anybody in goes first. Repeated until
/// there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erase {
    /// How many at once.
    pub most: u32,
}

impl Rename {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let nodes = keys::range(step.tenant, Kind::Node);
        for node in first_keys(step, &nodes, usize::MAX)? {
            step.delete(node);
        }
        change_cluster(step, |cluster| cluster.id = self.id)
    }
}

impl ResetOperator {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        change_cluster(step, |cluster| cluster.operator_token = self.token)
    }
}

fn change_cluster(
    step: &mut Step<'_, '_>,
    change: impl FnOnce(&mut Cluster),
) -> Result<Reply, Stop> {
    let key = keys::single(step.tenant, Kind::Cluster);
    let mut cluster: Cluster = step.get(&key)?.ok_or(Rejection::NotFound)?;
    change(&mut cluster);
    step.put(key, &cluster)?;
    step.tenant_changed();
    Ok(Reply::Done)
}

impl Restart {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut tenant = Tenant::load(step)?.ok_or(Rejection::NotFound)?;
        if self.key.number != tenant.signing_key + 1 {
            return Err(Rejection::Stale.into());
        }
        let all = keys::range(step.tenant, Kind::SigningKey);
        for old in first_keys(step, &all, usize::MAX)? {
            step.delete(old);
        }
        tenant.signing_key = self.key.number;
        step.put(keys::signing_key(step.tenant, self.key.number), &self.key)?;
        tenant.save(step)?;
        let place = keys::single(step.tenant, Kind::AuditEpoch);
        let epoch = step.get::<Epoch>(&place)?.unwrap_or_default();
        let epoch = Epoch { number: epoch.number + 1, opened: step.now };
        step.put(place, &epoch)?;
        step.record(
            Draft::new(EventKind::TenantRestored, None)
                .with("cause", self.cause.as_str())
                .with("epoch", epoch.number),
        );
        Ok(Reply::Done)
    }
}

impl Erase {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        if step.tenant == TenantNumber::CLUSTER {
            return Err(Rejection::NotFound.into());
        }
        let most = self.most as usize;
        let doors = DOORS.map(|kind| keys::range(step.tenant, kind));
        let mut erased = 0;
        for prefix in doors.into_iter().chain([keys::all_of(step.tenant)]) {
            for key in first_keys(step, &prefix, most - erased)? {
                if let Some(user) = user_of_session(step.tenant, &key) {
                    step.user_changed(user);
                }
                step.delete(key);
                erased += 1;
            }
            if erased == most {
                break;
            }
        }
        step.tenant_changed();
        Ok(Reply::Count(erased as u32))
    }
}

fn first_keys(step: &Step<'_, '_>, prefix: &[u8], most: usize) -> Result<Vec<Vec<u8>>, Fault> {
    let mut found = Vec::new();
    if most == 0 {
        return Ok(found);
    }
    step.records().scan(prefix, None, &mut |key, _| {
        found.push(key.to_vec());
        if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

fn user_of_session(tenant: TenantNumber, key: &[u8]) -> Option<UserId> {
    let rest = key.strip_prefix(keys::range(tenant, Kind::Session).as_slice())?;
    rest.first_chunk().map(|id| UserId::from_bytes(*id))
}
