//! Every error that the endpoints document can be met: one scenario for each code, and none missing.

use std::collections::BTreeSet;

use janua_http::error::Code;
use janua_tests::breaches::{BREACHED, Breaches};
use janua_tests::browser::{location, parameter};
use janua_tests::issuer::Issuer;
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::{Browser, Node, Response, Session};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Codes that no request can bring about on a healthy node of this version, each with its reason.
const OUT_OF_REACH: [(&str, &str); 1] = [("internal_error", "a bug; there is none to show")];

#[tokio::test]
async fn every_documented_error_can_be_met_with_its_status() {
    let met = [
        of_bodies().await,
        of_credentials().await,
        of_tenants().await,
        of_sessions().await,
        of_second_factors().await,
        of_providers().await,
        of_breaches().await,
        of_overload().await,
    ];
    let met: BTreeSet<(u16, String)> = met.into_iter().flatten().collect();
    let documented: BTreeSet<_> = janua_http::api::endpoints()
        .iter()
        .flat_map(|endpoint| endpoint.codes())
        .filter(|code| OUT_OF_REACH.iter().all(|(known, _)| *known != code.as_str()))
        .map(|code: Code| (code.status().as_u16(), code.as_str().to_owned()))
        .collect();
    let unmet: Vec<_> = documented.difference(&met).collect();
    assert!(unmet.is_empty(), "documented, but never met: {unmet:?}");
}

fn met(answer: Response) -> (u16, String) {
    assert!(!answer.code().is_empty(), "{}", answer.text);
    (answer.status, answer.code().to_owned())
}

async fn of_bodies() -> Vec<(u16, String)> {
    let node =
        Node::with("http.max_body_bytes", 1024).with("http.body_timeout", "300ms").start().await;
    let alice = node.register("alice").await;
    let post = || node.api.request(Method::POST, "/auth/login");
    vec![
        met(node.api.post("/auth/login", json!({})).await),
        met(answer(post().body("{}")).await),
        met(answer(post().header("X-Large", "x".repeat(20_000))).await),
        met(answer(post().json(&json!({ "email": "x".repeat(2000) }))).await),
        unfinished_body(&node).await,
        met(alice.session.delete("/sessions/nobodys").await),
        met(node.api.get("/auth/login").await),
        met(node.api.registration(&alice.email, PASSWORD).await),
        met(node.api.registration("bob@example.com", "password1").await),
        idempotency_conflict(&node).await,
    ]
}

async fn idempotency_conflict(node: &Node) -> (u16, String) {
    let login = |email: &str| {
        let request =
            node.api.request(Method::POST, "/auth/login").header("Idempotency-Key", "one");
        request.json(&json!({ "email": email, "password": PASSWORD }))
    };
    answer(login("alice@example.com")).await.is_yes(200);
    met(answer(login("bob@example.com")).await)
}

async fn of_credentials() -> Vec<(u16, String)> {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut found = vec![met(node.api.get("/users/me").await), met(node.api.me("nonsense").await)];
    for _ in 0..6 {
        found.push(met(alice.guesses("Wrong-river-11!").await));
    }
    let bob = node.register("bob").await;
    answer(node.server(Method::POST, &format!("/users/{}/suspend", bob.id))).await.is_yes(200);
    found.push(met(bob.guesses(PASSWORD).await));
    found
}

async fn of_tenants() -> Vec<(u16, String)> {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let request = alice.session.request(Method::GET, "/users/me");
    let operator = node.keys().operator;
    let default = node.api.request(Method::POST, "/admin/tenants").bearer_auth(&operator);
    let backup = node.api.request(Method::GET, "/admin/backup").bearer_auth(&operator);
    vec![
        met(answer(default.json(&json!({ "slug": "default" }))).await),
        met(answer(backup).await),
        met(answer(request.header("X-Tenant-ID", "ten_other")).await),
        met(answer(alice.session.request(Method::GET, "/admin/tenants/default")).await),
    ]
}

async fn of_sessions() -> Vec<(u16, String)> {
    let node = Node::with("tokens.access_ttl", "10s").start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    phone.logs_out().await;
    let revoked = met(phone.refresh().await);
    let expired = janua_tests::wait::until("the access token has run out", async || {
        let me = alice.session.me().await;
        (me.status == 401).then_some(me)
    });
    vec![revoked, reused_token(&node).await, met(expired.await)]
}

