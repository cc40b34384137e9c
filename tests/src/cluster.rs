//! Several nodes as one cluster: real programs on loopback, joined by a secret.
//!
//! ```ignore
//! let cluster = Cluster::of(3).await;
//! let alice = cluster.node(1).register("alice").await;
//! let leader = cluster.leader_of_the_default_tenant().await;
//! cluster.node(leader).kill_9();
//! alice.session.at(cluster.another_than(leader)).is_alive().await;
//! ```

use std::collections::BTreeSet;
use std::net::TcpListener;

use reqwest::Method;
use serde_json::{Value, json};

use crate::network::Network;
use crate::node::{Api, Node, Setup, send};
use crate::people::Session;
use crate::response::Response;
use crate::wait;

/// What the members of a test's cluster share.
pub const SECRET: &str = "the-secret-of-a-cluster-under-test";
/// What its operator shows.
pub const OPERATOR_TOKEN: &str = "jop_0123456789abcdef0123456789abcdef";
/// The shard of the default tenant, of those that a test's cluster has.
const DEFAULT_TENANT_SHARD: u64 = 1;
const SHARDS: u64 = 4;

/// What its nodes are prepared with.
type Base = Box<dyn Fn() -> Setup + Send + Sync>;

/// A running cluster. Nodes have the numbers 1, 2, 3 … in the order in which they came.
pub struct Cluster {
    nodes: Vec<Node>,
    addresses: Vec<String>,
    base: Base,
    shards: u64,
    network: Option<Network>,
}

impl Cluster {
    /// So many nodes, each of which has its share.
    pub async fn of(count: usize) -> Self {
        Self::with(count, &[]).await
    }

    /// The same, with other values for `section.key` on every node.
    pub async fn with(count: usize, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        let settings: Vec<(String, String)> = settings.collect();
        let base = move || {
            let settings = settings.iter();
            settings.fold(Node::prepare(), |setup, (key, value)| setup.with(key, value))
        };
        Self::made_of(count, SHARDS, Box::new(base)).await
    }

    /// So many nodes, each prepared like this, with so many shards.
    pub async fn made_of(count: usize, shards: u64, base: Base) -> Self {
        Self::made_on(None, count, shards, base).await
    }

    /// So many nodes on hosts of their own, which can be kept from each other.
    pub async fn across(network: Network, count: usize) -> Self {
        Self::made_on(Some(network), count, SHARDS, Box::new(Node::prepare)).await
    }

    /// So many nodes, on hosts of their own where there is a network, all of whose disks and clocks can
    /// be made bad.
    pub async fn in_trouble(network: Option<Network>, count: usize) -> Self {
        Self::made_on(network, count, SHARDS, Box::new(|| Node::prepare().meddled())).await
    }

    async fn made_on(network: Option<Network>, count: usize, shards: u64, base: Base) -> Self {
        let (nodes, addresses) = (Vec::new(), Vec::new());
        let mut cluster = Self { nodes, addresses, base, shards, network };
        for _ in 0..count {
            cluster.grows().await;
        }
        cluster.is_settled().await;
        cluster
    }

    /// One more node joins.
    pub async fn grows(&mut self) -> &Node {
        let node = self.next_node().start().await;
        self.nodes.push(node);
        self.nodes.last().expect("a node has just been started")
    }

    /// The last node goes, with all that it has.
    pub async fn shrinks(&mut self) {
        let node = self.nodes.pop().expect("a node");
        node.stops().await;
    }

    /// The next node, before it is started.
    pub fn next_node(&mut self) -> Setup {
        let number = self.nodes.len() + 1;
        let address = self.address_for(number);
        let setup = self.setup(number).with("cluster.listen", &address);
        self.addresses.push(address);
        setup
    }

    fn address_for(&self, number: usize) -> String {
        match &self.network {
            // A node that replaces another has the same host.
            Some(network) => format!("{}:{}", network.address(number), 7001 + self.addresses.len()),
            None => free_address(),
        }
    }

