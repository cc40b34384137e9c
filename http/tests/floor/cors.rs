//! Pages of other origins: whose rules they meet, before and after they say for whom they ask.

use http::Request;
use http::request::Builder;
use serde_json::json;

use crate::house::{House, bearing};
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
    let request = bearing(Request::patch("/admin/tenants/default"), &house.operator);
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
    let foreign = ask(&house.app, preflight("https://evil.example", "authorization"), "").await;
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
    for headers in ["x-api-key", "authorization,X-Tenant-ID"] {
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
