//! Who gets in, walked over the list of endpoints: a new one is covered by being declared.

use std::collections::BTreeMap;

use janua_actors::permissions::CATALOGUE;
use janua_http::endpoint::{Access, Endpoint};
use janua_tests::node::answer;
use janua_tests::{Node, Response};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

/// A path with ids that nobody has.
fn somewhere(endpoint: &Endpoint) -> String {
    let parts =
        endpoint.path.split('/').map(|part| if part.starts_with('{') { "nobodys" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn request(node: &Node, endpoint: &Endpoint) -> RequestBuilder {
    let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).expect("a method");
    let request = node.api.request(method, &somewhere(endpoint));
    if endpoint.takes_body { request.json(&json!({})) } else { request }
}

async fn call(node: &Node, endpoint: &Endpoint, token: Option<&str>) -> Response {
    let request = request(node, endpoint);
    answer(if let Some(token) = token { request.bearer_auth(token) } else { request }).await
}

async fn call_with_key(node: &Node, endpoint: &Endpoint, key: &str) -> Response {
    answer(request(node, endpoint).header("X-API-Key", key)).await
}

#[tokio::test]
async fn nobody_gets_in_without_a_credential() {
    let node = Node::start().await;
    for endpoint in janua_http::api::endpoints() {
        let answer = call(&node, &endpoint, None).await;
        match endpoint.access {
            Access::Session | Access::Operator | Access::Permission(_) => {
                answer.is_no(401, "authentication_required");
                // Nor does it tell which tenants there are.
                for tenant in ["ten_other", "No Id!"] {
                    let named = request(&node, &endpoint).header("X-Tenant-ID", tenant);
                    janua_tests::node::answer(named).await.is_no(401, "authentication_required");
                }
            }
            _ => assert_ne!(answer.code(), "authentication_required", "{}", endpoint.path),
        }
    }
}

#[tokio::test]
async fn nobody_gets_in_with_a_made_up_credential() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let made_up = [
        "nonsense",
        "jop_1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        &alice.session.refresh_token,
    ];
    for endpoint in janua_http::api::endpoints() {
        if !matches!(endpoint.access, Access::Public | Access::Service) {
            for token in made_up {
                let answer = call(&node, &endpoint, Some(token)).await;
                let denied = answer.status == 401 || answer.status == 403;
                assert!(denied, "{} {}: {}", endpoint.method, endpoint.path, answer.text);
            }
        }
    }
    alice.session.is_alive().await;
}

#[tokio::test]
async fn a_session_is_no_operator_and_an_operator_no_session() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let operator = node.keys().operator;
    for endpoint in janua_http::api::endpoints() {
        let token = match endpoint.access {
            Access::Session => &operator,
            Access::Operator | Access::Permission(_) => &alice.session.access_token,
            _ => continue,
        };
        let answer = call(&node, &endpoint, Some(token)).await;
        let denied = answer.status == 401 || answer.status == 403;
        assert!(denied, "{} {}: {}", endpoint.method, endpoint.path, answer.text);
    }
}

#[tokio::test]
async fn a_permission_is_held_by_a_secret_key_and_by_no_publishable_one() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let keys = node.keys();
    for endpoint in janua_http::api::endpoints() {
        let Access::Permission(permission) = endpoint.access else { continue };
        assert!(CATALOGUE.contains(&permission), "{permission} is in no catalogue");
        call_with_key(&node, &endpoint, &keys.publishable)
            .await
            .is_no(403, "insufficient_permissions");
        call(&node, &endpoint, Some(&alice.session.access_token))
            .await
            .is_no(403, "insufficient_permissions");
        let answer = call_with_key(&node, &endpoint, &keys.secret).await;
        let granted = answer.status != 401 && answer.status != 403;
        assert!(granted, "{} {}: {}", endpoint.method, endpoint.path, answer.text);
        if endpoint.path.contains('{') && !endpoint.takes_body {
            answer.is_no(404, "resource_not_found");
        }
    }
}

#[tokio::test]
async fn a_key_with_every_other_scope_is_not_let_in() {
    let node = Node::start().await;
    let mut keys = BTreeMap::new();
    for endpoint in janua_http::api::endpoints() {
        let Access::Permission(permission) = endpoint.access else { continue };
        if !keys.contains_key(permission) {
            let scopes: Vec<_> = CATALOGUE.iter().filter(|known| **known != permission).collect();
            let body = json!({ "name": "Other", "type": "secret", "scopes": scopes });
            let made = answer(node.server(Method::POST, "/api-keys").json(&body)).await;
            keys.insert(permission, made.is_yes(201).text_of("key"));
        }
        let refused = call_with_key(&node, &endpoint, &keys[permission]).await;
        refused.is_no(403, "insufficient_permissions");
    }
    assert!(keys.len() >= 5, "{:?}", keys.keys());
}

#[tokio::test]
async fn a_foreign_resource_does_not_exist() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for endpoint in janua_http::api::endpoints() {
        if endpoint.access == Access::Session && endpoint.path.contains('{') {
            let answer = call(&node, &endpoint, Some(&alice.session.access_token)).await;
            answer.is_no(404, "resource_not_found");
        }
    }
}

#[tokio::test]
async fn a_permission_is_a_servers_or_the_operators() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut met = 0;
    for endpoint in janua_http::api::endpoints() {
        if !matches!(endpoint.access, Access::Permission(_)) {
            continue;
        }
        met += 1;
        let by_user = call(&node, &endpoint, Some(&alice.session.access_token)).await;
        by_user.is_no(403, "insufficient_permissions");
        let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).expect("a method");
        let request = node.api.request(method, &somewhere(&endpoint));
        let by_page = answer(request.header("X-API-Key", node.keys().publishable)).await;
        by_page.is_no(403, "insufficient_permissions");
        let by_operator = call(&node, &endpoint, Some(&node.keys().operator)).await;
        assert!(by_operator.status != 401 && by_operator.status != 403, "{}", by_operator.text);
    }
    assert!(met >= 6, "{met}");
}
