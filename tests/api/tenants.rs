//! Which tenant a request belongs to.

use janua_tests::Node;
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_request_that_names_no_tenant_belongs_to_the_default_one() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let request = alice.session.request(Method::GET, "/users/me").header("X-Tenant-ID", "default");
    answer(request).await.is_yes(200);
}

#[tokio::test]
async fn without_a_default_tenant_every_request_must_name_its_own() {
    let node = Node::with("tenancy.default_tenant", "").start().await;
    let registration = json!({ "email": "alice@example.com", "password": PASSWORD });
    let refused = node.api.post("/auth/register", registration.clone()).await;
    assert!((400..404).contains(&refused.status), "{}", refused.text);
    assert!(!refused.code().is_empty());
    let named = node.api.request(Method::POST, "/auth/register").json(&registration);
    answer(named.header("X-Tenant-ID", "default")).await.is_yes(201);
    let login = node.api.request(Method::POST, "/auth/login").json(&registration);
    let login = answer(login.header("X-API-Key", node.keys().publishable)).await.is_yes(200);
    let token = login.text_of("session.accessToken");
    node.api.me(&token).await.is_yes(200);
    node.api.refresh(&login.text_of("session.refreshToken")).await.is_yes(200);
}

#[tokio::test]
async fn sources_that_disagree_are_refused() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let by_token =
        alice.session.request(Method::GET, "/users/me").header("X-Tenant-ID", "ten_other");
    answer(by_token).await.is_no(403, "tenant_mismatch");
    let by_key = node.api.request(Method::POST, "/auth/login");
    let by_key = by_key.json(&json!({ "email": alice.email, "password": alice.password }));
    let by_key = by_key.header("X-API-Key", node.keys().publishable);
    answer(by_key.header("X-Tenant-ID", "ten_other")).await.is_no(403, "tenant_mismatch");
}

#[tokio::test]
async fn an_unknown_tenant_holds_nothing() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let login = node.api.request(Method::POST, "/auth/login").header("X-Tenant-ID", "ten_other");
    let login = login.json(&json!({ "email": alice.email, "password": alice.password }));
    let refused = answer(login).await;
    assert!((400..500).contains(&refused.status), "{}", refused.text);
    let keys = node.api.get("/tenants/ten_other/.well-known/jwks.json").await;
    keys.is_no(404, "resource_not_found");
}
