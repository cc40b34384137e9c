//! Pages of other origins: whose rules they meet, before and after they say for whom they ask.

use http::Request;
use http::request::Builder;
use serde_json::json;

use crate::house::{House, PASSWORD, bearing};
use crate::support::{Answer, ask};

const PAGE: &str = "https://app.example";

fn from(request: Builder, origin: &str) -> Builder {
    request.header("origin", origin)
}

/// What a browser asks before it calls with these headers.
fn preflight(origin: &str, headers: &str) -> Builder {
    from(Request::options("/users/me"), origin)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", headers)
}

#[track_caller]
fn lets_ask(answer: &Answer, origin: &str) {
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), origin);
    assert_eq!(answer.header("access-control-allow-methods"), "GET, PUT, DELETE, HEAD, OPTIONS");
    assert!(answer.header("access-control-allow-headers").contains("x-api-key"));
}

#[track_caller]
fn gives_no_leave(answer: &Answer) {
    for header in ["origin", "methods", "headers", "credentials"] {
        assert_eq!(answer.header(&format!("access-control-allow-{header}")), "");
    }
}

async fn allows(house: &House, origins: serde_json::Value) {
    tenant_allows(house, "default", origins).await;
}

async fn tenant_allows(house: &House, id: &str, origins: serde_json::Value) {
    let path = format!("/admin/tenants/{id}");
    let request = bearing(Request::patch(path), &house.operator);
    let body = json!({ "settings": { "allowedOrigins": origins } });
    assert_eq!(house.send(request, &body).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_allowed_origins_read_the_answers() {
    let house = House::new().await;
    allows(&house, json!([PAGE])).await;
    let allowed = ask(&house.app, preflight(PAGE, "authorization"), "").await;
    lets_ask(&allowed, PAGE);
    assert_eq!(allowed.header("access-control-allow-credentials"), "true");
    assert!(allowed.header("access-control-allow-headers").contains("authorization"));
    assert!(allowed.header("vary").contains("origin"));
    let foreign = ask(&house.app, preflight("https://evil.example", "content-type"), "").await;
    gives_no_leave(&foreign);
    let refused = ask(&house.app, from(Request::get("/users/me"), PAGE), "").await;
    refused.refuses(401, "authentication_required");
    assert_eq!(refused.header("access-control-allow-origin"), PAGE);
    assert!(refused.header("access-control-expose-headers").contains("x-ratelimit-reset"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_default_tenant_any_page_may_ask_and_its_tenant_decides() {
    let house = House::with(|settings| settings.default_tenant = None).await;
    allows(&house, json!([PAGE])).await;
    for origin in [PAGE, "https://evil.example"] {
        let asked = ask(&house.app, preflight(origin, "content-type, X-API-Key"), "").await;
        lets_ask(&asked, origin);
        assert_eq!(asked.header("access-control-allow-credentials"), "");
    }
    let call = |origin| {
        from(Request::get("/users/me"), origin).header("x-api-key", house.publishable.as_str())
    };
    let page = ask(&house.app, call(PAGE), "").await;
    assert_eq!(page.header("access-control-allow-origin"), PAGE);
    gives_no_leave(&ask(&house.app, call("https://evil.example"), "").await);
    let nameless = ask(&house.app, from(Request::get("/users/me"), PAGE), "").await;
    gives_no_leave(&nameless);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_will_name_its_tenant_is_not_judged_by_the_default_one() {
    let house = House::new().await;
    allows(&house, json!([PAGE])).await;
    for headers in ["x-api-key", "content-type,X-Tenant-ID", "authorization"] {
        let asked = ask(&house.app, preflight("https://other.example", headers), "").await;
        lets_ask(&asked, "https://other.example");
        assert_eq!(asked.header("access-control-allow-credentials"), "");
    }
    let named = preflight("https://other.example", "x-api-key").header("x-tenant-id", "default");
    gives_no_leave(&ask(&house.app, named, "").await);
    let call = from(Request::get("/users/me"), "https://other.example");
    let call = call.header("x-api-key", house.publishable.as_str());
    gives_no_leave(&ask(&house.app, call, "").await);
}

/// Another tenant, whose page is `https://acme.example`, with one user; the data of its login.
async fn acme(house: &House) -> serde_json::Value {
    let request = bearing(Request::post("/admin/tenants"), &house.operator);
    let made = house.send(request, &json!({ "id": "acme", "slug": "acme" })).await;
    assert_eq!(made.status, 201, "{made:?}");
    tenant_allows(house, "acme", json!(["https://acme.example"])).await;
    let request = Request::post("/auth/register").header("x-tenant-id", "acme");
    let body = json!({ "email": "user@example.com", "password": PASSWORD });
    let registered = house.send(request, &body).await;
    assert_eq!(registered.status, 201, "{registered:?}");
    registered.json()["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_body_names_the_tenant_whose_pages_may_read() {
    let house = House::new().await;
    allows(&house, json!([PAGE])).await;
    let session = acme(&house).await["session"].clone();
    let asks = |path: &str| {
        from(Request::options(path), "https://acme.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
    };
    for path in ["/auth/refresh", "/auth/logout", "/auth/oauth/exchange", "/auth/login/mfa"] {
        let asked = ask(&house.app, asks(path), "").await;
        assert_eq!(asked.header("access-control-allow-origin"), "https://acme.example", "{path}");
        assert_eq!(asked.header("access-control-allow-credentials"), "", "{path}");
    }
    gives_no_leave(&ask(&house.app, asks("/auth/login"), "").await);
    let body = json!({ "refreshToken": session["refreshToken"] });
    let refresh = |origin| from(Request::post("/auth/refresh"), origin);
    let foreign = house.send(refresh(PAGE), &body).await;
    assert_eq!(foreign.status, 200, "{foreign:?}");
    gives_no_leave(&foreign);
    let own = house.send(refresh("https://acme.example"), &body).await;
    assert_eq!(own.header("access-control-allow-origin"), "https://acme.example");
    let token = session["accessToken"].as_str().unwrap();
    let me = from(Request::get("/users/me"), "https://acme.example");
    let me = ask(&house.app, bearing(me, token), "").await;
    assert_eq!(me.header("access-control-allow-origin"), "https://acme.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_tenant_are_for_everybody_to_read() {
    let house = House::new().await;
    allows(&house, json!([PAGE])).await;
    let path = "/tenants/default/.well-known/jwks.json";
    for request in [Request::get(path), from(Request::get(path), "https://any.example")] {
        let keys = ask(&house.app, request, "").await;
        assert_eq!(keys.header("access-control-allow-origin"), "*");
        assert_eq!(keys.header("access-control-allow-credentials"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosted_pages_are_read_by_no_other_page() {
    let house = House::new().await;
    allows(&house, json!([PAGE])).await;
    let page = ask(&house.app, from(Request::get("/ui/sign-in"), PAGE), "").await;
    assert_eq!(page.status, 200);
    gives_no_leave(&page);
    let asks = from(Request::options("/ui/sign-in"), PAGE);
    let asks = asks.header("access-control-request-method", "POST");
    gives_no_leave(&ask(&house.app, asks, "").await);
}