    /// A node that would have this number.
    fn setup(&self, number: usize) -> Setup {
        let setup = match &self.network {
            Some(network) => (self.base)()
                .within(network.namespace(number))
                .with("http.listen", format!("{}:0", network.address(number))),
            None => (self.base)(),
        };
        let setup = match setup.has_secrets() {
            true => setup,
            false => setup.with("cluster.secret", SECRET),
        };
        setup
            .with("node.name", format!("node-{number}"))
            .with("cluster.shards", self.shards)
            .with("cluster.join", self.addresses.join(","))
            .with("bootstrap.operator_token", OPERATOR_TOKEN)
    }

    /// How many shards it has.
    pub fn shards(&self) -> u64 {
        self.shards
    }

    /// The network between its nodes, if they have hosts of their own.
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// A node that joins in the place of another, whose data is gone.
    pub async fn replaces(&mut self, number: usize) -> &Node {
        let address = self.address_for(number);
        let members = self.addresses.iter().enumerate();
        let others = members.filter(|(at, _)| at + 1 != number).map(|(_, address)| address.clone());
        let join = others.collect::<Vec<_>>().join(",");
        let setup = self.setup(number).with("cluster.join", join).with("cluster.listen", &address);
        self.addresses.push(address);
        self.nodes.push(setup.with_flag("--replace").start().await);
        self.nodes.last().expect("a node has just been started")
    }

    /// A node by its number.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number - 1]
    }

    /// All of them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node that is none of these.
    pub fn another_than(&self, numbers: &[usize]) -> &Node {
        let number = (1..=self.nodes.len()).find(|number| !numbers.contains(number));
        self.node(number.expect("another node"))
    }

    /// The cluster as a node sees it, if it can tell.
    pub async fn seen_by(&self, number: usize) -> Option<Status> {
        let api = &self.node(number).api;
        let asked = api.request(Method::GET, "/admin/cluster").bearer_auth(OPERATOR_TOKEN);
        let answer = send(asked.timeout(std::time::Duration::from_secs(5))).await.ok()?;
        (answer.status == 200).then(|| Status(answer.data().clone()))
    }

    /// The cluster as the first node sees it that can tell.
    pub async fn status(&self) -> Option<Status> {
        for number in 1..=self.nodes.len() {
            if let Some(status) = self.seen_by(number).await {
                return Some(status);
            }
        }
        None
    }

    /// Waits until all nodes name the same voters of the default tenant's shard; who they are.
    pub async fn all_agree_on_the_voters(&self) -> BTreeSet<u64> {
        wait::until("all agree on the voters", async || {
            let mut told = BTreeSet::new();
            for number in 1..=self.nodes.len() {
                told.insert(self.seen_by(number).await?.voters_of(DEFAULT_TENANT_SHARD));
            }
            (told.len() == 1).then(|| told.pop_first()).flatten()
        })
        .await
    }

    /// Waits until every node has its share of the replicas and the leaders.
    pub async fn is_settled(&self) {
        let mut last = None;
        let settled = wait::until("every node has its share", async || {
            let status = self.status().await?;
            let settled = status.is_settled(self.shards).then_some(());
            last = Some(status);
            settled
        });
        settled.await;
    }

    /// The number of the node that leads the shard of the default tenant.
    pub async fn leader_of_the_default_tenant(&self) -> usize {
        wait::until("the default tenant has a leader", async || {
            let status = self.status().await?;
            status.number_of(status.leader_of(DEFAULT_TENANT_SHARD)?)
        })
        .await
    }

    /// The term of the default tenant's shard.
    pub async fn term_of_the_default_tenant(&self) -> u64 {
        wait::until("the default tenant has a leader", async || {
            self.status().await?.term_of(DEFAULT_TENANT_SHARD)
        })
        .await
    }

    /// Asks a node to have each shard held by so many.
    pub async fn replicates(&self, number: usize, replicas: u64) -> Response {
        let asked = self.node(number).api.request(Method::PATCH, "/admin/cluster");
        let asked = asked.bearer_auth(OPERATOR_TOKEN).json(&json!({ "replicas": replicas }));
        send(asked).await.expect("an answer")
    }

    /// Tells the cluster to let a node go.
    pub async fn lets_go(&self, number: usize, of: usize) {
        let api = &self.node(number).api;
        let asked = api.request(Method::DELETE, &format!("/admin/cluster/nodes/{of}"));
        send(asked.bearer_auth(OPERATOR_TOKEN)).await.expect("an answer").is_yes(200);
    }
}

