//! Who is in the cluster, and who holds what of it. It reads the nodes' records in shard 0, and has
//! the engine bring every group that this node leads to where it belongs.

mod agree;
pub mod alive;
pub mod control;
mod decide;
pub mod home;
pub mod join;
mod keep;
pub mod placement;
pub mod reset;
mod tend;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

pub use self::agree::{NotYet, StartError, Terms, agreed_elsewhere};
use self::control::{Ask, Report, Told};
pub use self::decide::Undecided;
use self::home::Home;
use crate::capability::cluster::{self, Announce, Command, Node, NodeState, Replicate, Version};
use crate::codec;
use crate::command::{Rejection, Reply};
use crate::engine::link::wire::Hello;
use crate::engine::link::{
    Admission, Identity, IdentityError, Link, OTHER_CLUSTER, PROTOCOL, Secrets,
};
use crate::engine::{Members, Shards};
use crate::fault::Fault;
use crate::ids::{ShardId, TenantNumber};
use crate::moment::Moment;
use crate::seal::Key;
use crate::view::View;

/// How long a node may take to say what it leads.
const REPORT_DEADLINE: Duration = Duration::from_millis(700);

/// The present, and random bytes: both come from the floor above.
pub type Stamp = Arc<dyn Fn() -> (Moment, [u8; 32]) + Send + Sync>;

/// What a node is told about itself.
pub struct About {
    /// Its name.
    pub name: String,
    /// Where clients reach it.
    pub http_address: String,
    /// Its data folder.
    pub data_dir: PathBuf,
    /// What the folder said when the node started.
    pub home: Option<Home>,
    /// Whether it has founded the cluster just now.
    pub founded: bool,
    /// How many replicas each shard wants, as long as that is not on record.
    pub replicas: usize,
    /// What the members of the cluster know.
    pub secrets: Secrets,
}

/// The nodes, as the records have them.
pub type Known = Option<Arc<Vec<Node>>>;

/// What a node understands that speaks up to this version of commands and records.
pub fn version(speaks: u16) -> Version {
    Version { protocol: PROTOCOL, data: speaks }
}

/// The node's part in the cluster. Ends when dropped.
pub struct Membership {
    inner: Arc<Inner>,
    _keeping: AbortOnDropHandle<()>,
}

struct Inner {
    shards: Arc<Shards>,
    link: Arc<Link>,
    about: About,
    home: Mutex<Home>,
    key: Key,
    stamp: Stamp,
    /// The records of the nodes may have changed.
    stirred: Notify,
    /// Every node there ever was, once that is known.
    known: watch::Sender<Known>,
    /// How often leaders were to be put in their places without waiting for calm.
    hurry: watch::Sender<u64>,
    removed: Mutex<bool>,
    /// How many replicas each shard wants.
    replicas: watch::Sender<usize>,
    /// Held while a node is taken in, or a version agreed on.
    turn: tokio::sync::Mutex<()>,
    /// What the members know by now.
    secrets: Mutex<Secrets>,
}

/// The cluster, as one node can tell.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its id.
    pub cluster: [u8; 16],
    /// The version of commands and records that it has agreed on.
    pub agreed: u16,
    /// How many replicas each shard wants.
    pub replicas: usize,
    /// Its nodes, without those that have left.
    pub nodes: Vec<Node>,
    /// Each shard, in order.
    pub shards: Vec<ShardStatus>,
}

/// One shard.
#[derive(Debug, Clone)]
pub struct ShardStatus {
    /// Which one.
    pub id: ShardId,
    /// Who leads it, with what the leader says of its group; `None` if nobody says so.
    pub leader: Option<(u64, Members)>,
    /// How many tenants it has.
    pub tenants: usize,
}

