//! The network between nodes fails: whoever is cut off answers nothing as if it were not.

use std::time::{Duration, Instant};

use janua_tests::cluster::Cluster;
use janua_tests::network::Network;
use janua_tests::node::send;
use janua_tests::{Session, User, wait};
use reqwest::Method;
use serde_json::json;

/// Three nodes on hosts of their own; none where this machine lets nobody make hosts.
async fn three() -> Option<Cluster> {
    let network = Network::of(3);
    if network.is_none() {
        eprintln!("no network namespaces can be made here: only root has shown this");
    }
    Some(Cluster::across(network?, 3).await)
}

async fn answers(session: &Session, status: u16) {
    wait::until(&format!("it is answered {status}"), async || {
        (session.me().await.status == status).then_some(())
    })
    .await;
}

/// While leadership may still be moving.
async fn logs_out(session: &Session) {
    wait::until("it is logged out", async || {
        let body = json!({ "refreshToken": session.refresh_token });
        let asked = session.request(Method::POST, "/auth/logout").json(&body);
        (send(asked).await.ok()?.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_is_cut_off_answers_nothing_old() {
    let Some(cluster) = three().await else { return };
    let network = cluster.network().expect("hosts");
    let leader = cluster.leader_of_the_default_tenant().await;
    let alice = cluster.node(leader).register("alice").await;
    let revoked = alice.logs_in().await;
    network.isolates(leader);
    let other = cluster.another_than(&[leader]);
    alice.session.at(other).comes_back().await;
    logs_out(&revoked.at(other)).await;
    // Cut off from all that could tell, it never says that the session is good, and is not long in
    // saying that it cannot tell.
    for _ in 0..5 {
        let asked = Instant::now();
        let answer = revoked.me().await;
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(asked.elapsed() < Duration::from_secs(8), "it took {:?}", asked.elapsed());
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(cluster.node(leader).api.login(&alice.email, &alice.password).await.status, 503);
    network.heals();
    answers(&revoked, 401).await;
    answers(&alice.session, 200).await;
}

#[tokio::test]
async fn a_follower_that_was_cut_off_unseats_nobody() {
    let Some(cluster) = three().await else { return };
    let network = cluster.network().expect("hosts");
    let leader = cluster.leader_of_the_default_tenant().await;
    let follower = (1..=3).find(|number| *number != leader).expect("a follower");
    let alice = cluster.node(leader).register("alice").await;
    let cut_off = alice.session.at(cluster.node(follower));
    let mut grown = true;
    // On a machine that stands still for long the other follower may rightly stand.
    for _ in 0..3 {
        network.isolates(follower);
        answers(&cut_off, 503).await;
        let before = cluster.term_of_the_default_tenant().await;
        network.heals();
        answers(&cut_off, 200).await;
        grown = cluster.term_of_the_default_tenant().await != before;
        if !grown {
            break;
        }
    }
    assert!(!grown, "each time that it comes back, the term has grown");
}

#[tokio::test]
async fn two_nodes_that_only_reach_a_third_still_have_one_truth() {
    let Some(cluster) = three().await else { return };
    let network = cluster.network().expect("hosts");
    let leader = cluster.leader_of_the_default_tenant().await;
    let others: Vec<_> = network.others(leader).collect();
    network.parts(others[0], others[1]);
    assert!(!network.reaches(others[0], others[1]));
    let alice = User::registers(cluster.node(others[0]).api.clone(), "alice").await;
    alice.session.at(cluster.node(others[1])).is_alive().await;
    alice.session.at(cluster.node(others[1])).logs_out().await;
    alice.session.is_over().await;
}

#[tokio::test]
async fn a_node_that_hears_nobody_does_not_go_on_leading() {
    let Some(cluster) = three().await else { return };
    let network = cluster.network().expect("hosts");
    let leader = cluster.leader_of_the_default_tenant().await;
    let alice = cluster.node(leader).register("alice").await;
    let revoked = alice.logs_in().await;
    network.others(leader).for_each(|other| network.silences(other, leader));
    let other = cluster.another_than(&[leader]);
    alice.session.at(other).comes_back().await;
    logs_out(&revoked.at(other)).await;
    assert_eq!(revoked.me().await.status, 503);
    network.heals();
    answers(&revoked, 401).await;
}
