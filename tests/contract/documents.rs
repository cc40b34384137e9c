//! What the endpoints document against what any request can get wrong.

use janua_http::endpoint::{Access, Endpoint};
use janua_tests::Node;
use janua_tests::node::answer;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

/// The endpoint's answer to a request that `change` spoils.
async fn code(
    node: &Node,
    endpoint: &Endpoint,
    change: impl Fn(RequestBuilder) -> RequestBuilder,
) -> Option<(u16, String)> {
    let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).expect("a method");
    let path = endpoint
        .path
        .replace("{tenantId}", "default")
        .replace("{sessionId}", "nobodys")
        .replace("{keyId}", "nobodys");
    let request = node.api.request(method, &path.replace("{file}", "start.js"));
    let request = if endpoint.takes_body { request.json(&json!({})) } else { request };
    let answer = answer(change(request)).await;
    (answer.status >= 400).then(|| (answer.status, answer.code().to_owned()))
}

#[tokio::test]
async fn what_any_request_can_get_wrong_is_documented() {
    let node = Node::with("tenancy.default_tenant", "").start().await;
    let keys = node.keys();
    let (mut met, mut undocumented) = (0, Vec::new());
    for endpoint in janua_http::api::endpoints() {
        let signs = |request: RequestBuilder| match endpoint.access {
            Access::Operator => request.bearer_auth(&keys.operator),
            Access::Permission(_) => request.header("X-API-Key", &keys.secret),
            _ => request,
        };
        let answers = [
            code(&node, &endpoint, |request| request).await,
            code(&node, &endpoint, |request| request.header("X-Tenant-ID", "Nobody!")).await,
            code(&node, &endpoint, |request| request.header("X-Tenant-ID", "ten_other")).await,
            code(&node, &endpoint, |request| {
                request.header("Authorization", "Bearer a").header("Authorization", "Bearer b")
            })
            .await,
            code(&node, &endpoint, |request| request.header("X-API-Key", "jpk_1_nobody")).await,
            code(&node, &endpoint, |request| request.header("X-Large", "x".repeat(20_000))).await,
            code(&node, &endpoint, |request| {
                signs(request)
                    .header("X-Tenant-ID", "default")
                    .header("Idempotency-Key", "x".repeat(256))
            })
            .await,
        ];
        for (status, name) in answers.into_iter().flatten() {
            met += 1;
            let documented = endpoint
                .codes()
                .into_iter()
                .any(|code| code.as_str() == name && code.status().as_u16() == status);
            if !documented {
                undocumented
                    .push(format!("{} {}: {status} {name}", endpoint.method, endpoint.path));
            }
        }
    }
    assert!(undocumented.is_empty(), "{undocumented:#?}");
    assert!(met > 80, "{met}");
}
