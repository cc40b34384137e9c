//! Nodes fail; the others go on, and lose nothing.

use janua_tests::cluster::{Cluster, OPERATOR_TOKEN, is_ready};
use janua_tests::node::answer;
use janua_tests::wait;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_killed_leader_is_followed_by_another_and_comes_back() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader_of_the_default_tenant().await;
    let alice = cluster.node(leader).register("alice").await;
    let over = alice.logs_in().await;
    over.logs_out().await;
    cluster.node(leader).kill_9();
    let other = cluster.another_than(&[leader]);
    alice.session.at(other).comes_back().await;
    over.at(other).is_over().await;
    let bob = other.register("bob").await;
    cluster.node(leader).restart().await;
    bob.session.at(cluster.node(leader)).comes_back().await;
    cluster.is_settled().await;
    alice.session.at(cluster.node(leader)).is_alive().await;
}

#[tokio::test]
async fn a_leader_that_hangs_is_followed_and_answers_nothing_old_when_it_wakes() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader_of_the_default_tenant().await;
    let alice = cluster.node(leader).register("alice").await;
    let session = alice.logs_in().await;
    cluster.node(leader).signal("STOP");
    let other = cluster.another_than(&[leader]);
    session.at(other).comes_back().await;
    session.at(other).logs_out().await;
    cluster.node(leader).signal("CONT");
    // Whatever it says from now on, it is never that the session is good.
    for _ in 0..20 {
        assert_ne!(session.me().await.status, 200);
    }
    wait::until("it knows that the session is over", async || {
        (session.me().await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_quorum_nothing_is_answered_as_if_there_were_one() {
    let cluster = Cluster::of(3).await;
    let alice = cluster.node(1).register("alice").await;
    cluster.node(2).kill_9();
    cluster.node(3).kill_9();
    let alone = &cluster.node(1).api;
    wait::until("it says that it is not ready", async || (!is_ready(alone).await).then_some(()))
        .await;
    assert_eq!(alice.session.at(cluster.node(1)).me().await.status, 503);
    cluster.node(2).restart().await;
    alice.session.at(cluster.node(1)).comes_back().await;
}

#[tokio::test]
async fn a_page_can_read_that_the_service_is_unavailable() {
    let short = [("http.request_timeout", "2s"), ("http.body_timeout", "1s")];
    let cluster = Cluster::with(3, &short).await;
    let page = "https://app.example.com";
    let settings = json!({ "settings": { "allowedOrigins": [page] } });
    let patch = cluster.node(1).api.request(Method::PATCH, "/admin/tenants/default");
    answer(patch.bearer_auth(OPERATOR_TOKEN).json(&settings)).await.is_yes(200);
    let leader = cluster.leader_of_the_default_tenant().await;
    let follower = cluster.another_than(&[leader]);
    let asks =
        |origin: &str| follower.api.request(Method::GET, "/passkeys").header("Origin", origin);
    let allowed = "access-control-allow-origin";
    wait::until("the page may read there", async || {
        (answer(asks(page)).await.header(allowed) == page).then_some(())
    })
    .await;
    for node in cluster.nodes().iter().filter(|node| !std::ptr::eq(*node, follower)) {
        node.kill_9();
    }
    wait::until("it says that it is not ready", async || {
        (!is_ready(&follower.api).await).then_some(())
    })
    .await;
    let unavailable = answer(asks(page)).await;
    assert_eq!((unavailable.status, unavailable.header(allowed)), (503, page));
    let foreign = answer(asks("https://evil.example")).await;
    assert_eq!((foreign.status, foreign.header(allowed)), (503, ""));
}

#[tokio::test]
async fn a_node_that_stops_hands_over_what_it_leads() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader_of_the_default_tenant().await;
    let alice = cluster.node(leader).register("alice").await;
    assert_eq!(cluster.node(leader).stops().await, Some(0));
    let other = cluster.another_than(&[leader]);
    alice.session.at(other).me().await.is_yes(200);
    assert!(!cluster.node(leader).log.text().contains("was not handed over"));
}

#[tokio::test]
async fn a_cluster_starts_again_after_all_its_nodes_were_killed() {
    let cluster = Cluster::of(3).await;
    let alice = cluster.node(1).register("alice").await;
    for number in 1..=3 {
        cluster.node(number).kill_9();
    }
    let (first, second, third) = (cluster.node(1), cluster.node(2), cluster.node(3));
    tokio::join!(first.restart(), second.restart(), third.restart());
    alice.session.at(cluster.node(3)).is_alive().await;
}
