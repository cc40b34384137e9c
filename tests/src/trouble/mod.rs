//! A cluster in trouble, as a seed says, while people are at work. What they were told must be
//! explained by one truth.

mod kind;

use std::time::Duration;

pub use self::kind::Trouble;
use crate::audit;
use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::network::Network;
use crate::node::Api;
use crate::workload::Workload;

/// How many times trouble strikes in a run.
const STRIKES: u64 = 4;

/// A run. Fails where an answer is not kept; prints what happened.
pub async fn people_are_told_one_truth(seed: u64) {
    let by_chance = async |chance: &mut Chance, cluster: &Cluster, strike: u64| match strike {
        STRIKES.. => None,
        _ => Some(Trouble::by(chance, cluster).await),
    };
    people_are_told_one_truth_through(seed, by_chance).await;
}

/// The same with troubles of the caller's choice, until there is none.
pub async fn people_are_told_one_truth_through(
    seed: u64,
    choose: impl AsyncFn(&mut Chance, &Cluster, u64) -> Option<Trouble>,
) {
    let mut chance = Chance::from_seed(seed);
    let mut cluster = Cluster::in_trouble(Network::of(4), 3).await;
    let nodes: Vec<Api> = cluster.nodes().iter().map(|node| node.api.clone()).collect();
    let mut work = Workload::start(&nodes, seed, 4).await;
    let mut met = Vec::new();
    for strike in 0.. {
        lets_work(&mut chance).await;
        let Some(trouble) = choose(&mut chance, &cluster, strike).await else { break };
        trouble.strikes(&mut cluster, &mut chance).await;
        met.push(trouble.to_string());
        work.revoke_some(&nodes, &mut chance).await;
    }
    let outcome = work.ends().await;
    cluster.is_settled().await;
    assert!(outcome.answers() > 100, "only {} answers", outcome.answers());
    outcome.is_kept(&nodes).await;
    let voters = cluster.all_agree_on_the_voters().await;
    let events = chains_are_whole(&cluster).await;
    println!(
        "seed {seed}: {}; {} answers, one truth; voters {voters:?}, {events} events",
        met.join(", "),
        outcome.answers()
    );
}

/// Stops all nodes and verifies what each has of the audit chain; the most that one has.
async fn chains_are_whole(cluster: &Cluster) -> u64 {
    let mut most = 0;
    for node in cluster.nodes() {
        node.stops().await;
    }
    for node in cluster.nodes() {
        let events = audit::chain_of_a_member_is_whole(&node.data_dir(), cluster.shards()).await;
        assert!(events > 0, "a node has no events");
        most = events.max(most);
    }
    most
}

/// The pace of the run, not a wait for anything: trouble that comes at once meets no work.
async fn lets_work(chance: &mut Chance) {
    tokio::time::sleep(Duration::from_millis(700 + chance.below(900))).await;
}
