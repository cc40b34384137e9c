//! Linking and unlinking, from inside.

use janua_tests::browser::{location, parameter};
use janua_tests::issuer::Issuer;
use janua_tests::people::PASSWORD;
use janua_tests::response::has_exactly;
use janua_tests::{Browser, Node, Response, Session};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::{
    PAGE, alice, body, changed, configures, identities, posts, scene, session_of, signs_in,
};

async fn asks_to_link(session: &Session, password: Option<&str>) -> Response {
    let body = json!({ "redirectUri": PAGE, "state": "s", "password": password });
    session.post("/auth/oauth/acme/link", body).await
}

async fn goes_to_link(session: &Session, issuer: &Issuer, claims: &Value) -> (Response, Url) {
    let answer = asks_to_link(session, None).await.is_yes(200);
    let departure: Url = answer.text_of("authorizationUrl").parse().expect("a URL");
    let back = issuer.agrees(&departure, claims);
    (answer, back)
}

fn of_session(session: &Session, path: &str, body: Value) -> reqwest::RequestBuilder {
    session.request(Method::POST, path).json(&body)
}

async fn completes(session: &Session, back: &Url) -> Response {
    session.post("/auth/oauth/acme/callback", body(back)).await
}

#[tokio::test]
async fn a_page_links_a_provider_and_it_becomes_a_way_in() {
    let (node, issuer) = scene().await;
    let bob = node.register("bob").await;
    let (_, back) = goes_to_link(&bob.session, &issuer, &alice()).await;
    let answer = completes(&bob.session, &back).await.is_yes(200);
    assert_eq!(answer.data()["isNewUser"], false);
    assert!(answer.data().get("session").is_none(), "{}", answer.text);
    let linked = identities(&bob.session).await;
    assert_eq!(linked.len(), 1);
    let fields = ["provider", "subject", "email", "emailVerified", "linkedAt", "lastUsedAt"];
    has_exactly(&linked[0], &fields);
    assert_eq!(
        (&linked[0]["provider"], &linked[0]["subject"]),
        (&"acme".into(), &"alice-1".into())
    );
    let entered = signs_in(&node, &issuer, &alice()).await.is_yes(200);
    assert_eq!(entered.text_of("user.id"), bob.id);
    // Another's address verifies nothing.
    assert_eq!(bob.session.me().await.data()["emailVerified"], false);
}

#[tokio::test]
async fn a_browser_that_asked_for_a_link_gets_it_at_once() {
    let (node, issuer) = scene().await;
    let user = node.register("alice").await;
    let (answer, back) = goes_to_link(&user.session, &issuer, &alice()).await;
    let mut browser = Browser::new(&node.api);
    browser.keeps_cookies_of(&answer);
    let landed = location(&browser.asks(back.as_str()).await);
    assert_eq!(
        (parameter(&landed, "linked"), parameter(&landed, "state")),
        ("acme".into(), "s".into())
    );
    assert_eq!(identities(&user.session).await.len(), 1);
    assert_eq!(user.session.me().await.data()["emailVerified"], true, "her own address");
}

#[tokio::test]
async fn a_page_elsewhere_completes_a_link_by_its_code() {
    let (node, issuer) = scene().await;
    let (bob, eve) = (node.register("bob").await, node.register("eve").await);
    let (_, back) = goes_to_link(&bob.session, &issuer, &alice()).await;
    let landed = location(&Browser::new(&node.api).asks(back.as_str()).await);
    let code = json!({ "code": parameter(&landed, "code") });
    assert_eq!(identities(&bob.session).await.len(), 0);
    let exchange = "/auth/oauth/exchange";
    node.api.post(exchange, code.clone()).await.is_no(401, "authentication_required");
    eve.session.post(exchange, code.clone()).await.is_no(401, "invalid_token");
    let other = bob.logs_in().await;
    other.post(exchange, code.clone()).await.is_no(401, "invalid_token");
    // A page that shows a verifier with every code does so here too: the session is what binds it.
    let mut shown = code.clone();
    shown["codeVerifier"] = "a-verifier-of-forty-three-letters-and-more-0123".into();
    let answer = bob.session.post(exchange, shown).await.is_yes(200);
    assert_eq!(answer.data()["identity"]["provider"], "acme");
    bob.session.post(exchange, code).await.is_no(401, "token_used");
    assert_eq!(
        (identities(&bob.session).await.len(), identities(&eve.session).await.len()),
        (1, 0)
    );
}

#[tokio::test]
async fn nobody_links_for_another() {
    let (node, issuer) = scene().await;
    let (bob, eve) = (node.register("bob").await, node.register("eve").await);
    let (_, back) = goes_to_link(&eve.session, &issuer, &alice()).await;
    completes(&bob.session, &back).await.is_no(401, "invalid_token");
    posts(&node, &back).await.is_no(401, "authentication_required");
    let gone = eve.logs_in().await;
    let (_, late) = goes_to_link(&gone, &issuer, &alice()).await;
    gone.logs_out().await;
    completes(&gone, &late).await.is_no(401, "authentication_required");
    assert_eq!(identities(&eve.session).await.len(), 0);
}

