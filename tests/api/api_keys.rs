//! The keys that founding makes, and how they are checked.

use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::{Node, Response};
use reqwest::Method;
use serde_json::json;

async fn registers_with_key(node: &Node, email: &str, key: &str) -> Response {
    let request = node.api.request(Method::POST, "/auth/register").header("X-API-Key", key);
    answer(request.json(&json!({ "email": email, "password": PASSWORD }))).await
}

#[tokio::test]
async fn founding_prints_keys_that_work_and_prints_them_once() {
    let node = Node::start().await;
    let keys = node.keys();
    assert!(keys.publishable.starts_with("jpk_"));
    assert!(keys.secret.starts_with("jsk_"));
    assert!(keys.operator.starts_with("jop_"));
    registers_with_key(&node, "a@example.com", &keys.publishable).await.is_yes(201);
    registers_with_key(&node, "b@example.com", &keys.secret).await.is_yes(201);
    node.restart().await;
    assert!(node.output().event("founded").is_none(), "printed a second time");
    registers_with_key(&node, "c@example.com", &keys.publishable).await.is_yes(201);
}

#[tokio::test]
async fn keys_given_by_bootstrap_are_taken() {
    let key = |prefix: &str| format!("{prefix}given-by-the-operator-0123456789");
    let node = Node::with("bootstrap.publishable_key", key("jpk_"))
        .with("bootstrap.secret_key", key("jsk_"))
        .with("bootstrap.operator_token", key("jop_"))
        .start()
        .await;
    let founded = node.output().event("founded").expect("it says that it has founded a cluster");
    for name in ["publishableKey", "secretKey", "operatorToken"] {
        assert!(founded[name].is_null(), "whoever gave a key has it: {founded}");
    }
    assert!(!node.output().text().contains("given-by-the-operator"));
    registers_with_key(&node, "a@example.com", &key("jpk_")).await.is_yes(201);
    registers_with_key(&node, "b@example.com", &key("jsk_")).await.is_yes(201);
    node.restart().await;
    registers_with_key(&node, "c@example.com", &key("jsk_")).await.is_yes(201);
}

#[tokio::test]
async fn what_bootstrap_leaves_open_is_drawn_and_printed() {
    let given = "jpk_given-by-the-operator-0123456789";
    let node = Node::with("bootstrap.publishable_key", given).start().await;
    let keys = node.keys();
    assert_eq!(keys.publishable, "");
    registers_with_key(&node, "a@example.com", given).await.is_yes(201);
    registers_with_key(&node, "b@example.com", &keys.secret).await.is_yes(201);
    assert!(keys.operator.starts_with("jop_"));
}

#[tokio::test]
async fn a_given_key_may_look_as_if_it_named_a_tenant() {
    let key = format!("jsk_dev_{}", "k".repeat(43));
    let node = Node::with("bootstrap.secret_key", &key).start().await;
    registers_with_key(&node, "a@example.com", &key).await.is_yes(201);
}

#[tokio::test]
async fn an_unknown_key_is_refused_even_where_none_is_needed() {
    let node = Node::start().await;
    let keys = node.keys();
    let last_changed = format!("{}A", &keys.secret[..keys.secret.len() - 1]);
    for key in [
        "jpk_",
        "jsk_1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "nonsense",
        &last_changed,
        &keys.operator,
    ] {
        if key == keys.secret {
            continue;
        }
        let refused = registers_with_key(&node, "a@example.com", key).await;
        refused.is_no(401, "invalid_token");
    }
}

#[tokio::test]
async fn a_key_is_no_session() {
    let node = Node::start().await;
    for key in [node.keys().publishable, node.keys().secret] {
        let request = node.api.request(Method::GET, "/users/me").header("X-API-Key", &key);
        answer(request).await.is_no(401, "authentication_required");
        assert_eq!(node.api.me(&key).await.status, 401);
    }
}
