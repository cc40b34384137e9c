//! Backups as the API gives them. What is in one, `tests/safety/backup.rs` knows.

use janua_tests::node::answer;
use janua_tests::response::has_exactly;
use janua_tests::{Node, Response};
use reqwest::Method;
use serde_json::{Value, json};

const ONE: &str = "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo";
const OTHER: &str = "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08";

async fn operator(node: &Node, method: Method, path: &str, body: Value) -> Response {
    let request = node.api.request(method, path).bearer_auth(node.keys().operator);
    answer(if body.is_null() { request } else { request.json(&body) }).await
}

#[tokio::test]
async fn a_recovery_key_is_set_once_and_replaced_on_demand() {
    let node = Node::start().await;
    let path = "/admin/backup/recovery-key";
    let set = async |key: &str, replace: bool| {
        let body = json!({ "publicKey": key, "replace": replace });
        operator(&node, Method::PUT, path, body).await
    };
    let none = operator(&node, Method::GET, path, Value::Null).await.is_yes(200);
    has_exactly(none.data(), &["publicKey", "fingerprint"]);
    assert!(none.data()["publicKey"].is_null());
    let early = operator(&node, Method::GET, "/admin/backup", Value::Null).await;
    early.is_no(409, "recovery_key_conflict");
    set("short", false).await.is_no(400, "validation_error");
    set(ONE, false).await.is_yes(200);
    set(ONE, false).await.is_yes(200);
    set(OTHER, false).await.is_no(409, "recovery_key_conflict");
    set(OTHER, true).await.is_yes(200);
    node.restart().await;
    let shown = operator(&node, Method::GET, path, Value::Null).await.is_yes(200);
    assert_eq!(shown.text_of("publicKey"), OTHER);
}

#[tokio::test]
async fn a_backup_is_a_stream_for_the_operator_alone() {
    let node = Node::start().await;
    let body = json!({ "publicKey": ONE });
    operator(&node, Method::PUT, "/admin/backup/recovery-key", body).await.is_yes(200);
    let request = node.api.request(Method::GET, "/admin/backup").bearer_auth(node.keys().operator);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/octet-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.bytes().await.unwrap().starts_with(b"JANUABAK"));
    let head = node.api.request(Method::HEAD, "/admin/backup").bearer_auth(node.keys().operator);
    let head = head.send().await.unwrap();
    assert_eq!(head.headers()["content-type"], "application/octet-stream");
    assert!(!head.headers().contains_key("content-length"), "{:?}", head.headers());
    let by_key = node.api.request(Method::GET, "/admin/backup");
    let by_key = answer(by_key.header("X-API-Key", node.keys().secret)).await;
    by_key.is_no(403, "insufficient_permissions");
    // Whoever goes away in the middle keeps nobody from coming.
    for _ in 0..20 {
        let request = node.api.over_new_connections().request(Method::GET, "/admin/backup");
        let response = request.bearer_auth(node.keys().operator).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
}
