//! How many nodes hold each shard is decided by the operator, and changed while people use it.

use std::collections::BTreeSet;

use janua_tests::clients::Clients;
use janua_tests::cluster::Cluster;
use janua_tests::command::Janua;

/// Waits until every shard is held by so many nodes, as one node sees it.
async fn every_shard_has(cluster: &Cluster, replicas: usize) {
    cluster.is_settled().await;
    let status = cluster.status().await.expect("a status");
    let voters: BTreeSet<usize> =
        (0..cluster.shards()).map(|shard| status.voters_of(shard).len()).collect();
    assert_eq!(voters, [replicas].into(), "{status:?}");
}

#[tokio::test]
async fn replicas_are_made_and_removed_under_a_running_cluster() {
    let cluster = Cluster::with(3, &[("cluster.replicas", "1")]).await;
    let alice = cluster.node(3).register("alice").await;
    every_shard_has(&cluster, 1).await;

    let command = |replicas: &str| Janua::command(["cluster", "replicas", replicas, "--json"]);
    let changed = command("3").against(cluster.node(2)).run().await.succeeds();
    assert_eq!(changed.json()["replicas"], 3);
    every_shard_has(&cluster, 3).await;
    // What is on record goes before what a node was configured with, also after a start.
    let leader = cluster.leader_of_the_default_tenant().await;
    cluster.node(leader).kill_9();
    alice.session.at(cluster.another_than(&[leader])).comes_back().await;
    cluster.node(leader).restart().await;
    every_shard_has(&cluster, 3).await;

    let shown = Janua::command(["cluster", "status"]).against(cluster.node(1)).run().await;
    assert!(shown.succeeds().stdout.contains(", version 2, 3 replicas"));
    cluster.replicates(1, 2).await.is_no(400, "validation_error");
    assert_eq!(command("4").against(cluster.node(1)).run().await.code, Some(2));

    command("1").against(cluster.node(1)).run().await.succeeds();
    every_shard_has(&cluster, 1).await;
    alice.session.at(cluster.node(2)).is_alive().await;
}

#[tokio::test]
async fn five_replicas_outlive_two_nodes_and_fail_no_request() {
    let cluster = Cluster::of(5).await;
    let clients = Clients::of(cluster.nodes(), 4).await;
    cluster.replicates(2, 5).await.is_yes(200);
    every_shard_has(&cluster, 5).await;
    clients.are_content().await;

    let alice = cluster.node(1).register("alice").await;
    let leader = cluster.leader_of_the_default_tenant().await;
    let other = if leader == 5 { 4 } else { 5 };
    cluster.node(leader).kill_9();
    cluster.node(other).kill_9();
    let living = cluster.another_than(&[leader, other]);
    // Three replicas of shards that are held three times would not be sure to have a quorum left.
    alice.session.at(living).comes_back().await;
    living.register("bob").await;

    for number in [leader, other] {
        cluster.node(number).restart().await;
    }
    cluster.replicates(leader, 3).await.is_yes(200);
    every_shard_has(&cluster, 3).await;
    alice.session.at(cluster.node(other)).is_alive().await;
}
