//! Codes that a page turns into the login that a redirect has completed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use janua_storage::secret::SecretHash;
use janua_tests::browser::{location, parameter};
use janua_tests::issuer::Issuer;
use janua_tests::people::PASSWORD;
use janua_tests::visitor::Visitor;
use janua_tests::{Browser, Node, Response, Session, at_once};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{PAGE, configures, scene};

#[tokio::test]
async fn a_code_that_never_was_becomes_no_session() {
    let node = Node::start().await;
    for code in ["nonsense".to_owned(), format!("code_1_{}", "x".repeat(43))] {
        let answer = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
        answer.is_no(401, "invalid_token");
    }
    node.api.post("/auth/oauth/exchange", json!({})).await.is_no(400, "validation_error");
}

const VERIFIER: &str = "a-verifier-of-forty-three-letters-and-more-0123";

/// What an application sends along that exchanges the code itself (RFC 7636 §4.2).
fn challenge_of(verifier: &str) -> String {
    let digest = URL_SAFE_NO_PAD.encode(SecretHash::of(verifier).0);
    format!("code_challenge={digest}&code_challenge_method=S256")
}

/// The address of a page for the application's login, with its challenge.
fn page(path: &str) -> String {
    let challenge = challenge_of(VERIFIER);
    format!("{path}?redirect_uri={PAGE}&state=page-state&{challenge}")
}

/// The code with which a page leaves for the application.
#[track_caller]
fn code_of(visitor: &Visitor) -> String {
    let landed: Url = visitor.leaves_for().parse().expect("a URL");
    assert_eq!(parameter(&landed, "state"), "page-state", "{landed}");
    assert_eq!(parameter(&landed, "code_challenge"), "", "{landed}");
    parameter(&landed, "code")
}

async fn exchanges(node: &Node, code: &str, verifier: Option<&str>) -> Response {
    let mut body = json!({ "code": code });
    if let Some(verifier) = verifier {
        body["codeVerifier"] = verifier.into();
    }
    node.api.post("/auth/oauth/exchange", body).await
}

/// The code is for whoever knows the verifier, once.
async fn is_for_the_verifier(node: &Node, code: &str) {
    let entered = exchanges(node, code, Some(VERIFIER)).await.is_yes(200);
    Session::of(&node.api, entered.data()).is_alive().await;
    exchanges(node, code, Some(VERIFIER)).await.is_no(401, "token_used");
}

async fn signs_in_at(node: &Node, path: &str, email: &str) -> Visitor {
    let mut visitor = Visitor::opens(node, path).await;
    visitor.submits("/ui/sign-in", &[("email", email), ("password", PASSWORD)]).await;
    visitor
}

#[tokio::test]
async fn a_code_that_was_asked_for_with_a_challenge_is_for_whoever_knows_the_verifier() {
    let (node, _issuer) = scene().await;
    let alice = node.register("alice").await;
    let code = async || code_of(&signs_in_at(&node, &page("/ui/sign-in"), &alice.email).await);
    is_for_the_verifier(&node, &code().await).await;
    let other = VERIFIER.replace('a', "b");
    let long = "a".repeat(129);
    for wrong in [None, Some(other.as_str()), Some("short"), Some(""), Some(long.as_str())] {
        let code = code().await;
        exchanges(&node, &code, wrong).await.is_no(401, "invalid_token");
        // Nobody guesses twice.
        exchanges(&node, &code, Some(VERIFIER)).await.is_no(401, "token_used");
    }
    let live = alice.session.list().await.len();
    assert_eq!(live, 2, "what nobody has taken over is over: only the first was");
    let body = json!({ "code": code().await, "code_verifier": VERIFIER });
    node.api.post("/auth/oauth/exchange", body).await.is_yes(200);
    let code = code().await;
    let answers = at_once(16, |_| {
        let (api, body) = (node.api.clone(), json!({ "code": code, "codeVerifier": VERIFIER }));
        async move { api.post("/auth/oauth/exchange", body).await }
    });
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status)), "{answers:?}");
}

#[tokio::test]
async fn a_verifier_for_a_code_without_a_challenge_shows_that_somebody_has_taken_it_away() {
    let (node, _issuer) = scene().await;
    let alice = node.register("alice").await;
    let plain = format!("/ui/sign-in?redirect_uri={PAGE}&state=page-state");
    let code = async || code_of(&signs_in_at(&node, &plain, &alice.email).await);
    exchanges(&node, &code().await, None).await.is_yes(200);
    let code = code().await;
    exchanges(&node, &code, Some(VERIFIER)).await.is_no(401, "invalid_token");
    exchanges(&node, &code, None).await.is_no(401, "token_used");
}

#[tokio::test]
async fn only_s256_is_a_challenge() {
    let (node, _issuer) = scene().await;
    let digest = challenge_of(VERIFIER);
    let plain = format!("code_challenge={VERIFIER}&code_challenge_method=plain");
    let bare = digest.split('&').next().expect("a challenge").to_owned();
    let twice = format!("{digest}&{bare}");
    for wrong in [plain, bare, twice, "code_challenge_method=S256".into()] {
        for path in ["/ui/sign-in", "/ui/sign-up", "/ui/magic-link", "/auth/oauth/acme"] {
            let path = format!("{path}?redirect_uri={PAGE}&{wrong}");
            node.api.get(&path).await.is_no(400, "validation_error");
        }
    }
}

