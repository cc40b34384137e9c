//! The cluster, for its operator: its nodes, and who leads and holds which shard.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use garde::Validate;
use janua_storage::capability::cluster::{Node, NodeState, REPLICAS};
use janua_storage::command::Rejection;
use janua_storage::membership::home::hex;
use janua_storage::membership::{ShardStatus, Status};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, patch, post};
use crate::error::{Code, Detail, Error};
use crate::input::{Empty, Json};
use crate::output::{Data, Done};
use crate::{rules, shapes};

/// When to ask again for what could not be decided.
const ONE_SECOND: Duration = Duration::from_secs(1);
/// And for what waits until nodes have been brought to a newer version.
const ONE_MINUTE: Duration = Duration::from_secs(60);

/// The endpoints for the cluster.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/admin/cluster", Access::Operator, Limit::Api, show)
            .describes("Get the nodes of the cluster, and who leads and holds which shard"),
        patch("/admin/cluster", Access::Operator, Limit::Api, change).describes(
            "Change how many replicas each shard has; they are made and removed in peace",
        ),
        delete("/admin/cluster/nodes/{id}", Access::Operator, Limit::Api, remove)
            .describes("Move everything away from a node, which then leaves the cluster")
            .refuses(&[Code::ResourceNotFound, Code::ValidationError]),
        post("/admin/cluster/rebalance", Access::Operator, Limit::Api, rebalance)
            .describes("Have every shard led where it belongs, without waiting for calm"),
    ]
}

/// The cluster.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    #[schema(example = "5b3f0f6e0d1c4a7f9a3b2c1d0e9f8a7b")]
    cluster_id: String,
    /// The version of commands and records that all nodes have agreed on.
    #[schema(example = 2)]
    agreed_version: u16,
    /// How many replicas each shard wants; fewer nodes hold as many as they are.
    #[schema(example = 3)]
    replicas: usize,
    nodes: Vec<ClusterNode>,
    shards: Vec<ClusterShard>,
}

/// Changes of the cluster.
#[derive(Deserialize, Validate, ToSchema)]
pub struct ChangeClusterRequest {
    /// How many replicas each shard wants: 1, 3 or 5.
    #[garde(custom(rules::when_present(is_possible)))]
    #[schema(schema_with = shapes::replicas)]
    replicas: Option<u8>,
}

fn is_possible(wanted: &u8, _: &()) -> garde::Result {
    match REPLICAS.contains(wanted) {
        true => Ok(()),
        false => Err(garde::Error::new("must be 1, 3 or 5")),
    }
}

/// One node.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterNode {
    #[schema(example = 1)]
    id: u64,
    #[schema(example = "node-1")]
    name: String,
    #[schema(example = "127.0.0.1:3000")]
    http_address: String,
    #[schema(example = "127.0.0.1:7000")]
    cluster_address: String,
    state: ClusterNodeState,
    version: ClusterVersion,
    /// The shards that it leads.
    leads: Vec<u16>,
}

/// Whether a node stays.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClusterNodeState {
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
#[derive(Serialize, ToSchema)]
pub struct ClusterVersion {
    /// Of what nodes say to each other.
    protocol: u16,
    /// Of commands and records.
    data: u16,
}

/// One shard, as its leader sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterShard {
    id: u16,
    /// The node that leads it; absent when none says so.
    leader: Option<u64>,
    term: Option<u64>,
    replicas: Vec<ClusterReplica>,
    /// How many tenants it holds.
    tenants: usize,
    applied_index: Option<u64>,
}

/// One replica of a shard.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterReplica {
    node: u64,
    role: ClusterRole,
    /// The last entry that it is known to have.
    matched_index: u64,
    /// How many entries it is behind.
    lag_entries: u64,
}

/// What a replica does.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClusterRole {
    /// Leads.
    Leader,
    /// Votes and follows.
    Voter,
    /// Follows.
    Learner,
}

