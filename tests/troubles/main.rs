//! A cluster in trouble, as a seed says: leaders are killed and come back, or stand still and wake,
//! while people are at work. What they were told must be explained by one truth.

use std::time::Duration;

use clap::Parser;
use janua_tests::Chance;
use janua_tests::cluster::Cluster;
use janua_tests::node::Api;
use janua_tests::workload::Workload;

/// How many times trouble strikes in a run.
const STRIKES: u64 = 3;

async fn people_are_told_one_truth(seed: u64) {
    let mut chance = Chance::from_seed(seed);
    let cluster = Cluster::of(3).await;
    let nodes: Vec<Api> = (1..=3).map(|number| cluster.node(number).api.clone()).collect();
    let mut work = Workload::start(&nodes, seed, 4).await;
    for _ in 0..STRIKES {
        lets_work(&mut chance).await;
        let leader = cluster.leader_of_the_default_tenant().await;
        let node = cluster.node(leader);
        if chance.below(2) == 0 {
            node.kill_9();
            lets_work(&mut chance).await;
            node.restart().await;
        } else {
            node.signal("STOP");
            lets_work(&mut chance).await;
            node.signal("CONT");
        }
        work.revoke_some(&nodes, &mut chance).await;
    }
    let outcome = work.ends().await;
    cluster.is_settled().await;
    assert!(outcome.answers() > 100, "only {} answers", outcome.answers());
    outcome.is_kept(&nodes).await;
    println!("seed {seed}: {STRIKES} strikes, {} answers, one truth", outcome.answers());
}

/// The pace of the run, not a wait for anything: trouble that comes at once meets no work.
async fn lets_work(chance: &mut Chance) {
    tokio::time::sleep(Duration::from_millis(700 + chance.below(900))).await;
}

/// Shake a cluster of three, and hold it to what it has told.
#[derive(Debug, Parser)]
#[command(name = "trouble", max_term_width = 100)]
struct Cli {
    /// The seed of the first run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many runs, each with the next seed
    #[arg(long, default_value_t = 10)]
    runs: u64,
}

#[tokio::main]
async fn main() {
    let cli = Cli::parse();
    for seed in cli.seed..cli.seed.saturating_add(cli.runs) {
        people_are_told_one_truth(seed).await;
    }
}
