//! The engine: what makes a write durable and a read true. Raft groups (`raft`) over one shared
//! log with group commit (`log`), the state they lead to in sled (`tree`), and snapshots
//! (`snapshot`). It knows nothing of tenants, users or sessions: commands come from the logic that
//! it is given.
//!
//! Invariant: log and snapshots are the truth; the tree can always be rebuilt from them.

pub mod backup;
mod blocking;
pub mod error;
pub mod files;
mod folder;
mod health;
mod lease;
mod let_go;
pub mod link;
mod log;
mod members;
mod opening;
mod pace;
mod poison;
mod pulse;
mod raft;
mod restore;
pub mod revival;
mod scrub;
mod shard;
mod shards;
mod snapshot;
mod supervise;
mod suspend;
mod threads;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::error::{Cause, OpenError, Unavailable};
pub use self::folder::{Claim, VERSION as DATA_VERSION, is_in_use, shards_of};
pub use self::health::Health;
pub use self::members::Members;
pub use self::shard::{Leadership, Shard, View};
pub use self::shards::Shards;

use self::files::{Disk, RealDisk};
use self::link::Secrets;
use crate::command::{Outcome, Proposal};
use crate::effect::Effect;
use crate::fault::Fault;
use crate::moment::Moment;
use crate::state_machine;
use crate::transaction::Transaction;
use crate::version;

const MIB: u64 = 1024 * 1024;

/// How storage is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder; made if it does not exist.
    pub data_dir: PathBuf,
    /// Raft's id of this node.
    pub node: u64,
    /// Raft groups. Fixed when the cluster is founded.
    pub shards: u16,
    /// Whether this node is the first of a cluster, unless its data says otherwise.
    pub founds: bool,
    /// The newest version of commands and records that the node speaks.
    pub speaks: u16,
    /// What its cluster had agreed on when it last ran: who is older is not spoken to from the start.
    pub agreed: u16,
    /// Bytes of memory for the cache of the state.
    pub cache_bytes: u64,
    /// A snapshot is taken when the log since the last one is larger than it, and than this.
    pub snapshot_log_bytes: u64,
    /// Bytes after which the log starts a further file.
    pub log_file_bytes: u64,
    /// Bytes above which log files that nothing needs are freed.
    pub log_purge_bytes: u64,
    /// Log entries that stay although a snapshot covers them, so that a follower that was away
    /// for a moment needs no snapshot.
    pub kept_entries: u64,
}

impl Options {
    /// The defaults, for node 1 with 16 shards.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            node: 1,
            shards: 16,
            founds: true,
            speaks: version::NEWEST,
            agreed: version::OLDEST,
            cache_bytes: 16 * MIB,
            snapshot_log_bytes: 64 * MIB,
            log_file_bytes: 32 * MIB,
            log_purge_bytes: 128 * MIB,
            kept_entries: 1_000,
        }
    }
}

/// What may be put in the place of the real thing.
pub struct Parts {
    /// The data folder, if it is held already.
    pub claim: Option<Claim>,
    /// Where log, snapshots and markers go.
    pub disk: Arc<dyn Disk>,
    /// What entries do to the records.
    pub logic: Arc<dyn Logic>,
    /// Where other nodes are met, if anywhere.
    pub door: Option<Door>,
}

/// Where other nodes are met.
pub struct Door {
    /// The cluster's port, open.
    pub listener: std::net::TcpListener,
    /// How others reach it.
    pub address: String,
    /// The cluster's secret.
    pub secrets: Secrets,
    /// What time it is.
    pub now: Moment,
    /// The cluster, if there is one already; until it is known, nobody is met.
    pub cluster: Option<[u8; 16]>,
    /// Where other nodes were last reached.
    pub peers: BTreeMap<u64, String>,
}

impl Default for Parts {
    /// The disk of the operating system, and the state machine.
    fn default() -> Self {
        let logic = Arc::new(StateMachine);
        Self { claim: None, disk: Arc::new(RealDisk), logic, door: None }
    }
}

/// What an entry does to the records: a pure function of both.
pub trait Logic: Send + Sync + 'static {
    /// Applies one proposal. A fault stops the shard.
    fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        proposal: Proposal,
    ) -> Result<Outcome, Fault>;
}

struct StateMachine;

impl Logic for StateMachine {
    fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        proposal: Proposal,
    ) -> Result<Outcome, Fault> {
        state_machine::apply(transaction, proposal)
    }
}

/// Hears of effects.
pub type Observer = Arc<dyn Fn(&[Effect]) + Send + Sync>;