impl Membership {
    /// Takes part in the cluster. It must exist: the records must say which one it is, or the
    /// folder.
    pub fn start(
        shards: Arc<Shards>,
        about: About,
        key: Key,
        stamp: Stamp,
    ) -> Result<Option<Self>, StartError> {
        let Some(link) = shards.link().cloned() else { return Ok(None) };
        let records = shards.shard(ShardId(0)).follow();
        let records = records.map_err(|unavailable| Fault::Io(unavailable.to_string()))?;
        let speech = shards.speech();
        speech.learn(cluster::agreed(&records)?);
        speech.admits(speech.speaks())?;
        let recorded = View::new(&records, TenantNumber::CLUSTER).cluster()?;
        let known = about.home.as_ref().map(|home| home.cluster);
        let cluster = known.or(recorded.map(|cluster| cluster.id));
        let cluster = cluster.ok_or_else(|| Fault::Damaged("a cluster without an id".into()))?;
        let mut home = about.home.clone().unwrap_or(Home {
            node: shards.node_id(),
            cluster,
            shards: shards.iter().count() as u16,
            incarnation: 0,
            agreed: speech.agreed(),
            founded: about.founded,
            address: None,
            peers: BTreeMap::new(),
        });
        home.incarnation += 1;
        home.address = Some(link.address().to_owned());
        home.write(&about.data_dir).map_err(Fault::from)?;
        let inner = Arc::new(Inner {
            link: link.clone(),
            secrets: Mutex::new(about.secrets.clone()),
            replicas: watch::Sender::new(about.replicas),
            turn: tokio::sync::Mutex::default(),
            about,
            home: Mutex::new(home),
            key,
            stamp,
            stirred: Notify::new(),
            known: watch::Sender::default(),
            hurry: watch::Sender::default(),
            removed: Mutex::default(),
            shards,
        });
        keep::watch(&inner);
        inner.known.send_replace(Some(Arc::new(inner.all_nodes()?)));
        let stamp = inner.stamp.clone();
        link.go_by(Arc::new(move || stamp().0));
        link.answer_control(Inner::control(&inner));
        link.admit_by(Inner::admission(&inner));
        inner.heed_terms();
        inner.shards.belong_to(cluster).map_err(Fault::from)?;
        let keeping = Handle::current().spawn(keep::keep(inner.clone()));
        Ok(Some(Self { inner, _keeping: AbortOnDropHandle::new(keeping) }))
    }

    /// Every node that has not left, as far as this one knows.
    pub fn nodes(&self) -> Result<Vec<Node>, Fault> {
        self.inner.nodes()
    }

    /// Follows the nodes' records, also of those that have left.
    pub fn known(&self) -> watch::Receiver<Known> {
        self.inner.known.subscribe()
    }

    /// Has each shard held by so many nodes from now on, one of [`cluster::REPLICAS`].
    pub async fn replicate(&self, replicas: u8) -> Result<Result<(), NotYet>, Undecided> {
        let command = Command::Replicate(Replicate { replicas, anew: true });
        if let Err(not_yet) = self.inner.permits(&command) {
            return Ok(Err(not_yet));
        }
        match self.inner.decide(command).await? {
            Ok(_) => Ok(Ok(())),
            Err(rejection) => Err(Undecided(format!("{rejection:?}"))),
        }
    }

    /// The cluster, asking every node what it leads.
    pub async fn status(&self) -> Result<Status, Fault> {
        let nodes = self.nodes()?;
        let reports = self.inner.reports(&nodes).await;
        let records = self.inner.shards.shard(ShardId(0)).follow();
        let records = records.map_err(|unavailable| Fault::Io(unavailable.to_string()))?;
        let tenants = View::new(&records, TenantNumber::CLUSTER).tenant_numbers()?;
        let count = self.inner.shards.iter().count() as u16;
        let shards = (0..count).map(ShardId).map(|id| ShardStatus {
            id,
            leader: leader_of(&reports, id),
            tenants: tenants.iter().filter(|number| number.shard(count) == id).count(),
        });
        let (cluster, terms) = (self.inner.home.lock().cluster, self.inner.terms()?);
        Ok(Status {
            cluster,
            agreed: terms.version,
            replicas: terms.replicas.map_or(self.inner.about.replicas, usize::from),
            nodes,
            shards: shards.collect(),
        })
    }

    /// Goes by these secrets from now on, in new connections.
    pub fn trust(&self, secrets: Secrets) -> Result<(), IdentityError> {
        *self.inner.secrets.lock() = secrets;
        self.inner.renew()
    }

    /// Begins to move everything away from a node, which then leaves.
    pub async fn remove(&self, node: u64) -> Result<Result<(), Rejection>, Undecided> {
        Ok(self.inner.decide(Command::Drain(node)).await?.map(drop))
    }

    /// Has every leader put in its place, without waiting for calm.
    pub async fn rebalance(&self) -> Result<(), Fault> {
        let nodes = self.nodes()?;
        let asked = nodes.iter().map(|node| self.inner.ask(node.id, &Ask::Rebalance));
        // Who does not hear it now is not in a state to lead.
        drop(join_all(asked).await);
        Ok(())
    }