async fn of_second_factors() -> Vec<(u16, String)> {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let stale = alice.logs_in().await;
    let app = alice.enrols_an_app().await;
    let token = alice.shows_a_password().await;
    vec![
        met(node.api.shows_code(&token, &app.wrong_code()).await),
        met(stale.post("/auth/passkeys/register/begin", json!({})).await),
    ]
}

async fn of_breaches() -> Vec<(u16, String)> {
    let breaches = Breaches::start().await;
    let node = Node::with("passwords.breach_url", breaches.url()).start().await;
    node.configure(json!({ "passwords": { "breachCheck": true } })).await;
    vec![met(node.api.registration("eve@example.com", BREACHED).await)]
}

/// A refresh token that has been followed by two others.
async fn reused_token(node: &Node) -> (u16, String) {
    let bob = node.register("bob").await;
    bob.session.refreshes().await.refreshes().await;
    met(bob.session.refresh().await)
}

async fn of_providers() -> Vec<(u16, String)> {
    let issuer = Issuer::start().await;
    let page = "https://app.example.com/";
    let setup = issuer.known_as("acme", Node::with("sessions.fresh", "10s"));
    let node = setup.with("oauth.acme.redirect_uris", page).start().await;
    let alice = node.register("alice").await;
    let mut found = Vec::new();
    for (email, verified) in [(Some("alice@example.com"), false), (None, false)] {
        let claims = json!({ "sub": "a", "email": email, "email_verified": verified });
        found.push(met(arrives(&node, &issuer, page, claims).await));
    }
    let eve = json!({ "sub": "eve", "email": "eve@example.com", "email_verified": true });
    let eve = arrives(&node, &issuer, page, eve).await.is_yes(200);
    let eve = Session::of(&node.api, eve.data());
    found.push(met(eve.delete("/users/me/identities/acme").await));
    let other = json!({ "sub": "other", "email": "eve@example.com", "email_verified": true });
    found.push(met(arrives(&node, &issuer, page, other).await));
    let old = janua_tests::wait::until("a session is old", async || {
        let body = json!({ "redirectUri": page });
        let answer = alice.session.post("/auth/oauth/acme/link", body).await;
        (answer.status == 403).then_some(answer)
    });
    found.push(met(old.await));
    found
}

async fn arrives(node: &Node, issuer: &Issuer, page: &str, claims: Value) -> Response {
    let path = format!("/auth/oauth/acme?redirect_uri={page}");
    let departure = location(&Browser::new(&node.api).visits(&path).await);
    let back = issuer.agrees(&departure, &claims);
    let (code, state) = (parameter(&back, "code"), parameter(&back, "state"));
    let body = json!({ "code": code, "state": state });
    node.api.post("/auth/oauth/acme/callback", body).await
}

async fn of_overload() -> Vec<(u16, String)> {
    let limited = Node::with("limits.api", "1/day").start().await;
    let alice = limited.register("alice").await;
    alice.session.me().await;
    // A hash takes so long here that five dozen of them wait longer than anybody should.
    let busy = Node::with("passwords.memory_kib", 131_072).start().await;
    busy.register("alice").await;
    let api = busy.api.clone();
    let answers = janua_tests::at_once(64, |number| {
        let api = api.clone();
        async move { api.login(&format!("nobody-{number}@example.com"), PASSWORD).await }
    });
    let refused = answers.await.into_iter().find(|answer| answer.status == 503);
    let refused = refused.expect("five dozen hashes do not fit");
    assert!(!refused.header("retry-after").is_empty(), "{:?}", refused.headers);
    vec![met(alice.session.me().await), met(refused)]
}

/// A body that is announced and does not come.
async fn unfinished_body(node: &Node) -> (u16, String) {
    let mut slow = TcpStream::connect(node.api.address()).await.expect("a connection");
    let head = "POST /auth/login HTTP/1.1\r\nHost: janua\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n";
    slow.write_all(head.as_bytes()).await.expect("it is sent");
    let mut text = String::new();
    slow.read_to_string(&mut text).await.expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    let body: serde_json::Value = serde_json::from_str(body).expect("an envelope");
    (status, body["error"]["code"].as_str().expect("a code").to_owned())
}
