//! The nodes of the cluster: who they are, where they are reached, and whether they stay. Their
//! records lie in shard 0, which every node follows.
//!
//! Invariant: a node's number is given once. A node that comes back without its data gets another,
//! so that nobody votes who has forgotten what they voted for.

mod terms;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

pub use terms::{Agree, REPLICAS, Replicate, agreed, replicas};

use crate::codec;
use crate::command::{Rejection, Reply, Stop};
use crate::fault::Fault;
use crate::ids::TenantNumber;
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::records::Records;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// The node that founds a cluster.
pub const FOUNDER: u64 = 1;

/// Whether a node stays. Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// It has a number, and has not been seen with it yet.
    Joining,
    /// It holds replicas.
    Member,
    /// Its replicas are moved away.
    Draining,
    /// It has left for good.
    Removed,
}

/// What a node's program understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Of what nodes say to each other.
    pub protocol: u16,
    /// Of commands and records.
    pub data: u16,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Raft's id.
    pub id: u64,
    /// What people call it; unique among those that have not left.
    pub name: String,
    /// Where clients reach it.
    pub http_address: String,
    /// Where nodes reach it.
    pub cluster_address: String,
    /// Whether it stays.
    pub state: NodeState,
    /// What its program understands.
    pub version: Version,
    /// Counts its starts.
    pub incarnation: u64,
    /// When it came.
    pub joined: Moment,
    /// Of what it drew when it first asked to join, so that it may ask again.
    pub ticket: Option<SecretHash>,
}

/// What can be done to nodes. Append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A new node.
    Join(Box<Join>),
    /// A node says where and what it is.
    Announce(Box<Announce>),
    /// A node is to leave.
    Drain(u64),
    /// A node has left.
    Remove(u64),
    /// The nodes agree on a version.
    Agree(Agree),
    /// How many replicas each shard wants.
    Replicate(Replicate),
}

/// A new node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// What people call it.
    pub name: String,
    /// Where clients reach it.
    pub http_address: String,
    /// Where nodes reach it.
    pub cluster_address: String,
    /// What its program understands.
    pub version: Version,
    /// Of what it drew; who asks again with the same gets the same number.
    pub ticket: SecretHash,
    /// Whether it takes the place of the node that has its name.
    pub replace: bool,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// Its number.
    pub id: u64,
    /// What people call it.
    pub name: String,
    /// Where clients reach it.
    pub http_address: String,
    /// Where nodes reach it.
    pub cluster_address: String,
    /// What its program understands.
    pub version: Version,
    /// Counts its starts.
    pub incarnation: u64,
}

impl Announce {
    /// Whether this is what a record says already.
    pub fn is_said_by(&self, node: &Node) -> bool {
        node.state != NodeState::Joining
            && (self.id, &self.name, &self.http_address)
                == (node.id, &node.name, &node.http_address)
            && (&self.cluster_address, self.version, self.incarnation)
                == (&node.cluster_address, node.version, node.incarnation)
    }
}

impl Node {
    /// Whether it has replicas to hold.
    pub fn stays(&self) -> bool {
        matches!(self.state, NodeState::Joining | NodeState::Member)
    }
}

/// Every node there ever was, by number.
pub fn nodes(records: &dyn Records) -> Result<Vec<Node>, Fault> {
    let (mut found, prefix) = (Vec::new(), keys::range(TenantNumber::CLUSTER, Kind::Node));
    records.scan(&prefix, None, &mut |_, value| {
        found.push(codec::decode(value));
        ControlFlow::Continue(())
    })?;
    found.into_iter().collect()
}

/// The newest version of commands and records that every node understands.
pub fn understood(nodes: &[Node]) -> Option<u16> {
    let present = nodes.iter().filter(|node| node.state != NodeState::Removed);
    present.map(|node| node.version.data).min()
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Join(command) => command.apply(step),
        Command::Announce(command) => command.apply(step),
        Command::Drain(id) => {
            let mut node = load(step, id)?.ok_or(Rejection::NotFound)?;
            let others = nodes(step.records())?;
            let stays =
                others.iter().any(|other| other.id != id && other.state == NodeState::Member);
            if !stays {
                return Err(Rejection::Stale.into());
            }
            if node.stays() {
                node.state = NodeState::Draining;
                save(step, &node)?;
            }
            Ok(Reply::Done)
        }
        Command::Remove(id) => {
            let mut node = load(step, id)?.ok_or(Rejection::NotFound)?;
            node.state = NodeState::Removed;
            save(step, &node)?;
            Ok(Reply::Done)
        }
        Command::Agree(command) => command.apply(step),
        Command::Replicate(command) => command.apply(step),
    }
}

impl Join {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        is_new_enough(step, self.version)?;
        let nodes = nodes(step.records())?;
        let living = || nodes.iter().filter(|node| node.state != NodeState::Removed);
        let again = living().find(|node| node.ticket == Some(self.ticket));
        if let Some(node) = again {
            return Ok(Reply::Node(Box::new(node.clone())));
        }
        if let Some(namesake) = living().find(|node| node.name == self.name) {
            if !self.replace {
                return Err(Rejection::AlreadyExists.into());
            }
            save(step, &Node { state: NodeState::Removed, ..namesake.clone() })?;
        }
        let node = Node {
            id: nodes.iter().map(|node| node.id).max().unwrap_or(FOUNDER) + 1,
            name: self.name,
            http_address: self.http_address,
            cluster_address: self.cluster_address,
            state: NodeState::Joining,
            version: self.version,
            incarnation: 0,
            joined: step.now,
            ticket: Some(self.ticket),
        };
        save(step, &node)?;
        Ok(Reply::Node(Box::new(node)))
    }
}

impl Announce {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        is_new_enough(step, self.version)?;
        let known = load(step, self.id)?;
        // The founder is there before there are records of nodes.
        if known.is_none() && (self.id != FOUNDER || !nodes(step.records())?.is_empty()) {
            return Err(Rejection::NotFound.into());
        }
        let (state, joined, ticket) = match known {
            Some(node) if node.state == NodeState::Joining => {
                (NodeState::Member, node.joined, node.ticket)
            }
            Some(node) => (node.state, node.joined, node.ticket),
            None => (NodeState::Member, step.now, None),
        };
        let Self { id, name, http_address, cluster_address, version, incarnation } = self;
        let node = Node {
            id,
            name,
            http_address,
            cluster_address,
            state,
            version,
            incarnation,
            joined,
            ticket,
        };
        save(step, &node)?;
        Ok(Reply::Done)
    }
}

/// A node must not be older than what the cluster has agreed on.
fn is_new_enough(step: &Step<'_, '_>, version: Version) -> Result<(), Stop> {
    match version.data < agreed(step.records())? {
        true => Err(Rejection::Stale.into()),
        false => Ok(()),
    }
}

fn load(step: &Step<'_, '_>, id: u64) -> Result<Option<Node>, Fault> {
    step.get(&keys::node(id))
}

fn save(step: &mut Step<'_, '_>, node: &Node) -> Result<(), Fault> {
    step.put(keys::node(node.id), node)?;
    step.tenant_changed();
    Ok(())
}
