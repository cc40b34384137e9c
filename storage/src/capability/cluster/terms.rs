//! What holds for the whole cluster: the version that its nodes have agreed on, and how many replicas
//! each shard wants.

use serde::{Deserialize, Serialize};

use super::{NodeState, nodes};
use crate::codec;
use crate::command::{Rejection, Reply, Stop};
use crate::fault::Fault;
use crate::ids::TenantNumber;
use crate::keys::{self, Kind};
use crate::records::Records;
use crate::state_machine::Step;
use crate::version::OLDEST;

/// How many replicas a shard may want.
pub const REPLICAS: [u8; 3] = [1, 3, 5];

/// The nodes agree on a version of commands and records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agree {
    /// Which every node understands.
    pub version: u16,
}

/// How many replicas each shard wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicate {
    /// One of [`REPLICAS`].
    pub replicas: u8,
    /// Whether it takes the place of what was said before; if not, it is the first word alone.
    pub anew: bool,
}

/// The version that the cluster has agreed on.
pub fn agreed(records: &dyn Records) -> Result<u16, Fault> {
    Ok(read(records, Kind::Agreed)?.unwrap_or(OLDEST))
}

/// How many replicas each shard wants, if that is on record.
pub fn replicas(records: &dyn Records) -> Result<Option<u8>, Fault> {
    read(records, Kind::Replicas)
}

fn read<T: serde::de::DeserializeOwned>(
    records: &dyn Records,
    kind: Kind,
) -> Result<Option<T>, Fault> {
    let record = records.get(&keys::single(TenantNumber::CLUSTER, kind))?;
    record.map(|record| codec::decode(&record)).transpose()
}

impl Agree {
    /// Invariant: no node is older than what was agreed on, now or later: a node's own word is taken
    /// against this record as well.
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let nodes = nodes(step.records())?;
        let mut present = nodes.iter().filter(|node| node.state != NodeState::Removed);
        if nodes.is_empty() || present.any(|node| node.version.data < self.version) {
            return Err(Rejection::Stale.into());
        }
        if self.version > agreed(step.records())? {
            step.put(keys::single(TenantNumber::CLUSTER, Kind::Agreed), &self.version)?;
            step.tenant_changed();
        }
        Ok(Reply::Done)
    }
}

impl Replicate {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        if !REPLICAS.contains(&self.replicas) {
            return Err(Rejection::Stale.into());
        }
        let known = replicas(step.records())?;
        if known != Some(self.replicas) && (self.anew || known.is_none()) {
            step.put(keys::single(TenantNumber::CLUSTER, Kind::Replicas), &self.replicas)?;
            step.tenant_changed();
        }
        Ok(Reply::Done)
    }
}
