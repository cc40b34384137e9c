//! Durability: every answered write is there after a kill, and none is there by half.

use std::time::Duration;

use janua_tests::diary::{self, Writers};
use janua_tests::{Chance, Node};

const WRITERS: usize = 64;
const KILLS: u64 = 20;
const SEED: u64 = 20_250_115;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_write_survives_twenty_kills() {
    let node = Node::start().await;
    let mut chance = Chance::from_seed(SEED);
    let mut pages = Vec::new();
    for round in 0..KILLS {
        let writers = Writers::start(&node.api, &format!("round-{round}"), WRITERS);
        diary::for_a_while(Duration::from_millis(50 + chance.below(450))).await;
        node.kill_9();
        let written = writers.pages().await;
        node.restart().await;
        diary::is_kept(&node.api, &written).await;
        pages.extend(written);
    }
    let answered = pages.iter().filter(|page| page.registered.is_some()).count();
    assert!(answered > 100, "only {answered} writes were answered: this showed nothing");
    let answered: Vec<_> = pages.into_iter().filter(|page| page.registered.is_some()).collect();
    diary::is_kept(&node.api, &answered).await;
}

#[tokio::test]
async fn a_graceful_stop_loses_nothing_either() {
    let node = Node::start().await;
    let writers = Writers::start(&node.api, "alice", 8);
    diary::for_a_while(Duration::from_millis(300)).await;
    assert_eq!(node.stops().await, Some(0));
    let pages = writers.pages().await;
    node.restart().await;
    diary::is_kept(&node.api, &pages).await;
}