#[tokio::test]
async fn while_some_node_does_not_understand_challenges_nothing_begins_with_one() {
    let issuer = Issuer::start().await;
    let setup = issuer.known_as("acme", Node::prepare()).with("cluster.speak_as", 1);
    let node = setup.start().await;
    configures(&node, json!({ "redirectUrls": [PAGE] })).await;
    for path in ["/ui/sign-in", "/ui/sign-up", "/ui/magic-link", "/auth/oauth/acme"] {
        node.api.get(&page(path)).await.is_no(503, "service_unavailable");
        let plain = node.api.get(&format!("{path}?redirect_uri={PAGE}")).await;
        assert!([200, 302].contains(&plain.status), "{path}: {}", plain.text);
    }
    let alice = node.register("alice").await;
    let plain = format!("/ui/sign-in?redirect_uri={PAGE}&state=page-state");
    let code = code_of(&signs_in_at(&node, &plain, &alice.email).await);
    exchanges(&node, &code, None).await.is_yes(200);
}

#[tokio::test]
async fn a_challenge_goes_along_with_the_visit_whichever_way_it_takes() {
    let (node, issuer) = scene().await;
    // By signing up.
    let mut visitor = Visitor::opens(&node, &page("/ui/sign-up")).await;
    let fields = [("email", "newcomer@example.com"), ("password", PASSWORD)];
    visitor.posts("/ui/sign-up", &fields).await;
    is_for_the_verifier(&node, &code_of(&visitor)).await;
    // From the mail that verifies the address, back to where one signs in.
    let link = node.mail_to("newcomer@example.com").await.link;
    assert!(link.contains(&challenge_of(VERIFIER)), "{link}");
    // By the second factor.
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let mut visitor = signs_in_at(&node, &page("/ui/sign-in"), &alice.email).await;
    visitor.posts("/ui/mfa", &[("method", "totp"), ("code", &app.code().await)]).await;
    is_for_the_verifier(&node, &code_of(&visitor)).await;
    // By a mailed link, in the browser in which it was asked for.
    let bob = node.register("bob").await;
    let mut visitor = Visitor::opens(&node, &page("/ui/magic-link")).await;
    visitor.submits("/ui/magic-link/send", &[("email", &bob.email)]).await;
    let link: Url = node.mail_to(&bob.email).await.link.parse().expect("a URL");
    let opened = format!("{}?{}", link.path(), link.query().unwrap_or_default());
    visitor.goes_to(&opened).await;
    visitor.posts("/ui/magic-link", &[]).await;
    is_for_the_verifier(&node, &code_of(&visitor)).await;
    // Through a provider.
    let mut visitor = Visitor::opens(&node, &page("/ui/sign-in")).await;
    visitor.posts("/ui/provider", &[]).await;
    let departure: Url = visitor.leaves_for().parse().expect("a URL");
    let mut back = issuer.agrees(&departure, &alice_at_acme());
    for _ in 0..2 {
        let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
        let request = visitor.request(Method::GET, &path);
        visitor.receives(request).await;
        if visitor.page.status == 302 {
            back = location(&visitor.page);
        }
    }
    is_for_the_verifier(&node, &code_of(&visitor)).await;
}

/// Somebody of whom only the provider knows so far.
fn alice_at_acme() -> Value {
    json!({ "sub": "carol-1", "email": "carol@example.com", "email_verified": true })
}

#[tokio::test]
async fn a_page_that_is_led_back_to_by_a_provider_may_ask_with_a_challenge_too() {
    let (node, issuer) = scene().await;
    let code = async |query: &str| {
        let mut browser = Browser::new(&node.api);
        let path = format!("/auth/oauth/acme?redirect_uri={PAGE}&state=s&{query}");
        let back = issuer.agrees(&location(&browser.visits(&path).await), &alice_at_acme());
        let landed = location(&browser.asks(back.as_str()).await);
        assert_eq!(parameter(&landed, "state"), "s", "{landed}");
        parameter(&landed, "code")
    };
    let challenge = challenge_of(VERIFIER);
    is_for_the_verifier(&node, &code(&challenge).await).await;
    let stolen = code(&challenge).await;
    exchanges(&node, &stolen, None).await.is_no(401, "invalid_token");
    exchanges(&node, &stolen, Some(VERIFIER)).await.is_no(401, "token_used");
    exchanges(&node, &code("").await, None).await.is_yes(200);
}

#[tokio::test]
async fn a_page_that_brings_the_code_itself_shows_its_verifier() {
    let (node, issuer) = scene().await;
    let brings = async |query: &str, verifier: Option<&str>| {
        let mut browser = Browser::new(&node.api);
        let path = format!("/auth/oauth/acme?redirect_uri={PAGE}&state=s&{query}");
        let back = issuer.agrees(&location(&browser.visits(&path).await), &alice_at_acme());
        let mut body =
            json!({ "code": parameter(&back, "code"), "state": parameter(&back, "state") });
        if let Some(verifier) = verifier {
            body["codeVerifier"] = verifier.into();
        }
        let ends = async || node.api.post("/auth/oauth/acme/callback", body.clone()).await;
        (ends().await, ends().await)
    };
    let challenge = challenge_of(VERIFIER);
    for wrong in [None, Some("another-verifier-of-forty-three-letters-and-more")] {
        let (first, second) = brings(&challenge, wrong).await;
        first.is_no(401, "invalid_token");
        second.is_no(401, "token_used");
    }
    brings("", Some(VERIFIER)).await.0.is_no(401, "invalid_token");
    brings(&challenge, Some(VERIFIER)).await.0.is_yes(200);
    brings("", None).await.0.is_yes(200);
}
