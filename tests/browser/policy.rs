//! What every page promises whoever opens it: how little it loads, how little it may do, how quickly
//! it is there.

use std::time::{Duration, Instant};

use janua_tests::browser::parameter;
use janua_tests::issuer::Issuer;
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::visitor::Visitor;
use janua_tests::{Node, Session};
use reqwest::{Method, Url};
use serde_json::json;

/// The pages that anybody can open.
const PAGES: [&str; 11] = [
    "/ui/sign-in",
    "/ui/sign-up",
    "/ui/magic-link",
    "/ui/magic-link?token=ml_1_x",
    "/ui/forgot",
    "/ui/reset?token=rst_1_x",
    "/ui/verify?token=evt_1_x",
    "/ui/verify/send",
    "/ui/done/mail-sent",
    "/ui/done/signed-out",
    "/ui/sign-in?redirect_uri=https://nowhere.example",
];

const MOST_BYTES: usize = 50 * 1024;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// What a page loads.
fn loaded(page: &str) -> Vec<String> {
    let sources = page.split(['"']).filter(|text| text.starts_with("/ui/assets/"));
    sources.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_page_is_small_and_may_do_little() {
    let node = Node::start().await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-up").await;
    visitor.submits("/ui/sign-up", &[("email", "alice@example.com"), ("password", PASSWORD)]).await;
    for path in PAGES.iter().chain(["/ui/account", "/ui/passkeys"].iter()) {
        visitor.goes_to(path).await;
        let page = visitor.page.clone();
        assert_eq!(page.header("content-security-policy"), POLICY, "{path}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(page.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        for inline in [" style=", "<style", " onclick=", "<script>", "javascript:"] {
            assert!(!page.text.contains(inline), "{path}: {inline}");
        }
        let mut bytes = page.text.len();
        let assets = loaded(&page.text);
        assert_eq!(assets.len(), 2, "{path}: {assets:?}");
        for asset in assets {
            bytes += node.api.get(&asset).await.text.len();
        }
        println!("{path}: {bytes} bytes with all that it loads, before compression");
        assert!(bytes < MOST_BYTES, "{path}: {bytes}");
    }
}

#[tokio::test]
async fn what_pages_load_is_kept_for_ever_and_compressed() {
    let node = Node::start().await;
    let page = node.api.get("/ui/sign-in").await;
    for path in loaded(&page.text) {
        let request = node.api.request(Method::GET, &path).header("Accept-Encoding", "gzip");
        let asset = answer(request).await;
        assert_eq!(asset.status, 200, "{path}");
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(asset.header("content-encoding"), "gzip");
        // Another version's name, while nodes are being renewed.
        let extension = path.rsplit_once('.').expect("an extension").1;
        let other = node.api.get(&format!("/ui/assets/pages-0000.{extension}")).await;
        assert_eq!((other.status, other.header("cache-control")), (200, "public, max-age=300"));
    }
    let unknown = node.api.get("/ui/assets/other-1.css").await;
    unknown.is_no(404, "resource_not_found");
}

#[tokio::test]
async fn a_tenant_dresses_its_pages() {
    let node = Node::start().await;
    let branding =
        json!({ "logoUrl": "https://cdn.example.com/a/logo.svg", "primaryColor": "#ffcc00" });
    node.configure(
        json!({ "mail": { "brand": "Acme <b>", "locale": "es" }, "branding": branding }),
    )
    .await;
    let visitor = Visitor::speaking("de", &node, "/ui/sign-in").await;
    visitor.reads("<html lang=\"es\">");
    visitor.reads("para continuar en Acme &#60;b&#62;");
    visitor.reads("<img src=\"https://cdn.example.com/a/logo.svg\" alt=\"Acme &#60;b&#62;\"");
    let policy = visitor.page.header("content-security-policy");
    assert!(policy.contains("img-src data: https://cdn.example.com;"), "{policy}");
    visitor.reads("/ui/assets/theme-ffcc00.css");
    let theme = node.api.get("/ui/assets/theme-ffcc00.css").await;
    assert!(theme.text.contains("--accent:#ffcc00;--on-accent:#000000;"), "{}", theme.text);
    assert!(!theme.text.contains("--link:#ffcc00}@"), "yellow on white cannot be read");
    let refused = node.configuration(json!({ "branding": { "primaryColor": "red" } })).await;
    refused.is_no(400, "validation_error");
}

#[tokio::test]
async fn every_page_begins_to_come_at_once() {
    let node = Node::start().await;
    for path in PAGES {
        let mut times = Vec::new();
        for _ in 0..40 {
            let request = node.api.request(Method::GET, path).header("accept", "text/html");
            let started = Instant::now();
            // With the head of the answer: its body is not read.
            let answer = request.send().await.expect("an answer");
            times.push(started.elapsed());
            drop(answer);
        }
        times.sort_unstable();
        println!("{path}: first byte after {:?} (median)", times[times.len() / 2]);
        // Other tests run beside this one; what they take is not the page's.
        let quarter = times[times.len() / 4];
        assert!(quarter < Duration::from_millis(10), "{path}: {quarter:?}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_as_a_page() {
    let node = Node::start().await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-in?tenant=ten_other").await;
    assert_eq!(visitor.page.status, 404);
    visitor.reads_heading("That did not work");
    visitor.goes_to("/ui/done/nothing?lang=es").await;
    visitor.reads_heading("No ha funcionado");
    // A program is told in the envelope.
    node.api.get("/ui/done/nothing").await.is_no(404, "resource_not_found");
}

#[tokio::test]
async fn nothing_leads_to_what_a_request_calls_the_server() {
    let issuer = Issuer::start().await;
    let node = issuer.known_as("acme", Node::prepare()).start().await;
    let back = "https://app.example.com/auth/callback";
    node.configure(json!({ "redirectUrls": [back] })).await;
    let poisoned = |method: Method, path: &str| {
        let request = node.api.request(method, path).header("Accept", "text/html,*/*;q=0.8");
        request
            .header("Host", "evil.example")
            .header("X-Forwarded-Host", "evil.example")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Prefix", "//evil.example")
            .header("X-Original-URL", "//evil.example/")
            .header("X-Rewrite-URL", "//evil.example/")
            .header("Forwarded", "host=evil.example;proto=https")
            .header("Referer", "https://evil.example/")
    };
    let start = format!("/auth/oauth/acme?redirect_uri={back}");
    let others =
        ["/ui/account", "/ui/nowhere", "/docs", "/openapi.json", "//evil.example/ui/sign-in"];
    for path in PAGES.into_iter().chain(others).chain([start.as_str()]) {
        let page = answer(poisoned(Method::GET, path)).await;
        let told = format!("{:?} {}", page.headers, page.text);
        assert!(!told.contains("evil.example") || path.contains("evil"), "{path}: {told}");
        let location = page.header("location");
        let is_ours = location.is_empty()
            || location.starts_with("/ui/")
            || location.starts_with(issuer.base());
        assert!(is_ours, "{path}: {location}");
    }
    let departure = answer(poisoned(Method::GET, &start)).await;
    let departure: Url = departure.header("location").parse().expect("a URL");
    let ours = "http://localhost:3000/auth/oauth/acme/callback";
    assert_eq!(parameter(&departure, "redirect_uri"), ours);
}

#[tokio::test]
async fn what_people_call_themselves_and_their_things_is_shown_as_text() {
    let node = Node::start().await;
    let html = "<script>alert(1)</script>\"onload='x'";
    node.configure(json!({ "mail": { "brand": html } })).await;
    let body = json!({ "email": "alice@example.com", "password": PASSWORD, "firstName": html });
    let registered = node.api.post("/auth/register", body).await.is_yes(201);
    let session = Session::of(&node.api, registered.data());
    let (_, passkey) = session.registers_a_passkey().await;
    let path = format!("/passkeys/{passkey}");
    let renamed = session.request(Method::PATCH, &path).json(&json!({ "name": html }));
    answer(renamed).await.is_yes(200);
    let login = json!({ "email": "alice@example.com", "password": PASSWORD,
        "deviceInfo": { "userAgent": html } });
    node.api.post("/auth/login", login).await.is_yes(200);
    for name in ["A\r\nSet-Cookie: a=b", "A\nB", "A\u{0}B"] {
        let refused = session.put("/users/me", json!({ "firstName": name })).await;
        refused.is_no(400, "validation_error");
    }
    let mut visitor = Visitor::opens(&node, "/ui/sign-in").await;
    let fields = [("email", "alice@example.com"), ("password", PASSWORD)];
    visitor.submits("/ui/sign-in", &fields).await;
    for path in ["/ui/account", "/ui/passkeys", "/ui/sign-up", "/ui/forgot", "/ui/magic-link"] {
        visitor.goes_to(path).await;
        assert!(!visitor.page.text.contains("<script>alert"), "{path}: {}", visitor.page.text);
        assert!(!visitor.page.text.contains("onload='x'"), "{path}: {}", visitor.page.text);
    }
    // What was typed comes back as it was typed, and as text.
    visitor.posts("/ui/magic-link/send", &[("email", html)]).await;
    assert_eq!(visitor.page.status, 400);
    visitor.reads("&#60;script&#62;alert(1)");
    assert!(!visitor.page.text.contains("<script>alert"), "{}", visitor.page.text);
}
