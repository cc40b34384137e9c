//! The kinds of trouble.

use std::fmt;
use std::time::Duration;

use super::lets_work;
use crate::chance::Chance;
use crate::cluster::{Cluster, is_ready};
use crate::wait;

/// What happens to a cluster, and to which of its nodes.
pub enum Trouble {
    /// Killed with signal 9, and started again.
    Killed(usize),
    /// It stands still, and wakes.
    Stopped(usize),
    /// Its disk is lost; it joins again in its own place.
    Replaced(usize),
    /// All are stopped in order and started again, one after the other.
    Rolled,
    /// Its disk takes so many milliseconds longer for whatever is brought to it.
    Slow(usize, u64),
    /// Its disk is full; room is made, and it is started again.
    Full(usize),
    /// Its clock is so many milliseconds ahead, and is set right.
    Ahead(usize, u64),
    /// A fourth joins, while this one is killed; then it leaves again, while this one stands still.
    Grown(usize),
    /// It reaches nobody, and nobody reaches it.
    Isolated(usize),
    /// It is heard, and hears nobody.
    Deaf(usize),
    /// It hears, and nobody hears it.
    Mute(usize),
    /// Only this one reaches the two others.
    Bridge(usize),
    /// This share of all packets is lost, in percent.
    Loss(u64),
}

impl Trouble {
    /// By chance: of what this cluster can be met with, more often at whoever leads.
    pub async fn by(chance: &mut Chance, cluster: &Cluster) -> Self {
        let leader = cluster.leader_of_the_default_tenant().await;
        let anybody = 1 + chance.below(3) as usize;
        let node = if chance.below(3) == 0 { anybody } else { leader };
        let kinds = if cluster.network().is_some() { 13 } else { 8 };
        match chance.below(kinds) {
            0 => Self::Killed(node),
            1 => Self::Stopped(node),
            // The first has founded the cluster, and knows of nobody whom it could join.
            2 => Self::Replaced(node.max(2)),
            3 => Self::Rolled,
            4 => Self::Slow(node, 10 + chance.below(190)),
            5 => Self::Full(node),
            6 => Self::Ahead(node, 2_000 + chance.below(28_000)),
            7 => Self::Grown(node),
            8 => Self::Isolated(node),
            9 => Self::Deaf(node),
            10 => Self::Mute(node),
            11 => Self::Bridge(node),
            _ => Self::Loss(5 + chance.below(26)),
        }
    }

    /// Lasts for as long as chance says, and is over when this returns.
    pub async fn strikes(&self, cluster: &mut Cluster, chance: &mut Chance) {
        match self {
            Self::Killed(node) => {
                cluster.node(*node).kill_9();
                lets_work(chance).await;
                cluster.node(*node).restart().await;
            }
            Self::Stopped(node) => {
                cluster.node(*node).signal("STOP");
                lets_work(chance).await;
                cluster.node(*node).signal("CONT");
            }
            Self::Replaced(node) => {
                cluster.node(*node).kill_9();
                lets_work(chance).await;
                cluster.node(*node).restart_without_its_data().await;
                // Whoever loses a second disk before the first is made good has lost a quorum.
                cluster.is_settled().await;
            }
            Self::Rolled => {
                for node in cluster.nodes() {
                    node.stops().await;
                    node.restart().await;
                }
            }
            Self::Slow(node, by_ms) => {
                let meddling = cluster.node(*node).meddling();
                meddling.slows(Duration::from_millis(*by_ms));
                lets_work(chance).await;
                lets_work(chance).await;
                meddling.ends();
                assert!(meddling.met()[0] > 0, "nothing was brought to the slow disk");
            }
            Self::Full(node) => fills(cluster, *node, chance).await,
            Self::Ahead(node, by_ms) => {
                puts_ahead(cluster, *node, Duration::from_millis(*by_ms), chance).await;
            }
            Self::Grown(node) => grows_and_shrinks(cluster, *node, chance).await,
            _ => self.parts(cluster, chance).await,
        }
    }

    async fn parts(&self, cluster: &Cluster, chance: &mut Chance) {
        let network = cluster.network().expect("hosts of their own");
        match self {
            Self::Isolated(node) => network.isolates(*node),
            Self::Deaf(node) => {
                network.others(*node).for_each(|other| network.silences(other, *node));
            }
            Self::Mute(node) => {
                network.others(*node).for_each(|other| network.silences(*node, other));
            }
            Self::Bridge(node) => {
                let others: Vec<_> = network.others(*node).collect();
                network.parts(others[0], others[1]);
            }
            Self::Loss(percent) => network.loses(*percent),
            _ => unreachable!("no trouble of the network"),
        }
        lets_work(chance).await;
        lets_work(chance).await;
        network.heals();
    }
}