    /// Why this node should get no requests, beside what its shards say.
    pub fn problem(&self) -> Option<String> {
        if *self.inner.removed.lock() {
            return Some("the node has been removed from the cluster".into());
        }
        let astray = || "the node's clock does not go with the others': set it right".into();
        self.inner.link.is_astray().then(astray)
    }
}

/// The leader of the latest term that anybody reports.
fn leader_of(reports: &[(u64, Report)], id: ShardId) -> Option<(u64, Members)> {
    let led = reports.iter().flat_map(|(node, report)| {
        let led = report.leads.iter().filter(move |(shard, _)| *shard == id);
        led.map(|(_, members)| (*node, members))
    });
    led.max_by_key(|(_, members)| members.term).map(|(node, members)| (node, members.clone()))
}

impl Inner {
    fn nodes(&self) -> Result<Vec<Node>, Fault> {
        let mut nodes = self.all_nodes()?;
        nodes.retain(|node| node.state != NodeState::Removed);
        Ok(nodes)
    }

    fn all_nodes(&self) -> Result<Vec<Node>, Fault> {
        let records = self.shards.shard(ShardId(0)).follow();
        let records = records.map_err(|unavailable| Fault::Io(unavailable.to_string()))?;
        cluster::nodes(&records)
    }

    fn me(&self) -> u64 {
        self.shards.node_id()
    }

    /// What this node says of itself.
    fn announcement(&self) -> Announce {
        Announce {
            id: self.me(),
            name: self.about.name.clone(),
            http_address: self.about.http_address.clone(),
            cluster_address: self.link.address().to_owned(),
            version: version(self.shards.speech().speaks()),
            incarnation: self.home.lock().incarnation,
        }
    }

    /// Makes the node's certificate anew.
    fn renew(&self) -> Result<(), IdentityError> {
        let secrets = self.secrets.lock().clone();
        self.link.show(Identity::new(&secrets, self.me(), (self.stamp)().0)?);
        Ok(())
    }

    fn report(&self) -> Report {
        let leads = self.shards.iter().filter_map(|shard| Some((shard.id(), shard.members()?)));
        Report { leads: leads.collect() }
    }

    /// Who may speak to this node.
    fn admission(inner: &Arc<Self>) -> Admission {
        let inner = Arc::downgrade(inner);
        Box::new(move |hello| match inner.upgrade() {
            Some(inner) => inner.admit(hello),
            None => Err("the node is stopping".into()),
        })
    }

    /// Invariant: a founder that finds that there is an older cluster of which it was a member has
    /// lost its data, and must not serve what it has made up since.
    fn admit(&self, hello: &Hello) -> Result<(), String> {
        let (ours, astray) = {
            let home = self.home.lock();
            (home.cluster, home.founded && home.peers.is_empty())
        };
        if hello.cluster.is_some_and(|theirs| theirs != ours) {
            if astray && hello.from != 0 && hello.to == self.me() {
                self.shards.condemn(&format!(
                    "node {} of an older cluster takes this node for one of its own: the data it had \
                     there is lost; empty its data folder and start it with cluster.join and --replace",
                    hello.from
                ));
            }
            return Err(OTHER_CLUSTER.into());
        }
        let nodes = self.all_nodes().unwrap_or_default();
        let known = nodes.iter().find(|node| node.id == hello.from);
        match known.is_some_and(|node| node.state == NodeState::Removed) {
            true => Err(format!("node {} has been removed from the cluster", hello.from)),
            false => Ok(()),
        }
    }

    /// What each node leads, of those that answer.
    async fn reports(&self, nodes: &[Node]) -> Vec<(u64, Report)> {
        let asked = nodes.iter().map(|node| async {
            match node.id == self.me() {
                true => Some((node.id, self.report())),
                false => match self.ask(node.id, &Ask::Report).await? {
                    Told::Report(report) => Some((node.id, report)),
                    _ => None,
                },
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    fn hurry(&self) -> Told {
        self.hurry.send_modify(|times| *times += 1);
        Told::Done
    }

    /// Asks a node, perhaps this one.
    async fn ask(&self, node: u64, ask: &Ask) -> Option<Told> {
        if node == self.me() {
            return matches!(ask, Ask::Rebalance).then(|| self.hurry());
        }
        let request = codec::encode(ask).ok()?;
        let answer = self.link.ask(node, &request, REPORT_DEADLINE).await.ok()?;
        codec::decode(&answer).ok()
    }
}

/// What a reply about a node holds.
fn node_of(reply: Reply) -> Option<Node> {
    match reply {
        Reply::Node(node) => Some(*node),
        _ => None,
    }
}
