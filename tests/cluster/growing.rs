//! A cluster is changed while people use it, and they notice nothing.

use janua_tests::clients::Clients;
use janua_tests::cluster::{Cluster, SECRET, is_ready};
use janua_tests::{Node, wait};

/// Waits until a node has given up the replicas that were moved away from it.
async fn gives_up_replicas(cluster: &Cluster, number: usize, count: usize) {
    let log = &cluster.node(number).log;
    wait::until("it gives up what has its place elsewhere", async || {
        (log.text().matches("gave up a replica").count() >= count).then_some(())
    })
    .await;
}

async fn are_ready(cluster: &Cluster, numbers: &[usize]) {
    for number in numbers {
        let api = &cluster.node(*number).api;
        let ready = api.get("/health/ready").await;
        assert_eq!(ready.status, 200, "node {number}: {}", ready.text);
    }
}

async fn leaves(cluster: &Cluster, number: usize, by: usize) {
    cluster.lets_go(by, number).await;
    wait::until("the node has left", async || {
        let status = cluster.seen_by(by).await?;
        let present = status.nodes("draining").len() + status.nodes("member").len();
        (!status.nodes("member").contains(&(number as u64))
            && present == status.nodes("member").len())
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn three_nodes_become_five_and_three_again_and_fail_no_request() {
    let mut cluster = Cluster::of(3).await;
    let clients = Clients::of(cluster.nodes(), 4).await;
    for number in [4, 5] {
        cluster.grows().await;
        clients.may_use(cluster.node(number));
        cluster.is_settled().await;
    }
    // Of four shards with three replicas each, five nodes hold twelve of twenty.
    for (number, given_up) in [(1, 1), (2, 1), (3, 1)] {
        gives_up_replicas(&cluster, number, given_up).await;
    }
    are_ready(&cluster, &[1, 2, 3, 4, 5]).await;
    for number in [1, 2] {
        leaves(&cluster, number, 3).await;
        clients.leave_alone(cluster.node(number));
        assert_eq!(cluster.node(number).stops().await, Some(0));
        cluster.is_settled().await;
    }
    for number in [3, 4, 5] {
        let api = &cluster.node(number).api;
        wait::until("it is ready", async || is_ready(api).await.then_some(())).await;
    }
    clients.are_content().await;
}

#[tokio::test]
async fn all_nodes_are_started_anew_one_by_one_and_no_request_fails() {
    let cluster = Cluster::of(3).await;
    let clients = Clients::of(cluster.nodes(), 4).await;
    for number in 1..=3 {
        let node = cluster.node(number);
        assert_eq!(node.stops().await, Some(0));
        node.restart().await;
    }
    clients.are_content().await;
}

#[tokio::test]
async fn one_secret_takes_the_place_of_another_and_no_request_fails() {
    const NEXT: &str = "what-the-members-know-from-now-on-0123";
    let base = || Node::prepare().with_secrets(SECRET, "");
    let mut cluster = Cluster::made_of(3, 4, Box::new(base)).await;
    let clients = Clients::of(cluster.nodes(), 4).await;
    for (secret, previous) in [(SECRET, NEXT), (NEXT, SECRET), (NEXT, "")] {
        for number in 1..=3 {
            cluster.node(number).is_told(secret, previous).await;
        }
        // Whoever starts anew makes all its connections by what is known by now.
        let node = cluster.node(2);
        assert_eq!(node.stops().await, Some(0));
        node.restart().await;
    }
    let stranger = cluster.next_node();
    let mut late = stranger.start_process();
    assert_eq!(late.ends().await.code(), Some(1));
    assert!(late.log.text().contains("cluster.secret"), "{}", late.log.text());
    clients.are_content().await;
    let newcomer = cluster.next_node().with("cluster.secret", NEXT).start().await;
    newcomer.register("alice").await;
}
