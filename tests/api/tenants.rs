//! Which tenant a request belongs to.

use janua_tests::Node;
use janua_tests::Response;
use janua_tests::command::Janua;
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::response::has_exactly;
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
async fn an_operators_key_and_header_name_the_same_tenant() {
    let node = Node::start().await;
    let acme = make(&node, "acme").await.is_yes(201);
    let key = acme.text_of("secretKey");
    register_at(&node, &key, "alice@example.com").await.is_yes(201);
    let users = || {
        let request = node.api.request(Method::GET, "/users").header("X-API-Key", &key);
        request.bearer_auth(node.keys().operator)
    };
    assert_eq!(answer(users()).await.is_yes(200).data()["totalCount"], 1, "those of acme");
    answer(users().header("X-Tenant-ID", acme.text_of("id"))).await.is_yes(200);
    let other = answer(users().header("X-Tenant-ID", "default")).await;
    other.is_no(403, "tenant_mismatch");
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
async fn a_change_that_is_refused_changes_nothing_and_says_where() {
    let node = Node::start().await;
    let body = json!({ "name": "Other", "settings": { "tokens": { "accessTtl": "an hour" } } });
    let refused = operator(&node, Method::PATCH, "/admin/tenants/default", body).await;
    let refused = refused.is_no(400, "validation_error");
    let details = json!([{
        "field": "settings.tokens.accessTtl",
        "message": "expected a whole number"
    }]);
    assert_eq!(refused.body["error"]["details"], details);
    let shown = operator(&node, Method::GET, "/admin/tenants/default", json!({})).await;
    assert_eq!(shown.is_yes(200).data()["name"], "Default");
}

#[tokio::test]
async fn a_new_tenants_settings_are_a_merge_patch_too() {
    let node = Node::start().await;
    let create = async |slug: &str, settings: Value| {
        let body = json!({ "slug": slug, "settings": settings });
        operator(&node, Method::POST, "/admin/tenants", body).await
    };
    let patch = json!({ "tokens": { "accessTtl": 60, "sessionTtl": null }, "sms": null });
    let made = create("acme", patch).await.is_yes(201);
    let tokens = &made.data()["settings"]["tokens"];
    assert_eq!((&tokens["accessTtl"], &tokens["sessionTtl"]), (&json!(60), &json!(604_800)));
    let path = format!("/admin/tenants/{}", made.text_of("id"));
    let shown = operator(&node, Method::GET, &path, json!({})).await.is_yes(200);
    assert_eq!(shown.data()["settings"], made.data()["settings"]);
    let private = json!({ "sms": { "webhookUrl": "https://127.0.0.1/sms" } });
    let refused = create("other", private).await.is_no(400, "validation_error");
    assert_eq!(refused.body["error"]["details"][0]["field"], "settings.sms.webhookUrl");
    create("other", json!({})).await.is_yes(201);
}

#[tokio::test]
async fn an_id_is_given_once_whatever_the_slug() {
    let node = Node::start().await;
    let answers = janua_tests::at_once(8, |number| {
        let (api, token) = (node.api.over_new_connections(), node.keys().operator);
        async move {
            let request = api.request(Method::POST, "/admin/tenants").bearer_auth(token);
            answer(request.json(&json!({ "id": "acme", "slug": format!("acme-{number}") }))).await
        }
    });
    let (made, refused): (Vec<_>, Vec<_>) =
        answers.await.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1);
    for answer in refused {
        answer.is_no(409, "slug_taken");
    }
    let key = made[0].text_of("publishableKey");
    register_at(&node, &key, "alice@example.com").await.is_yes(201);
    let list = operator(&node, Method::GET, "/admin/tenants", json!({})).await.is_yes(200);
    assert_eq!(list.data()["totalCount"], 2);
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

async fn make(node: &Node, slug: &str) -> Response {
    let body = json!({ "name": "Acme Corporation", "slug": slug });
    operator(node, Method::POST, "/admin/tenants", body).await
}

async fn register_at(node: &Node, key: &str, email: &str) -> Response {
    let request = node.api.request(Method::POST, "/auth/register").header("X-API-Key", key);
    answer(request.json(&json!({ "email": email, "password": PASSWORD }))).await
}

#[tokio::test]
async fn a_new_tenant_has_keys_users_and_settings_of_its_own() {
    let node = Node::start().await;
    let acme = make(&node, "acme").await.is_yes(201);
    has_exactly(acme.data(), &["id", "name", "slug", "settings", "publishableKey", "secretKey"]);
    let id = acme.text_of("id");
    assert!(id.starts_with("ten_"), "{id}");
    let key = acme.text_of("publishableKey");
    let alice = node.register("alice").await;
    let other = register_at(&node, &key, &alice.email).await.is_yes(201);
    assert_ne!(other.text_of("user.id"), alice.id, "the same address, another tenant");
    let patch = json!({ "name": "Acme", "settings": { "registration": "closed" } });
    let path = format!("/admin/tenants/{id}");
    let changed = operator(&node, Method::PATCH, &path, patch).await.is_yes(200);
    assert_eq!(changed.data()["name"], "Acme");
    register_at(&node, &key, "bob@example.com").await.is_no(403, "insufficient_permissions");
    node.restart().await;
    node.api.me(&other.text_of("session.accessToken")).await.is_yes(200);
    let shown = operator(&node, Method::GET, &path, json!({})).await.is_yes(200);
    assert_eq!(shown.data(), changed.data());
}

#[tokio::test]
async fn tenants_are_listed_in_pages() {
    let node = Node::start().await;
    for slug in ["one", "two", "three"] {
        make(&node, slug).await.is_yes(201);
    }
    let list = async |query: &str| {
        operator(&node, Method::GET, &format!("/admin/tenants{query}"), json!({})).await
    };
    let all = list("").await.is_yes(200);
    has_exactly(all.data(), &["tenants", "totalCount", "hasMore"]);
    assert_eq!((&all.data()["totalCount"], &all.data()["hasMore"]), (&json!(4), &json!(false)));
    let slugs = |answer: &Response| {
        let tenants = answer.data()["tenants"].as_array().unwrap().clone();
        tenants.iter().map(|one| one["slug"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(slugs(&all), ["default", "one", "two", "three"]);
    let page = list("?limit=2&offset=1").await.is_yes(200);
    assert_eq!(
        (slugs(&page), &page.data()["hasMore"]),
        (vec!["one".into(), "two".into()], &json!(true))
    );
    list("?limit=0").await.is_no(400, "validation_error");
}

#[tokio::test]
async fn a_slug_is_given_once_whoever_asks_at_the_same_moment() {
    let node = Node::start().await;
    let answers = janua_tests::at_once(8, |_| {
        let (api, token) = (node.api.over_new_connections(), node.keys().operator);
        async move {
            let request = api.request(Method::POST, "/admin/tenants").bearer_auth(token);
            answer(request.json(&json!({ "name": "Acme", "slug": "acme" }))).await
        }
    });
    let (made, refused): (Vec<_>, Vec<_>) =
        answers.await.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1);
    for answer in refused {
        answer.is_no(409, "slug_taken");
    }
    make(&node, "default").await.is_no(409, "slug_taken");
    for slug in ["", "Acme", "a b", "-a", "a-", &"x".repeat(64)] {
        make(&node, slug).await.is_no(400, "validation_error");
    }
}

#[tokio::test]
async fn a_repeated_creation_happens_once_and_shows_the_same_keys() {
    let node = Node::start().await;
    let create = async |slug: &str| {
        let request = node.api.request(Method::POST, "/admin/tenants");
        let request = request.bearer_auth(node.keys().operator).header("Idempotency-Key", "one");
        answer(request.json(&json!({ "name": "Acme", "slug": slug }))).await
    };
    let first = create("acme").await.is_yes(201);
    assert_eq!(create("acme").await.is_yes(201).data(), first.data());
    create("other").await.is_no(409, "idempotency_conflict");
    node.restart().await;
    let key = create("acme").await.is_yes(201).text_of("publishableKey");
    register_at(&node, &key, "alice@example.com").await.is_yes(201);
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_with_everything_that_it_had() {
    let node = Node::start().await;
    let acme = make(&node, "acme").await.is_yes(201);
    let (id, key) = (acme.text_of("id"), acme.text_of("publishableKey"));
    let alice = register_at(&node, &key, "alice@example.com").await.is_yes(201);
    let token = alice.text_of("session.accessToken");
    node.api.me(&token).await.is_yes(200);
    let path = format!("/admin/tenants/{id}");
    operator(&node, Method::DELETE, &path, json!({})).await.is_yes(200);
    assert_eq!(node.api.me(&token).await.status, 401);
    let refreshed = node.api.refresh(&alice.text_of("session.refreshToken")).await;
    assert!((400..500).contains(&refreshed.status), "{}", refreshed.text);
    register_at(&node, &key, "bob@example.com").await.is_no(401, "invalid_token");
    operator(&node, Method::GET, &path, json!({})).await.is_no(404, "resource_not_found");
    operator(&node, Method::DELETE, &path, json!({})).await.is_no(404, "resource_not_found");
    let again = make(&node, "acme").await.is_yes(201);
    register_at(&node, &again.text_of("publishableKey"), "alice@example.com").await.is_yes(201);
    node.restart().await;
    assert_eq!(node.api.me(&token).await.status, 401);
}

#[tokio::test]
async fn the_command_line_makes_a_tenant_and_keys_for_it() {
    let node = Node::start().await;
    let made = Janua::command(["tenant", "create", "acme", "--name", "Acme", "--json"]);
    let made = made.against(&node).run().await.succeeds().json();
    assert_eq!(made["name"], "Acme");
    let id = made["id"].as_str().unwrap();
    let key = Janua::command(["key", "create", "--tenant", id, "--type", "secret", "--json"]);
    let key = key.and("--scope").and("users:read").against(&node).run().await.succeeds().json();
    assert_eq!(key["scopes"], json!(["users:read"]));
    register_at(&node, key["key"].as_str().unwrap(), "alice@example.com").await.is_yes(201);
    let again = Janua::command(["tenant", "create", "acme"]).against(&node).run().await;
    again.fails(1, "slug_taken");
    let untold = Janua::command(["tenant", "create", "other"]).with("JANUA_URL", node.api.base());
    untold.run().await.fails(2, "JANUA_OPERATOR_TOKEN");
    let nobody = Janua::command(["tenant", "create", "other"]).against(&node);
    nobody.with("JANUA_URL", "http://127.0.0.1:1").run().await.fails(1, "127.0.0.1:1");
}
