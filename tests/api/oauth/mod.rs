//! Signing in through other providers.

mod accounts;
mod exchange;
mod flows;
mod github;
mod links;
mod microsoft;
mod tokens;
mod traps;

use janua_tests::browser::{location, parameter};
use janua_tests::issuer::Issuer;
use janua_tests::node::answer;
use janua_tests::{Browser, Node, Response, Session};
use reqwest::{Method, Url};
use serde_json::{Value, json};

/// A page of the tenant's.
const PAGE: &str = "https://app.example.com/auth/callback";

/// Where the pages and programs of this test are told that the server is.
const HERE: &str = "http://localhost:3000";

/// A node that knows an issuer as `acme`, and the issuer.
async fn scene() -> (Node, Issuer) {
    let issuer = Issuer::start().await;
    let node = issuer.known_as("acme", Node::prepare()).start().await;
    node.has_agreed().await;
    configures(&node, json!({ "redirectUrls": [PAGE] })).await;
    (node, issuer)
}

/// The operator changes the settings of the tenant.
async fn configures(node: &Node, settings: Value) {
    let request = node.api.request(Method::PATCH, "/admin/tenants/default");
    let request = request.bearer_auth(node.keys().operator);
    answer(request.json(&json!({ "settings": settings }))).await.is_yes(200);
}

/// What a provider says of Alice.
fn alice() -> Value {
    json!({
        "sub": "alice-1",
        "email": "alice@example.com",
        "email_verified": true,
        "given_name": "Alice",
        "family_name": "Liddell",
    })
}

/// Somebody else, with the same address.
fn changed(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    claims
}

/// The browser goes to `acme`; where it is sent.
async fn departs(browser: &mut Browser) -> Url {
    departs_to(browser, "acme").await
}

async fn departs_to(browser: &mut Browser, provider: &str) -> Url {
    let path = format!("/auth/oauth/{provider}?redirect_uri={PAGE}&state=page-state");
    location(&browser.visits(&path).await)
}

/// What a page posts that got the code and the state.
fn body(back: &Url) -> Value {
    json!({ "code": parameter(back, "code"), "state": parameter(back, "state") })
}

/// A page posts what the provider sent the browser back with.
async fn posts(node: &Node, back: &Url) -> Response {
    node.api.post("/auth/oauth/acme/callback", body(back)).await
}

/// Somebody with these claims signs in, by a page that posts.
async fn signs_in(node: &Node, issuer: &Issuer, claims: &Value) -> Response {
    let mut browser = Browser::new(&node.api);
    let departure = departs(&mut browser).await;
    posts(node, &issuer.agrees(&departure, claims)).await
}

/// The same, where it must succeed.
async fn session_of(node: &Node, issuer: &Issuer, claims: &Value) -> Session {
    let answer = signs_in(node, issuer, claims).await.is_yes(200);
    Session::of(&node.api, answer.data())
}

/// The ways in that a user has beside a password.
async fn identities(session: &Session) -> Vec<Value> {
    let answer = session.get("/users/me/identities").await.is_yes(200);
    answer.data()["identities"].as_array().expect("a list").clone()
}
