//! Any node answers any client, exactly as the one would that owns the tenant.

use std::collections::BTreeMap;

use futures::future::join_all;
use janua_tests::cluster::{Cluster, OPERATOR_TOKEN};
use janua_tests::node::{Node, answer, send};
use janua_tests::people::PASSWORD;
use janua_tests::{Response, Session, wait};
use reqwest::Method;
use serde_json::json;

const EVERY: [usize; 3] = [1, 2, 3];

/// Who answered.
fn owner(response: &Response) -> String {
    response.header("x-janua-node").to_owned()
}

async fn operator(node: &Node, method: Method, path: &str) -> Response {
    answer(node.api.request(method, path).bearer_auth(OPERATOR_TOKEN)).await
}

#[tokio::test]
async fn a_session_begun_at_one_node_goes_on_at_the_others() {
    let cluster = Cluster::of(3).await;
    let leader = format!("node-{}", cluster.leader_of_the_default_tenant().await);
    let alice = cluster.node(1).register("alice").await;
    let login = cluster.node(2).api.login(&alice.email, PASSWORD).await.is_yes(200);
    assert_eq!(owner(&login), leader);
    let mut session = Session::of(&cluster.node(2).api, login.data());
    for number in EVERY {
        let here = session.at(cluster.node(number));
        let me = here.me().await.is_yes(200);
        assert_eq!((me.text_of("email"), owner(&me)), (alice.email.clone(), leader.clone()));
        session = here.refreshes().await;
    }
    session.at(cluster.node(3)).logs_out().await;
    for number in EVERY {
        session.at(cluster.node(number)).is_over().await;
    }
    let mut alice = alice;
    alice.session = alice.session.at(cluster.node(3));
    alice.changes_password("A-second-river-41!").await;
    for number in EVERY {
        let api = &cluster.node(number).api;
        api.login(&alice.email, PASSWORD).await.is_no(401, "invalid_credentials");
        api.login(&alice.email, &alice.password).await.is_yes(200);
    }
}

#[tokio::test]
async fn the_operator_is_served_by_every_node() {
    let cluster = Cluster::of(3).await;
    let leader = format!("node-{}", cluster.leader_of_the_default_tenant().await);
    for number in EVERY {
        let node = cluster.node(number);
        let name = format!("Acme {number}");
        let settings = json!({ "settings": { "mail": { "brand": name } } });
        let patch = node.api.request(Method::PATCH, "/admin/tenants/default");
        let patched = answer(patch.bearer_auth(OPERATOR_TOKEN).json(&settings)).await.is_yes(200);
        assert_eq!(owner(&patched), leader);
        for other in EVERY {
            let read = operator(cluster.node(other), Method::GET, "/admin/tenants/default").await;
            assert_eq!(read.is_yes(200).data()["settings"]["mail"]["brand"], name.as_str());
        }
        operator(node, Method::GET, "/admin/tenants/ten_unknown")
            .await
            .is_no(404, "resource_not_found");
        let wrong =
            node.api.request(Method::GET, "/admin/tenants/default").bearer_auth("jop_wrong");
        answer(wrong).await.is_no(401, "invalid_token");
    }
}

#[tokio::test]
async fn an_id_that_is_given_again_leads_to_its_new_tenant_at_every_node() {
    let cluster = Cluster::of(3).await;
    for round in 0..3 {
        let create = cluster.node(1).api.request(Method::POST, "/admin/tenants");
        let body = json!({ "id": "acme", "slug": format!("acme-{round}") });
        answer(create.bearer_auth(OPERATOR_TOKEN).json(&body)).await.is_yes(201);
        for number in EVERY {
            let api = &cluster.node(number).api;
            let register = api.request(Method::POST, "/auth/register");
            let email = format!("user-{number}@example.com");
            let body = json!({ "email": email, "password": PASSWORD });
            answer(register.header("X-Tenant-ID", "acme").json(&body)).await.is_yes(201);
        }
        let deleted = operator(cluster.node(2), Method::DELETE, "/admin/tenants/acme").await;
        deleted.is_yes(200);
    }
}

