//! Codes that a page turns into the login that a redirect has completed.

use janua_tests::Node;
use serde_json::json;

#[tokio::test]
async fn a_code_that_never_was_becomes_no_session() {
    let node = Node::start().await;
    for code in ["nonsense".to_owned(), format!("code_1_{}", "x".repeat(43))] {
        let answer = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
        answer.is_no(401, "invalid_token");
    }
    node.api.post("/auth/oauth/exchange", json!({})).await.is_no(400, "validation_error");
}