async fn show(call: Call, _: Empty) -> Result<Data<Cluster>, Error> {
    let status = call.app.membership()?.status().await.map_err(undecided)?;
    Ok(Data(Cluster::of(&status)))
}

async fn change(
    call: Call,
    Json(body): Json<ChangeClusterRequest>,
) -> Result<Data<Cluster>, Error> {
    let membership = call.app.membership()?;
    if let Some(replicas) = body.replicas {
        let changed = membership.replicate(replicas).await.map_err(undecided)?;
        changed.map_err(|not_yet| Error::unavailable(not_yet.to_string(), ONE_MINUTE))?;
    }
    let status = membership.status().await.map_err(undecided)?;
    Ok(Data(Cluster::of(&status)))
}

async fn remove(call: Call, _: Empty) -> Result<Done, Error> {
    let id = call.parameters.get("id").and_then(|id| id.parse().ok());
    let id = id.ok_or_else(Error::not_found)?;
    match call.app.membership()?.remove(id).await {
        Ok(Ok(())) => Ok(Done("The node is being drained")),
        Ok(Err(Rejection::NotFound)) => Err(Error::not_found()),
        Ok(Err(_)) => {
            Err(Error::invalid(vec![Detail::new("id", "must not be the last node, which stays")]))
        }
        Err(why) => Err(undecided(why)),
    }
}

async fn rebalance(call: Call, _: Empty) -> Result<Done, Error> {
    call.app.membership()?.rebalance().await.map_err(undecided)?;
    Ok(Done("The leaders are being put in their places"))
}

/// The cluster's own records cannot be had, or nobody is there to write them.
fn undecided(why: impl Display) -> Error {
    tracing::warn!(%why, "the cluster cannot tell or decide");
    Error::unavailable("The cluster cannot tell or decide now; try again shortly", ONE_SECOND)
}

impl Cluster {
    fn of(status: &Status) -> Self {
        let node = |node: &Node| {
            let leads = |shard: &&ShardStatus| {
                shard.leader.as_ref().is_some_and(|(leader, _)| *leader == node.id)
            };
            ClusterNode {
                id: node.id,
                name: node.name.clone(),
                http_address: node.http_address.clone(),
                cluster_address: node.cluster_address.clone(),
                state: node.state.into(),
                version: ClusterVersion {
                    protocol: node.version.protocol,
                    data: node.version.data,
                },
                leads: status.shards.iter().filter(leads).map(|shard| shard.id.0).collect(),
            }
        };
        Self {
            cluster_id: hex(&status.cluster),
            agreed_version: status.agreed,
            replicas: status.replicas,
            nodes: status.nodes.iter().map(node).collect(),
            shards: status.shards.iter().map(ClusterShard::of).collect(),
        }
    }
}

impl ClusterShard {
    fn of(status: &ShardStatus) -> Self {
        let (leader, members) =
            status.leader.as_ref().map(|(leader, members)| (*leader, members)).unzip();
        let role = |node: u64, voters: &BTreeSet<u64>| match voters.contains(&node) {
            true if Some(node) == leader => ClusterRole::Leader,
            true => ClusterRole::Voter,
            false => ClusterRole::Learner,
        };
        let replicas = members.into_iter().flat_map(|members| {
            let all = members.voters.iter().chain(&members.learners);
            all.map(|node| {
                let matched_index = members.matched.get(node).copied().unwrap_or_default();
                ClusterReplica {
                    node: *node,
                    role: role(*node, &members.voters),
                    matched_index,
                    lag_entries: members.last.saturating_sub(matched_index),
                }
            })
        });
        Self {
            id: status.id.0,
            leader,
            term: members.map(|members| members.term),
            replicas: replicas.collect(),
            tenants: status.tenants,
            applied_index: members.map(|members| members.applied),
        }
    }
}

impl From<NodeState> for ClusterNodeState {
    fn from(state: NodeState) -> Self {
        match state {
            NodeState::Joining => Self::Joining,
            NodeState::Member => Self::Member,
            NodeState::Draining => Self::Draining,
            NodeState::Removed => Self::Removed,
        }
    }
}
