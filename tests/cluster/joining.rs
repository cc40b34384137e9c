//! Nodes come and go; what was answered stays true.

use janua_tests::cluster::{Cluster, free_address};
use janua_tests::{Node, wait};

#[tokio::test]
async fn three_nodes_are_one_identity_server() {
    let cluster = Cluster::of(3).await;
    let alice = cluster.node(2).register("alice").await;
    for number in 1..=3 {
        alice.session.at(cluster.node(number)).me().await.is_yes(200);
    }
    let session = alice.logs_in().await;
    session.at(cluster.node(3)).logs_out().await;
    for number in 1..=3 {
        session.at(cluster.node(number)).is_over().await;
    }
}

#[tokio::test]
async fn a_stranger_is_told_why_it_is_not_let_in() {
    let mut cluster = Cluster::of(1).await;
    let stranger =
        cluster.next_node().with("cluster.secret", "some-other-secret-0123456789-abcdef");
    let mut process = stranger.start_process();
    assert_eq!(process.ends().await.code(), Some(1));
    let log = process.log.text();
    assert!(log.contains("janua: ") && log.contains("cluster.secret"), "{log}");
    assert_eq!(cluster.status().await.unwrap().nodes("joining").len(), 0);
}

#[tokio::test]
async fn whoever_joins_must_know_the_secret() {
    let mut process = Node::prepare().with("cluster.join", free_address()).start_process();
    assert_eq!(process.ends().await.code(), Some(1));
    assert!(process.log.text().contains("cluster.secret must be given"), "{}", process.log.text());
}

#[tokio::test]
async fn a_node_that_lost_its_data_is_replaced_by_one_with_another_number() {
    let mut cluster = Cluster::of(3).await;
    let alice = cluster.node(1).register("alice").await;
    cluster.node(2).kill_9();
    let mut namesake = cluster.next_node().with("node.name", "node-2").start_process();
    assert_eq!(namesake.ends().await.code(), Some(1));
    assert!(namesake.log.text().contains("--replace"), "{}", namesake.log.text());
    cluster.replaces(2).await;
    cluster.is_settled().await;
    let members = cluster.status().await.unwrap().nodes("member");
    assert_eq!(members.into_iter().collect::<Vec<_>>(), [1, 3, 4]);
    alice.session.at(cluster.node(4)).is_alive().await;
}

#[tokio::test]
async fn a_fourth_node_takes_its_share_and_the_first_may_leave() {
    let mut cluster = Cluster::of(3).await;
    let alice = cluster.node(1).register("alice").await;
    cluster.grows().await;
    cluster.is_settled().await;
    cluster.lets_go(2, 1).await;
    wait::until("the first node has left", async || {
        let status = cluster.seen_by(2).await?;
        let members: Vec<_> = status.nodes("member").into_iter().collect();
        (members == [2, 3, 4] && status.nodes("draining").is_empty()).then_some(())
    })
    .await;
    assert_eq!(cluster.node(1).stops().await, Some(0));
    cluster.is_settled().await;
    alice.session.at(cluster.node(4)).is_alive().await;
}