/// A fourth node comes and goes, and one of the others has trouble of its own each time.
async fn grows_and_shrinks(cluster: &mut Cluster, number: usize, chance: &mut Chance) {
    cluster.grows().await;
    cluster.node(number).kill_9();
    lets_work(chance).await;
    cluster.node(number).restart().await;
    cluster.is_settled().await;
    let status = cluster.status().await.expect("a settled cluster");
    let fourth = status.id_of(4).expect("a fourth node");
    let other = if number == 1 { 2 } else { 1 };
    cluster.lets_go(other, fourth as usize).await;
    cluster.node(number).signal("STOP");
    lets_work(chance).await;
    cluster.node(number).signal("CONT");
    wait::until("the fourth has left", async || {
        let status = cluster.seen_by(other).await?;
        let gone = status.nodes("draining").is_empty() && !status.nodes("member").contains(&fourth);
        gone.then_some(())
    })
    .await;
    cluster.shrinks().await;
    cluster.is_settled().await;
}

/// A node whose disk is full acknowledges nothing and says why; the others lead what it led.
async fn fills(cluster: &Cluster, number: usize, chance: &mut Chance) {
    let node = cluster.node(number);
    node.meddling().fills();
    let reasons = is_unready(cluster, number).await;
    assert!(reasons.contains("storage has stopped"), "{reasons}");
    leads_nothing(cluster, number).await;
    lets_work(chance).await;
    node.meddling().ends();
    assert!(node.meddling().met()[1] > 0, "nothing was written to the full disk");
    node.kill_9();
    node.restart().await;
}

/// A node whose clock does not go with the others' leads nothing, and says why.
async fn puts_ahead(cluster: &Cluster, number: usize, by: Duration, chance: &mut Chance) {
    let node = cluster.node(number);
    node.meddling().puts_ahead(by);
    let reasons = is_unready(cluster, number).await;
    assert!(reasons.contains("clock"), "{reasons}");
    leads_nothing(cluster, number).await;
    lets_work(chance).await;
    let led = wait::until("it is known who leads", async || led_by(cluster, number).await).await;
    assert_eq!(led, 0, "a node with a wrong clock leads");
    node.meddling().ends();
    assert!(node.meddling().met()[2] > 0, "nobody has looked at the wrong clock");
    wait::until("the node is ready again", async || is_ready(&node.api).await.then_some(())).await;
}

/// Waits until a node is not ready; why.
async fn is_unready(cluster: &Cluster, number: usize) -> String {
    let api = &cluster.node(number).api;
    wait::until("the node says that it is not ready", async || {
        let ready = api.try_get("/health/ready").await.ok()?;
        (ready.status == 503).then(|| ready.body["reasons"].to_string())
    })
    .await
}

/// Waits until others lead what a node led, and say that they are ready.
async fn leads_nothing(cluster: &Cluster, number: usize) {
    wait::until("others lead what it led", async || {
        let led = led_by(cluster, number).await?;
        let other = if number == 1 { 2 } else { 1 };
        (led == 0 && is_ready(&cluster.node(other).api).await).then_some(())
    })
    .await;
}

/// How many shards a node leads, as another one sees it; nothing while some shard has no leader.
async fn led_by(cluster: &Cluster, number: usize) -> Option<usize> {
    let other = if number == 1 { 2 } else { 1 };
    let status = cluster.seen_by(other).await?;
    let all_led = (0..cluster.shards()).all(|shard| status.leader_of(shard).is_some());
    all_led.then(|| status.led_by(number))
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(node) => write!(f, "{node} killed"),
            Self::Stopped(node) => write!(f, "{node} stopped"),
            Self::Replaced(node) => write!(f, "{node} without its disk"),
            Self::Rolled => f.write_str("rolling restart"),
            Self::Slow(node, by_ms) => write!(f, "{node} on a disk {by_ms} ms slower"),
            Self::Full(node) => write!(f, "{node} on a full disk"),
            Self::Ahead(node, by_ms) => write!(f, "{node} {by_ms} ms ahead"),
            Self::Grown(node) => write!(f, "a fourth came and went, {node} killed and stopped"),
            Self::Isolated(node) => write!(f, "{node} isolated"),
            Self::Deaf(node) => write!(f, "{node} deaf"),
            Self::Mute(node) => write!(f, "{node} mute"),
            Self::Bridge(node) => write!(f, "{node} a bridge"),
            Self::Loss(percent) => write!(f, "{percent} % lost"),
        }
    }
}
