//! Who gets in, walked over the list of endpoints: a new one is covered by being declared.

use janua_http::endpoint::{Access, Endpoint};
use janua_tests::node::answer;
use janua_tests::{Node, Response};
use reqwest::Method;
use serde_json::json;

/// A path with ids that nobody has.
fn somewhere(endpoint: &Endpoint) -> String {
    let parts =
        endpoint.path.split('/').map(|part| if part.starts_with('{') { "nobodys" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

async fn call(node: &Node, endpoint: &Endpoint, token: Option<&str>) -> Response {
    let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).expect("a method");
    let mut request = node.api.request(method, &somewhere(endpoint));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if endpoint.takes_body {
        request = request.json(&json!({}));
    }
    answer(request).await
}

#[tokio::test]
async fn nobody_gets_in_without_a_credential() {
    let node = Node::start().await;
    for endpoint in janua_http::api::endpoints() {
        let answer = call(&node, &endpoint, None).await;
        match endpoint.access {
            Access::Session | Access::Operator | Access::Permission(_) => {
                answer.is_no(401, "authentication_required");
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
            Access::Operator => &alice.session.access_token,
            _ => continue,
        };
        let answer = call(&node, &endpoint, Some(token)).await;
        let denied = answer.status == 401 || answer.status == 403;
        assert!(denied, "{} {}: {}", endpoint.method, endpoint.path, answer.text);
    }
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
