//! The endpoints on real actors and storage: what the reference shows, field by field.

use std::collections::BTreeSet;

use futures::FutureExt;
use http::Request;
use janua_http::app::App;
use janua_http::settings::Settings;
use serde_json::{Value, json};

use crate::house::{House, PASSWORD, bearing, token};
use crate::support::{ask, services};

#[track_caller]
fn has_exactly(value: &Value, fields: &[&str]) {
    let found: BTreeSet<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, fields.iter().copied().collect(), "{value}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_an_account() {
    let house = House::new().await;
    let registered = house.register("user@example.com").await;
    has_exactly(&registered, &["user", "session"]);
    let user =
        ["id", "email", "firstName", "lastName", "emailVerified", "createdAt", "lastActiveAt"];
    has_exactly(&registered["user"], &user);
    has_exactly(&registered["session"], &["accessToken", "refreshToken", "expiresAt"]);
    let created = registered["user"]["createdAt"].as_str().unwrap();
    assert!(created.len() == 20 && created.ends_with('Z'), "{created}");

    let logged_in = house.log_in("User@Example.com").await;
    has_exactly(&logged_in, &["user", "session", "requiresMfa"]);
    let user =
        ["id", "email", "firstName", "lastName", "emailVerified", "mfaEnabled", "lastActiveAt"];
    has_exactly(&logged_in["user"], &user);
    let session = ["accessToken", "refreshToken", "expiresAt", "deviceId"];
    has_exactly(&logged_in["session"], &session);

    let token = token(&logged_in);
    let me = house.get("/users/me", &token).await;
    let profile = [
        "id",
        "email",
        "firstName",
        "lastName",
        "emailVerified",
        "phoneNumber",
        "phoneVerified",
        "avatar",
        "mfaEnabled",
        "createdAt",
        "lastActiveAt",
        "metadata",
    ];
    has_exactly(&me.json()["data"], &profile);
    assert_eq!(me.json()["data"]["metadata"], json!({}));

    let sessions = house.get("/sessions", &token).await.json()["data"]["sessions"].clone();
    let fields = [
        "id",
        "deviceId",
        "userAgent",
        "ipAddress",
        "location",
        "isCurrent",
        "createdAt",
        "lastActiveAt",
        "expiresAt",
    ];
    has_exactly(&sessions[0], &fields);
    assert_eq!(sessions[0]["ipAddress"], "192.0.2.1");
    let revoked = ask(&house.app, bearing(Request::delete("/sessions"), &token), "").await;
    assert_eq!(revoked.json(), json!({ "success": true, "data": { "revokedCount": 1 } }));

    let body = json!({ "password": PASSWORD, "confirmation": "DELETE" });
    let gone = house.send(bearing(Request::delete("/users/me"), &token), &body).await;
    assert_eq!(gone.json(), json!({ "success": true, "message": "Account deleted successfully" }));
    assert_eq!(house.get("/users/me", &token).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_changes_by_what_is_sent() {
    let house = House::new().await;
    let token = token(&house.register("user@example.com").await);
    let put =
        async |body: Value| house.send(bearing(Request::put("/users/me"), &token), &body).await;
    let changed = put(json!({
        "lastName": "Smith", "phoneNumber": "+9876543210", "metadata": { "theme": "dark" },
        "emailVerified": true, "role": "owner",
    }));
    let changed = changed.await.json()["data"].clone();
    has_exactly(&changed, &["id", "email", "firstName", "lastName", "phoneNumber", "avatar"]);
    assert_eq!((&changed["firstName"], &changed["lastName"]), (&json!("John"), &json!("Smith")));
    put(json!({ "firstName": null, "metadata": { "b": 1 } })).await;
    let me = house.get("/users/me", &token).await.json()["data"].clone();
    assert_eq!((&me["firstName"], &me["lastName"]), (&Value::Null, &json!("Smith")));
    assert_eq!((&me["metadata"], &me["emailVerified"]), (&json!({ "b": 1 }), &json!(false)));
    let wrong = put(json!({ "phoneNumber": "1", "avatar": "http://a.example" })).await;
    wrong.refuses(400, "validation_error");
    let fields: BTreeSet<_> = wrong.json()["error"]["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|detail| detail["field"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(fields, BTreeSet::from(["avatar".into(), "phoneNumber".into()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_missing_field_is_named_at_once() {
    let house = House::new().await;
    let answer = house.post("/auth/register", json!({})).await;
    answer.refuses(400, "validation_error");
    let expected = json!([
        { "field": "email", "message": "is required" },
        { "field": "password", "message": "is required" },
    ]);
    assert_eq!(answer.json()["error"]["details"], expected);
    house
        .post("/auth/login", json!({ "email": "x", "password": "y" }))
        .await
        .refuses(400, "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_actors_refuse_has_its_status() {
    let house = House::new().await;
    house.register("user@example.com").await;
    let again = json!({ "email": "user@example.com", "password": PASSWORD });
    house.post("/auth/register", again).await.refuses(409, "email_already_exists");
    let weak = json!({ "email": "other@example.com", "password": "password" });
    house.post("/auth/register", weak).await.refuses(422, "weak_password");
    let guess = json!({ "email": "user@example.com", "password": "wrong" });
    for _ in 0..5 {
        house.post("/auth/login", guess.clone()).await.refuses(401, "invalid_credentials");
    }
    let locked = house.post("/auth/login", guess).await;
    locked.refuses(423, "account_locked");
    assert!(!locked.header("retry-after").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_carried_on_and_ended_by_its_refresh_token() {
    let house = House::with(|settings| settings.default_tenant = None).await;
    let named = |path| Request::post(path).header("x-tenant-id", "default");
    let body = json!({ "email": "user@example.com", "password": PASSWORD });
    let registered = house.send(named("/auth/register"), &body).await.json()["data"].clone();
    house.post("/auth/register", body).await.refuses(400, "validation_error");

    let refresh = json!({ "refreshToken": registered["session"]["refreshToken"] });
    let renewed = house.post("/auth/refresh", refresh).await;
    assert_eq!(renewed.status, 200, "a refresh token names its tenant: {renewed:?}");
    has_exactly(&renewed.json()["data"], &["accessToken", "refreshToken", "expiresAt"]);
    let refresh = json!({ "refreshToken": renewed.json()["data"]["refreshToken"] });
    let ended = house.post("/auth/logout", refresh.clone()).await;
    assert_eq!(ended.json(), json!({ "success": true, "message": "Logged out successfully" }));
    house.post("/auth/refresh", refresh).await.refuses(401, "session_revoked");
    let nonsense = json!({ "refreshToken": "rt_nonsense" });
    house.post("/auth/refresh", nonsense).await.refuses(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_ends_the_other_sessions() {
    let house = House::new().await;
    let first = token(&house.register("user@example.com").await);
    let second = token(&house.log_in("user@example.com").await);
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "NewPassword456!" });
    let request = bearing(Request::post("/users/me/change-password"), &second);
    let changed = house.send(request, &body).await.json();
    assert_eq!(changed["message"], "Password changed successfully");
    assert_eq!(changed["data"], json!({ "sessionsInvalidated": 1 }));
    house.get("/users/me", &first).await.refuses(401, "session_revoked");
    let body = json!({ "currentPassword": "NewPassword456!", "newPassword": "password" });
    let request = bearing(Request::post("/users/me/change-password"), &second);
    let weak = house.send(request, &body).await;
    weak.refuses(422, "weak_password");
    assert_eq!(weak.json()["error"]["details"][0]["field"], "newPassword");
    assert_eq!(house.get("/users/me", &second).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_tokens_must_name_one_tenant() {
    let house = House::new().await;
    let token = token(&house.register("user@example.com").await);
    let me = || bearing(Request::get("/users/me"), &token);
    for key in [&house.publishable, &house.secret, "your-api-key"] {
        assert_eq!(ask(&house.app, me().header("x-api-key", key), "").await.status, 200);
    }
    let elsewhere = me().header("x-tenant-id", "ten_other");
    ask(&house.app, elsewhere, "").await.refuses(403, "tenant_mismatch");
    let unknown = me().header("x-api-key", "jpk_1_unknown");
    ask(&house.app, unknown, "").await.refuses(401, "invalid_token");
    house.get("/users/me", "nonsense").await.refuses(401, "invalid_token");
    house.get("/users/me", &house.operator).await.refuses(401, "authentication_required");
    let nowhere = || Request::get("/users/me").header("x-tenant-id", "ten_other");
    ask(&house.app, nowhere(), "").await.refuses(401, "authentication_required");
    let server = nowhere().header("x-api-key", &house.secret);
    ask(&house.app, server, "").await.refuses(403, "tenant_mismatch");
    let key_alone = Request::get("/users/me").header("x-api-key", &house.secret);
    ask(&house.app, key_alone, "").await.refuses(401, "authentication_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_alone_configures() {
    let house = House::new().await;
    let token = token(&house.register("user@example.com").await);
    let path = "/admin/tenants/default";
    house.get(path, &token).await.refuses(403, "insufficient_permissions");
    house.get(path, "jop_0_nonsense").await.refuses(401, "invalid_token");
    let shown = house.get(path, &house.operator).await.json()["data"].clone();
    has_exactly(&shown, &["id", "name", "slug", "settings"]);
    house.get("/admin/tenants/ten_other", &house.operator).await.refuses(404, "resource_not_found");
    let patch = async |body: Value| {
        let request = bearing(Request::patch(path), &house.operator);
        house.send(request, &json!({ "settings": body })).await
    };
    let changed = patch(json!({ "tokens": { "accessTtl": 60 } })).await.json();
    assert_eq!(changed["data"]["settings"]["tokens"]["accessTtl"], 60);
    patch(json!({ "unknown": 1 })).await.refuses(400, "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_published_and_rotate() {
    let house = House::new().await;
    let keys = ask(&house.app, Request::get("/.well-known/jwks.json"), "").await;
    assert!(keys.header("cache-control").contains("max-age"), "{keys:?}");
    let vary = keys.headers.get_all("vary").iter().map(|value| value.to_str().unwrap());
    let vary = vary.collect::<Vec<_>>().join(", ");
    for header in ["authorization", "x-api-key", "x-tenant-id", "origin"] {
        assert!(vary.contains(header), "a cache must tell tenants apart: {vary}");
    }
    assert_eq!(keys.json()["keys"].as_array().unwrap().len(), 1);
    let path = "/admin/tenants/default/signing-keys/rotate";
    let rotated = ask(&house.app, bearing(Request::post(path), &house.operator), "").await;
    let kid = rotated.json()["data"]["kid"].clone();
    let of_tenant = Request::get("/tenants/default/.well-known/jwks.json");
    let keys = ask(&house.app, of_tenant, "").await.json()["keys"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 2);
    assert!(keys.as_array().unwrap().iter().any(|key| key["kid"] == kid), "{keys}");
    let unknown = Request::get("/tenants/ten_other/.well-known/jwks.json");
    ask(&house.app, unknown, "").await.refuses(404, "resource_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_is_answered_as_before() {
    let house = House::new().await;
    let keyed = |key: &str| Request::post("/auth/register").header("idempotency-key", key);
    let body = json!({ "email": "user@example.com", "password": PASSWORD });
    let first = house.send(keyed("one"), &body).await;
    let second = house.send(keyed("one"), &body).await;
    assert_eq!((first.status, second.status), (201, 201), "{second:?}");
    assert_eq!(first.json()["data"]["user"], second.json()["data"]["user"]);
    let other = json!({ "email": "other@example.com", "password": PASSWORD });
    house.send(keyed("one"), &other).await.refuses(409, "idempotency_conflict");
    house.send(keyed(&"x".repeat(256)), &other).await.refuses(400, "validation_error");
}

#[tokio::test]
async fn a_node_that_starts_serves_what_belongs_to_no_tenant() {
    let app = App::new(Settings::default(), services()).unwrap();
    assert_eq!(ask(&app, Request::get("/health/live"), "").await.status, 200);
    let ready = ask(&app, Request::get("/health/ready"), "").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"], json!(["the node is starting"]));
    let me = ask(&app, bearing(Request::get("/users/me"), "a.b.c"), "").await;
    me.refuses(503, "service_unavailable");
    assert_eq!(me.header("retry-after"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_actors_is_heard_of() {
    let house = House::new().await;
    let directory = house.app.directory().unwrap();
    assert!(directory.ended().now_or_never().is_none(), "they are at work");
    directory.stop().await;
    directory.ended().await;
}