impl Session {
    /// The same session, used at another node.
    pub fn at(&self, node: &Node) -> Self {
        Self { api: node.api.clone(), ..self.clone() }
    }

    /// Waits until its access token is accepted.
    pub async fn comes_back(&self) {
        wait::until("the session is served", async || {
            let asked = self.request(Method::GET, "/users/me");
            (send(asked).await.ok()?.status == 200).then_some(())
        })
        .await;
    }
}

/// What `GET /admin/cluster` answers.
#[derive(Debug)]
pub struct Status(pub Value);

impl Status {
    fn list(value: &Value) -> impl Iterator<Item = &Value> {
        value.as_array().into_iter().flatten()
    }

    /// The numbers of the nodes in a state.
    pub fn nodes(&self, state: &str) -> BTreeSet<u64> {
        let nodes = Self::list(&self.0["nodes"]).filter(|node| node["state"] == state);
        nodes.filter_map(|node| node["id"].as_u64()).collect()
    }

    /// The number of a node in its cluster, which its name tells: a node that has lost its disk comes
    /// back as another one.
    fn number_of(&self, id: u64) -> Option<usize> {
        let node = Self::list(&self.0["nodes"]).find(|node| node["id"] == id)?;
        node["name"].as_str()?.strip_prefix("node-")?.parse().ok()
    }

    /// Who leads a shard.
    pub fn leader_of(&self, shard: u64) -> Option<u64> {
        self.shard(shard)?["leader"].as_u64()
    }

    /// The id of a node that has this number and has not left.
    pub fn id_of(&self, number: usize) -> Option<u64> {
        let name = format!("node-{number}");
        Self::list(&self.0["nodes"]).find(|node| node["name"] == name)?["id"].as_u64()
    }

    /// How many shards the node of this number leads.
    pub fn led_by(&self, number: usize) -> usize {
        let shards = Self::list(&self.0["shards"]).filter_map(|shard| shard["leader"].as_u64());
        shards.filter(|leader| self.number_of(*leader) == Some(number)).count()
    }

    fn shard(&self, id: u64) -> Option<&Value> {
        Self::list(&self.0["shards"]).find(|known| known["id"] == id)
    }

    /// The version that all nodes have agreed on.
    pub fn agreed_version(&self) -> Option<u64> {
        self.0["agreedVersion"].as_u64()
    }

    /// The version of each node, in order.
    pub fn versions(&self) -> Vec<u64> {
        let versions = Self::list(&self.0["nodes"]).map(|node| &node["version"]["data"]);
        versions.filter_map(Value::as_u64).collect()
    }

    /// In which term a shard is led.
    pub fn term_of(&self, shard: u64) -> Option<u64> {
        self.shard(shard)?["term"].as_u64()
    }

    /// Who votes in a shard.
    pub fn voters_of(&self, shard: u64) -> BTreeSet<u64> {
        let replicas =
            self.shard(shard).into_iter().flat_map(|shard| Self::list(&shard["replicas"]));
        let voters = replicas.filter(|replica| replica["role"] != "learner");
        voters.filter_map(|replica| replica["node"].as_u64()).collect()
    }

    /// Whether every member leads and holds what it should.
    fn is_settled(&self, shards: u64) -> bool {
        let members = self.nodes("member");
        let replicas = self.0["replicas"].as_u64().unwrap_or_default() as usize;
        let unsettled = self.nodes("joining").len() + self.nodes("draining").len();
        let spread = |shard: u64| {
            let voters = self.voters_of(shard);
            let first = members.iter().nth(shard as usize % members.len().max(1));
            voters.len() == members.len().min(replicas)
                && voters.is_subset(&members)
                && self.leader_of(shard).as_ref() == first
        };
        unsettled == 0 && (0..shards).all(spread)
    }
}

/// An address that nobody listens at.
pub fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

/// Whether a node says that it can serve.
pub async fn is_ready(api: &Api) -> bool {
    api.try_get("/health/ready").await.is_ok_and(|answer| answer.status == 200)
}
