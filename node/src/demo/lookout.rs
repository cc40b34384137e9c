//! Who is ready, and who leads what: the demo asks, as an operator would.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use janua_storage::secret::Secret;
use reqwest::Method;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use super::children::replicas;
use super::client::Client;
use super::people::World;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// How long a node may take to say that it is ready, before it counts as gone.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// How long a node may take to describe the cluster; it asks the others, who may be gone.
const DESCRIBED_WITHIN: Duration = Duration::from_secs(3);

/// After so many failed looks in a row, who leads is unknown.
const FORGETTING: u32 = 3;

/// The cluster, as it looked last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Who leads each shard, as a place among the nodes.
    pub leaders: Vec<Option<usize>>,
    /// Whether all nodes are members, and each shard has its leader and replicas.
    pub whole: bool,
}

/// Looks for ever, and lets `seen` and the client know.
pub async fn look(world: Arc<World>, operator: Secret, seen: watch::Sender<Seen>) {
    tokio::join!(
        look_for_readiness(&world.client),
        look_at_cluster(&world.client, &operator, &seen)
    );
}

async fn look_for_readiness(client: &Client) {
    loop {
        let looks = (0..client.nodes()).map(async |node| {
            let asked = client.request(node, Method::GET, "/health/ready").timeout(READY_WITHIN);
            let ready = asked.send().await.is_ok_and(|answer| answer.status().is_success());
            client.mark(node, ready);
        });
        join_all(looks).await;
        sleep(PAUSE).await;
    }
}

async fn look_at_cluster(client: &Client, operator: &Secret, seen: &watch::Sender<Seen>) {
    let mut failed = 0;
    for turn in 0.. {
        let ready: Vec<_> = (0..client.nodes()).filter(|node| client.is_ready(*node)).collect();
        let asked = match ready.get(turn % ready.len().max(1)) {
            Some(node) => describe(client, operator, *node).await,
            None => None,
        };
        match asked {
            Some(cluster) => {
                failed = 0;
                seen.send_replace(Seen::of(&cluster, client.nodes()));
            }
            None => failed += 1,
        }
        if failed >= FORGETTING {
            seen.send_modify(|seen| seen.leaders.fill(None));
        }
        sleep(PAUSE).await;
    }
}

async fn describe(client: &Client, operator: &Secret, node: usize) -> Option<Value> {
    let asked = client.request(node, Method::GET, "/admin/cluster").bearer_auth(operator.expose());
    let answer = asked.timeout(DESCRIBED_WITHIN).send().await.ok()?;
    let mut answer: Value = answer.error_for_status().ok()?.json().await.ok()?;
    Some(answer["data"].take())
}

impl Seen {
    /// What `GET /admin/cluster` says of so many nodes, `node-1` and so on.
    fn of(cluster: &Value, nodes: usize) -> Self {
        let known = list(&cluster["nodes"]);
        let place = |id: &Value| {
            let node = known.iter().find(|node| node["id"] == *id)?;
            let number = node["name"].as_str()?.strip_prefix("node-")?;
            number.parse::<usize>().ok()?.checked_sub(1).filter(|place| *place < nodes)
        };
        let shards = list(&cluster["shards"]);
        let members = known.iter().filter(|node| node["state"] == "member").count();
        let voters = |shard: &Value| {
            list(&shard["replicas"]).iter().filter(|replica| replica["role"] != "learner").count()
        };
        let leaders: Vec<_> = shards.iter().map(|shard| place(&shard["leader"])).collect();
        let whole = members == nodes
            && leaders.iter().all(Option::is_some)
            && shards.iter().all(|shard| voters(shard) == replicas(nodes));
        Self { leaders, whole }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_is_whole_when_every_shard_has_its_leader_and_replicas() {
        let node = |id: u64, name: &str| json!({ "id": id, "name": name, "state": "member" });
        let replica = |node: u64, role: &str| json!({ "node": node, "role": role });
        let mut cluster = json!({
            // Numbers are given in the order in which nodes come, which is not that of names.
            "nodes": [node(1, "node-1"), node(2, "node-3"), node(3, "node-2")],
            "shards": [{ "id": 0, "leader": 2, "replicas":
                [replica(1, "voter"), replica(2, "leader"), replica(3, "voter")] }],
        });
        assert_eq!(Seen::of(&cluster, 3), Seen { leaders: vec![Some(2)], whole: true });
        cluster["shards"][0]["replicas"][0]["role"] = "learner".into();
        assert!(!Seen::of(&cluster, 3).whole, "one that learns does not count");
        cluster["shards"][0]["leader"] = Value::Null;
        assert_eq!(Seen::of(&cluster, 3).leaders, [None]);
    }
}
