//! The keys that founding makes, and how they are checked.

use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::response::has_exactly;
use janua_tests::{Node, Response, Stalled};
use reqwest::Method;
use serde_json::{Value, json};

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

/// A request to `/api-keys…` by a server.
async fn by_key(node: &Node, key: &str, method: Method, path: &str, body: Value) -> Response {
    let request = node.api.request(method, path).header("X-API-Key", key);
    answer(if body.is_null() { request } else { request.json(&body) }).await
}

async fn create(node: &Node, body: Value) -> Response {
    by_key(node, &node.keys().secret, Method::POST, "/api-keys", body).await
}

#[tokio::test]
async fn a_server_makes_keys_that_work_at_once() {
    let node = Node::start().await;
    let body = json!({ "name": "Web", "type": "publishable" });
    let made = create(&node, body).await.is_yes(201);
    let fields = ["id", "name", "type", "scopes", "prefix", "rateLimit", "createdAt", "lastUsedAt"];
    has_exactly(made.data(), &[&fields[..], &["expiresAt", "key"]].concat());
    let key = made.text_of("key");
    assert!(key.starts_with("jpk_1_") && key.starts_with(&made.text_of("prefix")), "{key}");
    registers_with_key(&node, "a@example.com", &key).await.is_yes(201);
    let path = format!("/api-keys/{}", made.text_of("id"));
    let secret = node.keys().secret;
    let shown = by_key(&node, &secret, Method::GET, &path, Value::Null).await.is_yes(200);
    assert!(!shown.text.contains(&key), "a key is shown once");
    let used = janua_tests::wait::until("its use is recorded", async || {
        let shown = by_key(&node, &secret, Method::GET, &path, Value::Null).await;
        shown.data()["lastUsedAt"].as_str().map(str::to_owned)
    });
    assert!(used.await.ends_with('Z'));
    let list = by_key(&node, &secret, Method::GET, "/api-keys", Value::Null).await.is_yes(200);
    assert_eq!(list.data()["totalCount"], 3, "two of founding, and one more");
    assert!(!list.text.contains(&key) && !list.text.contains("hash"), "{}", list.text);
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_grants_no_more() {
    let node = Node::start().await;
    let scoped = async |scopes: Value| {
        let made = create(&node, json!({ "name": "s", "type": "secret", "scopes": scopes })).await;
        made.is_yes(201).text_of("key")
    };
    let (reads, writes) =
        (scoped(json!(["api_keys:read"])).await, scoped(json!(["api_keys:*"])).await);
    let new = |scopes: Value| json!({ "name": "n", "type": "secret", "scopes": scopes });
    let post = async |key: &str, scopes: Value| {
        by_key(&node, key, Method::POST, "/api-keys", new(scopes)).await
    };
    by_key(&node, &reads, Method::GET, "/api-keys", Value::Null).await.is_yes(200);
    post(&reads, json!([])).await.is_no(403, "insufficient_permissions");
    post(&writes, json!(["api_keys:read"])).await.is_yes(201);
    for beyond in [json!(["users:read"]), json!(["*"]), json!(["api_keys:read", "users:*"])] {
        post(&writes, beyond).await.is_no(403, "insufficient_permissions");
    }
    post(&node.keys().secret, json!(["nonsense:read"])).await.is_no(400, "validation_error");
    let publishable = node.keys().publishable;
    let refused = by_key(&node, &publishable, Method::GET, "/api-keys", Value::Null).await;
    refused.is_no(403, "insufficient_permissions");
    let alice = node.register("alice").await;
    alice.session.get("/api-keys").await.is_no(403, "insufficient_permissions");
    let body = json!({ "name": "n", "type": "publishable", "scopes": ["users:read"] });
    create(&node, body).await.is_no(400, "validation_error");
}

#[tokio::test]
async fn a_key_that_may_do_more_is_out_of_reach() {
    let node = Node::start().await;
    let scoped = async |scopes: Value| {
        let made = create(&node, json!({ "name": "s", "type": "secret", "scopes": scopes })).await;
        (made.text_of("key"), format!("/api-keys/{}", made.text_of("id")))
    };
    let (narrow, _) = scoped(json!(["api_keys:*", "users:read"])).await;
    for scopes in [json!(["*"]), json!(["users:read", "users:write"]), json!(["users:*"])] {
        let (key, path) = scoped(scopes).await;
        let rotate = format!("{path}/rotate");
        for (method, path, body) in [
            (Method::POST, &rotate, Value::Null),
            (Method::PATCH, &path, json!({ "expiresAt": null })),
            (Method::PATCH, &path, json!({ "scopes": ["users:read"] })),
            (Method::DELETE, &path, Value::Null),
        ] {
            let refused = by_key(&node, &narrow, method, path, body).await;
            refused.is_no(403, "insufficient_permissions");
        }
        by_key(&node, &key, Method::GET, "/users", Value::Null).await.is_yes(200);
    }
    let (_, path) = scoped(json!(["users:read"])).await;
    let name = json!({ "name": "Reader" });
    by_key(&node, &narrow, Method::PATCH, &path, name).await.is_yes(200);
    let rotate = format!("{path}/rotate");
    by_key(&node, &narrow, Method::POST, &rotate, Value::Null).await.is_yes(200);
    by_key(&node, &narrow, Method::DELETE, &path, Value::Null).await.is_yes(200);
}

#[tokio::test]
async fn the_last_moment_that_can_be_written_is_the_last_that_is_taken() {
    let node = Node::start().await;
    let expiring = |at: &str| json!({ "name": "s", "type": "publishable", "expiresAt": at });
    let beyond = "9999-12-31T23:59:59-01:00";
    create(&node, expiring(beyond)).await.is_no(400, "validation_error");
    create(&node, expiring("2999-01-01x00:00:00Z")).await.is_no(400, "validation_error");
    let made = create(&node, expiring("9999-12-31T23:59:59Z")).await.is_yes(201);
    let path = format!("/api-keys/{}", made.text_of("id"));
    let secret = node.keys().secret;
    let changes = json!({ "expiresAt": beyond });
    let refused = by_key(&node, &secret, Method::PATCH, &path, changes).await;
    refused.is_no(400, "validation_error");
    let list = by_key(&node, &secret, Method::GET, "/api-keys", Value::Null).await.is_yes(200);
    assert_eq!(list.data()["apiKeys"][2]["expiresAt"], "9999-12-31T23:59:59Z");
}

#[tokio::test]
async fn a_revoked_key_is_dead_when_that_is_answered() {
    let node = Node::start().await;
    let made = create(&node, json!({ "name": "s", "type": "secret", "scopes": ["*"] })).await;
    let (key, id) = (made.text_of("key"), made.text_of("id"));
    let path = format!("/api-keys/{id}");
    let secret = node.keys().secret;
    let rotate = format!("{path}/rotate");
    let next = by_key(&node, &secret, Method::POST, &rotate, Value::Null).await.is_yes(200);
    let next = next.text_of("key");
    assert_ne!(next, key);
    for works in [&key, &next] {
        by_key(&node, works, Method::GET, &path, Value::Null).await.is_yes(200);
    }
    let last = by_key(&node, &secret, Method::POST, &rotate, Value::Null).await.text_of("key");
    by_key(&node, &key, Method::GET, &path, Value::Null).await.is_no(401, "invalid_token");
    by_key(&node, &secret, Method::DELETE, &path, Value::Null).await.is_yes(200);
    for dead in [&key, &next, &last] {
        by_key(&node, dead, Method::GET, &path, Value::Null).await.is_no(401, "invalid_token");
    }
    let again = by_key(&node, &secret, Method::DELETE, &path, Value::Null).await;
    again.is_no(404, "resource_not_found");
    node.restart().await;
    by_key(&node, &last, Method::GET, "/api-keys", Value::Null).await.is_no(401, "invalid_token");
}

#[tokio::test]
async fn a_revoked_key_does_nothing_by_a_request_that_was_on_its_way() {
    let node = Node::start().await;
    node.has_agreed().await;
    let alice = node.register("alice").await;
    let user = format!("/users/{}", alice.id);
    let secret = node.keys().secret;
    for (method, path, body) in [
        (Method::POST, "/api-keys", json!({ "name": "n", "type": "secret", "scopes": ["*"] })),
        (Method::POST, "/users", json!({ "email": "b@example.com" })),
        (Method::PATCH, user.as_str(), json!({ "email": "b@example.com" })),
    ] {
        let made = create(&node, json!({ "name": "s", "type": "secret", "scopes": ["*"] })).await;
        let request = node.api.request(method, path).header("X-API-Key", made.text_of("key"));
        let stalled = Stalled::begin(request.json(&body), 1).await;
        let own = format!("/api-keys/{}", made.text_of("id"));
        by_key(&node, &secret, Method::DELETE, &own, Value::Null).await.is_yes(200);
        stalled.finish().await.is_no(401, "invalid_token");
    }
    let keys = by_key(&node, &secret, Method::GET, "/api-keys", Value::Null).await;
    assert_eq!(keys.data()["totalCount"], 2, "the keys of founding alone");
    let users = by_key(&node, &secret, Method::GET, "/users", Value::Null).await;
    assert_eq!(users.data()["totalCount"], 1);
    assert_eq!(users.data()["users"][0]["email"], "alice@example.com");
}

#[tokio::test]
async fn a_key_that_is_narrowed_meanwhile_does_nothing_that_it_may_not_do() {
    let node = Node::start().await;
    node.has_agreed().await;
    let made = create(&node, json!({ "name": "s", "type": "secret", "scopes": ["*"] })).await;
    let key = made.text_of("key");
    let ask = || {
        let request = node.api.request(Method::POST, "/users").header("X-API-Key", &key);
        request.json(&json!({ "email": "a@example.com" }))
    };
    let stalled = Stalled::begin(ask(), 1).await;
    let path = format!("/api-keys/{}", made.text_of("id"));
    let narrower = json!({ "scopes": ["users:read"] });
    by_key(&node, &node.keys().secret, Method::PATCH, &path, narrower).await.is_yes(200);
    stalled.finish().await.is_no(503, "service_unavailable");
    answer(ask()).await.is_no(403, "insufficient_permissions");
}

#[tokio::test]
async fn narrower_scopes_hold_for_the_secret_before_as_well() {
    let node = Node::start().await;
    let made = create(&node, json!({ "name": "s", "type": "secret", "scopes": ["*"] })).await;
    let (key, id) = (made.text_of("key"), made.text_of("id"));
    let path = format!("/api-keys/{id}");
    let secret = node.keys().secret;
    by_key(&node, &secret, Method::POST, &format!("{path}/rotate"), Value::Null).await.is_yes(200);
    let changes = json!({ "scopes": ["users:read"], "name": "Narrow" });
    let changed = by_key(&node, &secret, Method::PATCH, &path, changes).await.is_yes(200);
    assert_eq!(changed.data()["name"], "Narrow");
    let refused = by_key(&node, &key, Method::GET, &path, Value::Null).await;
    refused.is_no(403, "insufficient_permissions");
}

#[tokio::test]
async fn a_key_that_has_expired_works_no_more() {
    let node = Node::start().await;
    let expiring = |at: &str| json!({ "name": "s", "type": "publishable", "expiresAt": at });
    create(&node, expiring("2001-01-01T00:00:00Z")).await.is_no(400, "validation_error");
    create(&node, expiring("tomorrow")).await.is_no(400, "validation_error");
    let made = create(&node, expiring("2999-01-01T00:00:00Z")).await.is_yes(201);
    let key = made.text_of("key");
    registers_with_key(&node, "a@example.com", &key).await.is_yes(201);
    let path = format!("/api-keys/{}", made.text_of("id"));
    let past = json!({ "expiresAt": "2001-01-01T00:00:00Z" });
    by_key(&node, &node.keys().secret, Method::PATCH, &path, past).await.is_yes(200);
    registers_with_key(&node, "b@example.com", &key).await.is_no(401, "invalid_token");
    let never = json!({ "expiresAt": null });
    by_key(&node, &node.keys().secret, Method::PATCH, &path, never).await.is_yes(200);
    registers_with_key(&node, "b@example.com", &key).await.is_yes(201);
}

#[tokio::test]
async fn a_repeated_request_for_a_key_makes_one() {
    let node = Node::start().await;
    let ask = async || {
        let request = node.api.request(Method::POST, "/api-keys");
        let request = request.header("X-API-Key", node.keys().secret);
        let request = request.header("Idempotency-Key", "a-key");
        answer(request.json(&json!({ "name": "s", "type": "publishable" }))).await.is_yes(201)
    };
    assert_eq!(ask().await.data(), ask().await.data());
}

#[tokio::test]
async fn a_tenants_keys_are_no_other_tenants() {
    let node = Node::start().await;
    let body = json!({ "name": "Acme", "slug": "acme" });
    let request = node.api.request(Method::POST, "/admin/tenants").json(&body);
    let acme = answer(request.bearer_auth(node.keys().operator)).await.is_yes(201);
    let made = create(&node, json!({ "name": "s", "type": "publishable" })).await.is_yes(201);
    let path = format!("/api-keys/{}", made.text_of("id"));
    let foreign = acme.text_of("secretKey");
    for method in [Method::GET, Method::DELETE] {
        let answer = by_key(&node, &foreign, method, &path, Value::Null).await;
        answer.is_no(404, "resource_not_found");
    }
    let as_operator = node.api.request(Method::GET, "/api-keys").bearer_auth(node.keys().operator);
    let listed = answer(as_operator.header("X-Tenant-ID", acme.text_of("id"))).await.is_yes(200);
    assert_eq!(listed.data()["totalCount"], 2, "the keys of acme alone");
}
