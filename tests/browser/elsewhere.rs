//! Mailed links that are opened in another browser than they were asked for in: anybody can ask for one,
//! with a state and a challenge that its reader knows nothing of.

use janua_tests::visitor::Visitor;
use janua_tests::{Node, Session};
use serde_json::json;

use crate::mail::link_to;

const BACK: &str = "https://app.example.com/auth/callback";

// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The challenge of a stranger's own verifier.
const STRANGERS: &str = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

async fn node_with_application() -> Node {
    let node = Node::start().await;
    node.configure(json!({ "redirectUrls": [BACK] })).await;
    node
}

fn at(page: &str, state: &str, challenge: &str) -> String {
    let bound = format!("code_challenge={challenge}&code_challenge_method=S256");
    format!("{page}?redirect_uri={BACK}&state={state}&{bound}")
}

#[tokio::test]
async fn the_login_is_the_reader_s_whoever_has_asked_for_the_link() {
    let node = node_with_application().await;
    let alice = node.register("alice").await;
    let mut stranger = Visitor::opens(&node, &at("/ui/magic-link", "strangers", STRANGERS)).await;
    stranger.submits("/ui/magic-link/send", &[("email", &alice.email)]).await;
    let link = link_to(&node, "/ui/magic-link", &alice.email).await;
    let mut owner = Visitor::opens(&node, &link).await;
    owner.submits("/ui/magic-link", &[]).await;
    owner.reads_heading("Your account");
    owner.reads("Continue to app.example.com");
    assert!(!owner.page.text.contains("strangers"), "{}", owner.page.text);
    owner.link("https://app.example.com/");
    // The application sends them back with what it waits for itself.
    owner.goes_to(&at("/ui/sign-in", "own", CHALLENGE)).await;
    owner.reads("Continue as alice@example.com");
    let mut other_tab = owner.clone();
    owner.posts("/ui/continue", &[]).await;
    let end = owner.leaves_for();
    let code = end.strip_prefix(&format!("{BACK}?code=")).and_then(|end| end.split_once('&'));
    let (code, rest) = code.unwrap_or_else(|| panic!("no code: {end}"));
    assert_eq!(rest, "state=own");
    let body = json!({ "code": code, "codeVerifier": VERIFIER });
    let exchanged = node.api.post("/auth/oauth/exchange", body).await.is_yes(200);
    let session = Session::of(&node.api, exchanged.data());
    assert_eq!(owner.cookie("janua-session"), None, "it is the application's now");
    other_tab.submits("/ui/continue", &[]).await;
    other_tab.reads_heading("Sign in");
    assert_eq!(other_tab.cookie("janua-session"), None, "what it knew is worth nothing");
    session.is_alive().await;
}

#[tokio::test]
async fn in_the_browser_that_has_asked_for_it_a_link_leads_to_the_application() {
    let node = node_with_application().await;
    let alice = node.register("alice").await;
    let mut own = Visitor::opens(&node, &at("/ui/magic-link", "own", CHALLENGE)).await;
    own.submits("/ui/magic-link/send", &[("email", &alice.email)]).await;
    own.goes_to(&link_to(&node, "/ui/magic-link", &alice.email).await).await;
    own.submits("/ui/magic-link", &[]).await;
    assert!(own.leaves_for().ends_with("&state=own"), "{}", own.page.text);
}

#[tokio::test]
async fn a_reset_that_a_stranger_has_asked_for_leads_to_no_application_of_theirs() {
    let node = node_with_application().await;
    let alice = node.register("alice").await;
    let mut stranger = Visitor::opens(&node, &at("/ui/forgot", "strangers", STRANGERS)).await;
    stranger.submits("/ui/forgot", &[("email", &alice.email)]).await;
    let mut owner = Visitor::opens(&node, &link_to(&node, "/ui/reset", &alice.email).await).await;
    owner.submits("/ui/reset", &[("password", "Eight-loud-rivers-93!")]).await;
    owner.reads_heading("Your password is changed");
    let sign_in = owner.link("/ui/sign-in");
    assert!(!sign_in.contains("strangers") && !sign_in.contains("challenge"), "{sign_in}");
    assert!(sign_in.contains("application="), "{sign_in}");
}
