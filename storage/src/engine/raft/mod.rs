//! Raft: the types openraft is set up with, its configuration, and the adapters around it.

pub mod machine;
pub mod network;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openraft::alias::{EntryOf, LogIdOf, SnapshotMetaOf, StoredMembershipOf, VoteOf};
use openraft::{Config, ConfigError, SnapshotPolicy};
use serde::{Deserialize, Serialize};

use crate::command::{Outcome, Proposal};

/// A proposal as Raft sees it: opaque, and silent in every log line.
#[derive(Clone, Serialize, Deserialize)]
pub struct Proposed(pub Proposal);

impl fmt::Debug for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a proposal")
    }
}

impl fmt::Display for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a proposal")
    }
}

openraft::declare_raft_types!(
    /// What Raft is made of here. `R` is `None` for entries that carry no proposal.
    pub Types:
        D = Proposed,
        R = Option<Outcome>,
        LeaderId = openraft::impls::leader_id_std::LeaderId<Self::Term, Self::NodeId>,
);

/// A log entry.
pub type Entry = EntryOf<Types>;
/// Term and index of an entry.
pub type LogId = LogIdOf<Types>;
/// Whom a node votes for.
pub type Vote = VoteOf<Types>;
/// The members, and the entry that made them so.
pub type Membership = StoredMembershipOf<Types>;
/// What a snapshot stands for.
pub type SnapshotMeta = SnapshotMetaOf<Types>;
/// A running Raft group.
pub type Raft = openraft::Raft<Types, machine::Machine>;

/// How often a leader is heard of.
///
/// Two of them may be lost before anybody stands for election; twice as many would double what an
/// idle cluster costs, which is mostly waking up for them.
pub const HEARTBEAT: Duration = Duration::from_millis(100);
/// How long a heartbeat may be on its way.
const HEARTBEAT_DEADLINE: Duration = Duration::from_millis(200);
/// A leader's lease is shorter than this.
pub const ELECTION_MIN: Duration = Duration::from_millis(250);
/// openraft refuses votes for so long after it heard a leader.
pub const ELECTION_MAX: Duration = Duration::from_millis(300);

/// The configuration of every group.
///
/// Decision: snapshots are triggered by the bytes of log since the last one, which openraft does
/// not count, so its own policy is off. A restarted leader does not resume (it may have promised
/// another node its vote since), and pre-vote keeps a returning node from unseating a live leader.
/// Heartbeats and elections are triggered by `pace`, so its ticks are off; its interval is what it
/// takes for the deadline of a heartbeat.
pub fn config(kept_entries: u64) -> Result<Arc<Config>, ConfigError> {
    let config = Config {
        cluster_name: "janua".into(),
        heartbeat_interval: HEARTBEAT_DEADLINE.as_millis() as u64,
        election_timeout_min: ELECTION_MIN.as_millis() as u64,
        election_timeout_max: ELECTION_MAX.as_millis() as u64,
        max_payload_entries: 64,
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: kept_entries,
        enable_tick: false,
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        api_channel_size: Some(4_096),
        notification_channel_size: Some(4_096),
        ..Config::default()
    };
    config.validate().map(Arc::new)
}
