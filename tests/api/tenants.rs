//! Which tenant a request belongs to.

use janua_tests::Node;
use janua_tests::Response;
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use reqwest::Method;
use serde_json::{Value, json};

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

/// A request of the operator.
async fn operator(node: &Node, method: Method, path: &str, body: Value) -> Response {
    let request = node.api.request(method, path);
    answer(request.bearer_auth(node.keys().operator).json(&body)).await
}

async fn configure(node: &Node, settings: Value) -> Response {
    let body = json!({ "settings": settings });
    operator(node, Method::PATCH, "/admin/tenants/default", body).await
}

#[tokio::test]
async fn settings_are_merged_shown_and_outlive_a_restart() {
    let node = Node::start().await;
    let changed = configure(&node, json!({ "tokens": { "accessTtl": 60 } })).await.is_yes(200);
    assert_eq!(changed.data()["settings"]["tokens"]["accessTtl"], 60);
    assert_eq!(changed.data()["settings"]["tokens"]["sessionTtl"], 604_800);
    configure(&node, json!({ "colour": "red" })).await.is_no(400, "validation_error");
    node.restart().await;
    let shown = operator(&node, Method::GET, "/admin/tenants/default", json!({})).await.is_yes(200);
    assert_eq!(shown.data()["settings"], changed.data()["settings"]);
    let back = configure(&node, json!({ "tokens": null })).await.is_yes(200);
    assert_eq!(back.data()["settings"]["tokens"]["accessTtl"], 3600);
}

#[tokio::test]
async fn secrets_among_the_settings_are_kept_and_never_shown() {
    let node = Node::start().await;
    let google = json!({ "clientId": "a", "clientSecret": "hush-hush-hush" });
    let patch = json!({ "oauth": { "google": google }, "sms": { "secret": "hush-hush-hush" } });
    let changed = configure(&node, patch).await.is_yes(200);
    assert_eq!(changed.data()["settings"]["oauth"]["google"]["clientId"], "a");
    assert!(!changed.text.contains("hush"), "{}", changed.text);
}

#[tokio::test]
async fn another_algorithm_signs_from_the_next_token_on_and_the_old_key_stays() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let patch = json!({ "tokens": { "signingAlgorithm": "EdDSA" } });
    configure(&node, patch).await.is_yes(200);
    let keys = node.api.get("/.well-known/jwks.json").await;
    let algorithms: Vec<_> =
        keys.body["keys"].as_array().unwrap().iter().map(|key| key["alg"].clone()).collect();
    assert_eq!(algorithms, ["ES256", "EdDSA"]);
    alice.session.is_alive().await;
    alice.logs_in().await.is_alive().await;
}

#[tokio::test]
async fn a_repeated_rotation_happens_once() {
    let node = Node::start().await;
    let rotate = async || {
        let request = node.api.request(Method::POST, "/admin/tenants/default/signing-keys/rotate");
        let request = request.bearer_auth(node.keys().operator);
        answer(request.header("Idempotency-Key", "rotate-once")).await.is_yes(200)
    };
    assert_eq!(rotate().await.text_of("kid"), rotate().await.text_of("kid"));
    let keys = node.api.get("/.well-known/jwks.json").await;
    assert_eq!(keys.body["keys"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn hidden_accounts_stay_hidden_when_a_registration_is_repeated() {
    let node = Node::start().await;
    configure(&node, json!({ "hideExistingAccounts": true })).await.is_yes(200);
    node.api.registration("alice@example.com", PASSWORD).await.is_yes(201);
    let register = async || {
        let request = node.api.request(Method::POST, "/auth/register");
        let request = request.json(&json!({ "email": "alice@example.com", "password": PASSWORD }));
        answer(request.header("Idempotency-Key", "is-alice-here")).await.is_yes(201)
    };
    assert_eq!(register().await.text_of("user.id"), register().await.text_of("user.id"));
    node.api.login("alice@example.com", PASSWORD).await.is_yes(200);
}
