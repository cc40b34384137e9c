//! Signing in with another provider on the pages, and linking one to an account that was there.

use janua_tests::issuer::Issuer;
use janua_tests::people::PASSWORD;
use janua_tests::visitor::Visitor;
use janua_tests::{Node, Session};
use reqwest::{Method, Url};
use serde_json::{Value, json};

const BACK: &str = "https://app.example.com/auth/callback";

/// What the server calls itself, wherever it listens.
const HERE: &str = "http://localhost:3000";

/// A node that knows an issuer as `acme`, and the issuer.
async fn scene() -> (Node, Issuer) {
    let issuer = Issuer::start().await;
    let node = issuer.known_as("acme", Node::prepare()).start().await;
    node.configure(json!({ "redirectUrls": [BACK] })).await;
    (node, issuer)
}

fn alice() -> Value {
    json!({ "sub": "alice-1", "email": "alice@example.com", "email_verified": true })
}

/// The provider lets somebody in, and the browser comes back to its page.
async fn comes_back(visitor: &mut Visitor, issuer: &Issuer, claims: &Value) -> String {
    let departure: Url = visitor.leaves_for().parse().expect("an address");
    let back = issuer.agrees(&departure, claims).to_string();
    let request = visitor.request(Method::GET, back.strip_prefix(HERE).expect("it leads here"));
    visitor.receives(request).await;
    let page = visitor.page.header("location");
    page.strip_prefix(HERE).expect("it leads to a page of ours").to_owned()
}

#[tokio::test]
async fn a_provider_signs_somebody_in() {
    let (node, issuer) = scene().await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-in").await;
    visitor.reads("Continue with Acme");
    visitor.submits("/ui/provider", &[]).await;
    let page = comes_back(&mut visitor, &issuer, &alice()).await;
    visitor.goes_to(&page).await;
    visitor.reads_heading("Your account");
    visitor.reads("You are signed in as alice@example.com.");
    visitor.goes_to(&page).await;
    visitor.reads_heading("That did not work");
}

#[tokio::test]
async fn a_login_by_a_provider_ends_at_the_application() {
    let (node, issuer) = scene().await;
    let start = format!("/ui/sign-in?redirect_uri={BACK}&state=s1&lang=es");
    let mut visitor = Visitor::opens(&node, &start).await;
    visitor.submits("/ui/provider", &[]).await;
    let page = comes_back(&mut visitor, &issuer, &alice()).await;
    visitor.goes_to(&page).await;
    visitor.reads_heading("Has iniciado sesión");
    let end: Url = visitor.leaves_for().parse().expect("an address");
    let told: Vec<_> = end.query_pairs().into_owned().collect();
    assert_eq!((told[0].0.as_str(), &told[1]), ("code", &("state".into(), "s1".into())));
    let exchanged = node.api.post("/auth/oauth/exchange", json!({ "code": told[0].1 })).await;
    Session::of(&node.api, exchanged.is_yes(200).data()).is_alive().await;
}

#[tokio::test]
async fn an_account_that_was_there_is_linked_by_its_owner() {
    let (node, issuer) = scene().await;
    let owner = node.register("alice").await;
    let mut visitor = Visitor::opens(&node, "/ui/sign-in").await;
    visitor.submits("/ui/provider", &[]).await;
    let unverified = json!({ "sub": "alice-1", "email": owner.email, "email_verified": false });
    let page = comes_back(&mut visitor, &issuer, &unverified).await;
    visitor.goes_to(&page).await;
    visitor.reads_heading("You have an account already");
    let link = visitor.link("/ui/sign-in");
    assert!(link.contains("provider=acme"), "{link}");
    visitor.goes_to(&link).await;
    visitor.submits("/ui/sign-in", &[("email", &owner.email), ("password", PASSWORD)]).await;
    visitor.reads_heading("Link Acme");
    visitor.reads("You are signed in as alice@example.com.");
    visitor.submits("/ui/link", &[]).await;
    let page = comes_back(&mut visitor, &issuer, &unverified).await;
    visitor.goes_to(&page).await;
    visitor.reads_heading("Your account");
    visitor.reads("The provider was linked.");
    visitor.forgets();
    visitor.goes_to("/ui/sign-in").await;
    visitor.submits("/ui/provider", &[]).await;
    let page = comes_back(&mut visitor, &issuer, &unverified).await;
    visitor.goes_to(&page).await;
    visitor.reads("You are signed in as alice@example.com.");
}

#[tokio::test]
async fn nobody_is_signed_in_as_who_sent_them_an_address() {
    let (node, issuer) = scene().await;
    let mut mallory = Visitor::opens(&node, "/ui/sign-in").await;
    mallory.submits("/ui/provider", &[]).await;
    let page = comes_back(&mut mallory, &issuer, &alice()).await;
    let mut victim = Visitor::opens(&node, "/ui/sign-in").await;
    victim.goes_to(&page).await;
    assert_eq!(victim.page.status, 403);
    assert_eq!(victim.cookie("janua-session"), None);
    mallory.goes_to(&page).await;
    mallory.reads_heading("Your account");
}

/// What the provider sends the browser back with, as whoever sees that can post it.
fn seen(back: &str) -> Value {
    let back: Url = back.parse().expect("an address");
    let told: Vec<_> = back.query_pairs().into_owned().collect();
    Value::Object(told.into_iter().map(|(name, value)| (name, value.into())).collect())
}

#[tokio::test]
async fn what_is_seen_on_the_way_is_worth_nothing_outside_the_browser() {
    let (node, issuer) = scene().await;
    // The code of the provider.
    let mut visitor = Visitor::opens(&node, "/ui/sign-in").await;
    visitor.submits("/ui/provider", &[]).await;
    let departure: Url = visitor.leaves_for().parse().expect("an address");
    let stolen = seen(issuer.agrees(&departure, &alice()).as_str());
    let taken = node.api.post("/auth/oauth/acme/callback", stolen).await;
    taken.is_no(401, "invalid_token");
    // Ours, with which the browser is led on to the page.
    visitor.goes_to("/ui/sign-in").await;
    visitor.submits("/ui/provider", &[]).await;
    let page = comes_back(&mut visitor, &issuer, &alice()).await;
    let code = seen(&format!("{HERE}{page}"))["code"].clone();
    let taken = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
    taken.is_no(401, "invalid_token");
    visitor.goes_to(&page).await;
    visitor.reads_heading("That did not work");
    assert_eq!(visitor.cookie("janua-session"), None);
}