#[tokio::test]
async fn what_needs_no_tenant_is_answered_where_it_is_asked() {
    let cluster = Cluster::of(3).await;
    for number in EVERY {
        let node = cluster.node(number);
        for path in ["/nowhere", "/health/live", "/openapi.json"] {
            assert_eq!(owner(&node.api.get(path).await), format!("node-{number}"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_limit_holds_for_all_nodes_together() {
    let cluster = Cluster::with(3, &[("limits.authentication", "10/hour")]).await;
    let guesses = (0..30).map(|number| {
        let node = cluster.node(1 + number % 3);
        let email = format!("nobody-{number}@example.com");
        async move { node.api.login(&email, PASSWORD).await.status }
    });
    let mut statuses = BTreeMap::new();
    for status in join_all(guesses).await {
        *statuses.entry(status).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(401, 10), (429, 20)]));
}

#[tokio::test]
async fn guesses_are_counted_over_all_nodes_together() {
    let cluster = Cluster::of(3).await;
    let alice = cluster.node(1).register("alice").await;
    let guesses = (0..24).map(|number| {
        let node = cluster.node(1 + number % 3);
        let email = alice.email.clone();
        async move { node.api.login(&email, "Not-the-password-7!").await.status }
    });
    let mut statuses = BTreeMap::new();
    for status in join_all(guesses).await {
        *statuses.entry(status).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(401, 5), (423, 19)]));
    for number in EVERY {
        let right = cluster.node(number).api.login(&alice.email, PASSWORD).await;
        right.is_no(423, "account_locked");
    }
}

#[tokio::test]
async fn users_are_imported_through_a_node_that_does_not_own_them() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader_of_the_default_tenant().await;
    let node = cluster.another_than(&[leader]);
    let line = |number: u32| format!("{{\"email\": \"user-{number}@example.com\"}}\n");
    let lines: String = (0..2000).map(line).collect();
    let import = node.api.request(Method::POST, "/users/import");
    let import = import.header("x-api-key", cluster.node(1).keys().secret);
    let import = import.header("content-type", "application/x-ndjson").body(lines);
    let imported = answer(import).await.is_yes(200);
    assert_eq!(imported.data()["imported"], 2000, "{}", imported.text);
    assert_eq!(owner(&imported), format!("node-{leader}"));
}

/// The leader is killed while requests are on their way to it, some with a key of the client's and
/// some with none: each is done once, and what was answered is true.
#[tokio::test]
async fn what_was_under_way_when_the_leader_died_is_done_once() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader_of_the_default_tenant().await;
    let others: Vec<&Node> = EVERY
        .iter()
        .filter(|number| **number != leader)
        .map(|number| cluster.node(*number))
        .collect();
    let register = async |node: &Node, number: usize| {
        let body = json!({ "email": format!("user-{number}@example.com"), "password": PASSWORD });
        let mut request = node.api.request(Method::POST, "/auth/register").json(&body);
        if number.is_multiple_of(2) {
            request = request.header("idempotency-key", format!("key-{number}"));
        }
        send(request).await.expect("a node that lives answers")
    };
    let registrations = (0..60).map(|number| {
        let (register, others, cluster) = (&register, &others, &cluster);
        async move {
            if number == 20 {
                cluster.node(leader).kill_9();
            }
            (number, register(others[number % 2], number).await)
        }
    });
    for (number, answer) in join_all(registrations).await {
        assert!([201, 503].contains(&answer.status), "{number}: {}", answer.text);
        if answer.status == 503 && number.is_multiple_of(2) {
            // The client tries again with the same key.
            let again = wait::until("it is registered", async || {
                let again = register(others[0], number).await;
                (again.status != 503).then_some(again)
            });
            again.await.is_yes(201);
        }
        if answer.status == 201 {
            let session = Session::of(&others[1].api, answer.data());
            session.is_alive().await;
            others[0].api.login(&format!("user-{number}@example.com"), PASSWORD).await.is_yes(200);
        }
    }
}
