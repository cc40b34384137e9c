//! What nodes ask each other about the cluster, on the control channel.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::reset::Reset;
use crate::capability::cluster::{Command, Join};
use crate::command::Outcome;
use crate::engine::Members;
use crate::ids::ShardId;
use crate::seal::Key;

/// A question. Append-only.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// To be taken in.
    Join(Box<Join>),
    /// To propose this to shard 0.
    Decide(Command),
    /// What the node leads.
    Report,
    /// To put leaders in their places without waiting for calm.
    Rebalance,
    /// Whether the asking node has been let go of by this shard, which the asked one leads.
    HasLetGo(ShardId),
    /// To let the operator have another token. A stranger who proves to know the cluster's key may
    /// ask that too.
    ResetOperator(Reset),
}

/// An answer. Append-only.
#[derive(Serialize, Deserialize)]
pub enum Told {
    /// The node is taken in.
    Joined(Box<Joined>),
    /// What the proposal came to.
    Decided(Box<Outcome>),
    /// What the node leads.
    Report(Report),
    /// It will be done.
    Done,
    /// Not by this node, or not now: ask again.
    Unavailable(String),
    /// Never.
    Refused(String),
    /// Whether it has been.
    LetGo(bool),
}

/// What a new node is given.
#[derive(Serialize, Deserialize)]
pub struct Joined {
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// The new node's number.
    pub node: u64,
    /// Raft groups of the cluster.
    pub shards: u16,
    /// The cluster's key.
    key: [u8; 32],
    /// Where the members are reached.
    pub peers: BTreeMap<u64, String>,
}

impl Joined {
    /// With this key.
    pub fn new(
        cluster: [u8; 16],
        node: u64,
        shards: u16,
        key: &Key,
        peers: BTreeMap<u64, String>,
    ) -> Self {
        Self { cluster, node, shards, key: *key.expose(), peers }
    }

    /// The cluster's key.
    pub fn key(&self) -> Key {
        Key::new(self.key)
    }
}

/// What a node leads.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// Each shard, with its group.
    pub leads: Vec<(ShardId, Members)>,
}