#[tokio::test]
async fn what_is_linked_is_not_linked_twice() {
    let (node, issuer) = scene().await;
    let owner = session_of(&node, &issuer, &alice()).await;
    let bob = node.register("bob").await;
    let (_, back) = goes_to_link(&bob.session, &issuer, &alice()).await;
    completes(&bob.session, &back).await.is_no(409, "identity_already_linked");
    let second = changed(&alice(), json!({ "sub": "alice-2" }));
    let (_, back) = goes_to_link(&owner, &issuer, &second).await;
    completes(&owner, &back).await.is_no(409, "identity_already_linked");
    let (_, back) = goes_to_link(&owner, &issuer, &alice()).await;
    completes(&owner, &back).await.is_yes(200);
    assert_eq!(identities(&owner).await.len(), 1);
}

#[tokio::test]
async fn the_last_way_in_stays_open() {
    let (node, issuer) = scene().await;
    let owner = session_of(&node, &issuer, &alice()).await;
    let path = "/users/me/identities/acme";
    owner.delete(path).await.is_no(409, "last_login_method");
    let bob = node.register("bob").await;
    bob.session.delete(path).await.is_no(404, "resource_not_found");
    let bobs = changed(&alice(), json!({ "sub": "bob-1", "email": "bob@example.com" }));
    let (_, back) = goes_to_link(&bob.session, &issuer, &bobs).await;
    completes(&bob.session, &back).await.is_yes(200);
    let answer = bob.session.delete(path).await.is_yes(200);
    assert_eq!(answer.body["message"], "Provider unlinked successfully");
    assert_eq!(identities(&bob.session).await, [] as [Value; 0]);
    bob.session.delete(path).await.is_no(404, "resource_not_found");
    bob.logs_in().await;
}

#[tokio::test]
async fn a_login_that_waits_for_its_page_ends_with_its_way_in() {
    let (node, issuer) = scene().await;
    let bob = node.register("bob").await;
    let bobs = changed(&alice(), json!({ "sub": "bob-1", "email": "bob@example.com" }));
    let (_, back) = goes_to_link(&bob.session, &issuer, &bobs).await;
    completes(&bob.session, &back).await.is_yes(200);
    let mut browser = Browser::new(&node.api);
    let back = issuer.agrees(&super::departs(&mut browser).await, &bobs);
    let landed = location(&browser.asks(back.as_str()).await);
    bob.session.delete("/users/me/identities/acme").await.is_yes(200);
    let code = json!({ "code": parameter(&landed, "code") });
    node.api.post("/auth/oauth/exchange", code).await.is_no(401, "invalid_token");
}

#[tokio::test]
async fn an_account_takes_its_identities_along() {
    let (node, issuer) = scene().await;
    let bob = node.register("bob").await;
    let (_, back) = goes_to_link(&bob.session, &issuer, &alice()).await;
    completes(&bob.session, &back).await.is_yes(200);
    let delete = json!({ "password": PASSWORD, "confirmation": "DELETE" });
    bob.session.delete_with("/users/me", delete).await.is_yes(200);
    let answer = signs_in(&node, &issuer, &alice()).await.is_yes(200);
    assert_eq!(answer.data()["isNewUser"], true);
}

#[tokio::test]
async fn a_wrong_password_links_nothing_and_a_repeated_request_leads_to_the_same_place() {
    let (node, _issuer) = scene().await;
    let bob = node.register("bob").await;
    let wrong = asks_to_link(&bob.session, Some("Wrong-river-11!")).await;
    wrong.is_no(401, "invalid_credentials");
    asks_to_link(&bob.session, Some(PASSWORD)).await.is_yes(200);
    let keyed = || {
        let body = json!({ "redirectUri": PAGE });
        let request = of_session(&bob.session, "/auth/oauth/acme/link", body);
        janua_tests::node::answer(request.header("Idempotency-Key", "one"))
    };
    let (first, second) = (keyed().await.is_yes(200), keyed().await.is_yes(200));
    assert_eq!(first.text_of("authorizationUrl"), second.text_of("authorizationUrl"));
    assert_eq!(first.header("set-cookie"), second.header("set-cookie"));
    let nowhere = json!({ "redirectUri": "https://evil.example/" });
    bob.session.post("/auth/oauth/acme/link", nowhere).await.is_no(400, "validation_error");
}

#[tokio::test]
async fn an_old_session_shows_the_password_before_it_changes_the_ways_in() {
    let issuer = Issuer::start().await;
    let setup = issuer.known_as("acme", Node::with("sessions.fresh", "1ms"));
    let node = setup.start().await;
    configures(&node, json!({ "redirectUrls": [PAGE] })).await;
    let bob = node.register("bob").await;
    asks_to_link(&bob.session, None).await.is_no(403, "reauthentication_required");
    let answer = asks_to_link(&bob.session, Some(PASSWORD)).await.is_yes(200);
    let departure: Url = answer.text_of("authorizationUrl").parse().expect("a URL");
    completes(&bob.session, &issuer.agrees(&departure, &alice())).await.is_yes(200);
    let path = "/users/me/identities/acme";
    bob.session.delete(path).await.is_no(403, "reauthentication_required");
    let password = json!({ "password": PASSWORD });
    bob.session.delete_with(path, password).await.is_yes(200);
}

#[tokio::test]
async fn links_are_a_matter_of_sessions() {
    let (node, _issuer): (Node, Issuer) = scene().await;
    let nobody = node.api.post("/auth/oauth/acme/link", json!({ "redirectUri": PAGE })).await;
    nobody.is_no(401, "authentication_required");
    node.api.get("/users/me/identities").await.is_no(401, "authentication_required");
}
