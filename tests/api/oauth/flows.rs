//! The flows as the documents have them.

use std::time::Duration;

use janua_tests::browser::{location, parameter};
use janua_tests::issuer::Issuer;
use janua_tests::oidc_provider::OidcProvider;
use janua_tests::response::has_exactly;
use janua_tests::{Browser, Node, Session};
use reqwest::Url;
use serde_json::{Value, json};

use super::{HERE, PAGE, alice, body, configures, departs, posts, scene, signs_in};

#[tokio::test]
async fn the_known_providers_are_listed_and_the_configured_ones_enabled() {
    let (node, _issuer) = scene().await;
    let listed = node.api.get("/auth/oauth/providers").await.is_yes(200);
    let icon = |name| format!("https://cdn.janua.dev/icons/{name}.svg");
    let expected = json!({ "providers": [
        { "id": "google", "name": "Google", "enabled": false, "icon": icon("google") },
        { "id": "github", "name": "GitHub", "enabled": false, "icon": icon("github") },
        { "id": "microsoft", "name": "Microsoft", "enabled": false, "icon": icon("microsoft") },
        { "id": "acme", "name": "Acme", "enabled": true, "icon": null },
    ] });
    assert_eq!(*listed.data(), expected);
    configures(&node, json!({ "oauth": { "google": { "clientId": "x", "enabled": true } } })).await;
    let listed = node.api.get("/auth/oauth/providers").await;
    assert_eq!(listed.data()["providers"][0]["enabled"], true);
}

#[tokio::test]
async fn a_page_posts_the_code_and_gets_the_documented_answer() {
    let (node, issuer) = scene().await;
    let answer = signs_in(&node, &issuer, &alice()).await.is_yes(200);
    has_exactly(answer.data(), &["user", "session", "isNewUser"]);
    has_exactly(&answer.data()["user"], &["id", "email", "firstName", "lastName"]);
    has_exactly(&answer.data()["session"], &["accessToken", "refreshToken", "expiresAt"]);
    assert_eq!(answer.data()["isNewUser"], true);
    let session = Session::of(&node.api, answer.data());
    let me = session.me().await.is_yes(200);
    for (name, value) in [
        ("email", json!("alice@example.com")),
        ("firstName", json!("Alice")),
        ("lastName", json!("Liddell")),
        ("emailVerified", json!(true)),
    ] {
        assert_eq!(me.data()[name], value, "{name}");
    }
    let again = signs_in(&node, &issuer, &alice()).await.is_yes(200);
    assert_eq!(again.data()["isNewUser"], false);
    assert_eq!(again.data()["user"]["id"], answer.data()["user"]["id"]);
}

#[tokio::test]
async fn a_browser_is_led_back_to_its_page_with_a_code_that_becomes_the_session() {
    let (node, issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let departure = departs(&mut browser).await;
    let back = issuer.agrees(&departure, &alice());
    assert!(back.as_str().starts_with(&format!("{HERE}/auth/oauth/acme/callback?")), "{back}");
    let landed = location(&browser.asks(back.as_str()).await);
    assert!(landed.as_str().starts_with(&format!("{PAGE}?")), "{landed}");
    assert_eq!(parameter(&landed, "state"), "page-state");
    let code = parameter(&landed, "code");
    assert!(code.starts_with("code_"), "{landed}");
    assert!(!landed.as_str().contains("rt_") && !landed.as_str().contains("eyJ"), "{landed}");
    let exchange = || node.api.post("/auth/oauth/exchange", json!({ "code": code }));
    let answer = exchange().await.is_yes(200);
    has_exactly(answer.data(), &["user", "session", "requiresMfa", "isNewUser"]);
    assert_eq!(answer.data()["isNewUser"], true);
    Session::of(&node.api, answer.data()).is_alive().await;
    exchange().await.is_no(401, "token_used");
}

#[tokio::test]
async fn a_certified_issuer_is_understood() {
    let callback = format!("{HERE}/auth/oauth/acme/callback");
    let page = "http://localhost:5173/callback";
    let provider = OidcProvider::start(&[&callback, page], &alice());
    let setup = provider.known_as("acme", Node::prepare());
    let node = setup.with("oauth.acme.redirect_uris", page).start().await;
    configures(&node, json!({ "redirectUrls": [PAGE] })).await;

    let mut browser = Browser::new(&node.api);
    let start = |page: &str| format!("{HERE}/auth/oauth/acme?redirect_uri={page}&state=x");
    let landed = browser.follows(&start(PAGE), PAGE).await;
    assert_eq!((parameter(&landed, "error"), parameter(&landed, "state")), ("".into(), "x".into()));
    let code = json!({ "code": parameter(&landed, "code") });
    let answer = node.api.post("/auth/oauth/exchange", code).await.is_yes(200);
    assert_eq!(
        (&answer.data()["isNewUser"], &answer.data()["user"]["emailVerified"]),
        (&true.into(), &true.into())
    );

    let landed = browser.follows(&start(page), page).await;
    let answer = posts(&node, &landed).await.is_yes(200);
    assert_eq!(
        (&answer.data()["isNewUser"], &answer.data()["user"]["firstName"]),
        (&false.into(), &"Alice".into())
    );
}

#[tokio::test]
async fn a_tenant_s_own_provider_comes_before_the_deployment_s() {
    let (node, issuer) = scene().await;
    let own = json!({
        "clientId": "janua", "clientSecret": janua_tests::issuer::SECRET,
        "issuer": issuer.base(), "enabled": true,
    });
    configures(&node, json!({ "oauth": { "own": own, "acme": { "enabled": false } } })).await;
    let mut browser = Browser::new(&node.api);
    let off = format!("/auth/oauth/acme?redirect_uri={PAGE}");
    browser.visits(&off).await.is_no(404, "resource_not_found");
    let departure = super::departs_to(&mut browser, "own").await;
    let back = issuer.agrees(&departure, &alice());
    let answer = node.api.post("/auth/oauth/own/callback", body(&back)).await;
    answer.is_yes(200);
}

#[tokio::test]
async fn the_scopes_that_are_asked_for_are_asked_for() {
    let (node, _issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let scope = |departure: &Url| parameter(departure, "scope");
    let path = format!("/auth/oauth/acme?redirect_uri={PAGE}");
    let usual = location(&browser.visits(&path).await);
    assert_eq!(scope(&usual), "openid email profile");
    let own = location(&browser.visits(&format!("{path}&scope=openid%20calendar")).await);
    assert_eq!(scope(&own), "openid calendar");
    let bad = browser.visits(&format!("{path}&scope=a%22b")).await;
    assert_eq!(bad.is_no(400, "validation_error").fields_at_fault(), ["scope"].into());
}

#[tokio::test]
async fn what_the_token_does_not_say_the_issuer_is_asked() {
    let (node, issuer) = scene().await;
    issuer.tells_only_who_asks(None);
    let answer = signs_in(&node, &issuer, &alice()).await.is_yes(200);
    assert_eq!(answer.data()["user"]["email"], "alice@example.com");
    issuer.tells_only_who_asks(Some("mallory"));
    let answer = signs_in(&node, &issuer, &alice()).await;
    answer.is_no(401, "invalid_credentials");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_can_be_asked_again() {
    let (node, issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let back = issuer.agrees(&departs(&mut browser).await, &alice());
    issuer.is_down(true);
    let answer = posts(&node, &back).await.is_no(503, "service_unavailable");
    assert!(!answer.header("retry-after").is_empty());
    issuer.is_down(false);
    issuer.is_busy(true);
    posts(&node, &back).await.is_no(503, "service_unavailable");
    issuer.is_busy(false);
    posts(&node, &back).await.is_yes(200);
}

#[tokio::test]
async fn a_key_that_an_issuer_has_published_since_is_found_after_a_while() {
    let issuer = Issuer::start().await;
    let node = issuer.known_as("acme", Node::prepare().meddled()).start().await;
    configures(&node, json!({ "redirectUrls": [PAGE] })).await;
    signs_in(&node, &issuer, &alice()).await.is_yes(200);
    issuer.changes_its_key();
    // Whoever brings tokens of unknown keys does not have it asked for them each time.
    signs_in(&node, &issuer, &alice()).await.is_no(401, "invalid_credentials");
    node.meddling().puts_ahead(Duration::from_secs(31));
    signs_in(&node, &issuer, &alice()).await.is_yes(200);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_cannot_be_gone_to() {
    let setup = Node::with("oauth.acme.issuer", "http://127.0.0.1:9");
    let setup = setup.with("oauth.acme.client_id", "x").with("oauth.acme.client_secret", "y");
    let node = setup.start().await;
    configures(&node, json!({ "redirectUrls": [PAGE] })).await;
    let mut browser = Browser::new(&node.api);
    let answer = browser.visits(&format!("/auth/oauth/acme?redirect_uri={PAGE}")).await;
    answer.is_no(503, "service_unavailable");
    let answer = browser.visits(&format!("/auth/oauth/nobody?redirect_uri={PAGE}")).await;
    answer.is_no(404, "resource_not_found");
}

#[tokio::test]
async fn a_provider_s_no_is_told_to_the_page() {
    let (node, _issuer) = scene().await;
    for (told, heard) in [("access_denied", "access_denied"), ("<script>", "server_error")] {
        let mut browser = Browser::new(&node.api);
        let state = parameter(&departs(&mut browser).await, "state");
        let issuer = _issuer.base();
        let path = format!("/auth/oauth/acme/callback?state={state}&error={told}&iss={issuer}");
        let landed = location(&browser.visits(&path).await);
        assert_eq!(parameter(&landed, "error"), heard);
        assert_eq!(parameter(&landed, "state"), "page-state");
        browser.visits(&path).await.is_no(401, "token_used");
    }
}

#[tokio::test]
async fn a_repeated_callback_is_answered_as_before() {
    let (node, issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let back = issuer.agrees(&departs(&mut browser).await, &alice());
    let send = || {
        let request = node.api.request(reqwest::Method::POST, "/auth/oauth/acme/callback");
        janua_tests::node::answer(request.header("Idempotency-Key", "one").json(&body(&back)))
    };
    let first = send().await.is_yes(200);
    let second = send().await.is_yes(200);
    let token = |answer: &Value| answer["session"]["refreshToken"].clone();
    assert_eq!(token(first.data()), token(second.data()));
    assert_eq!(second.data()["isNewUser"], true);
}

#[tokio::test]
async fn a_flow_outlives_a_restart() {
    let (node, issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let back = issuer.agrees(&departs(&mut browser).await, &alice());
    node.restart().await;
    let landed = location(&browser.asks(back.as_str()).await);
    node.restart().await;
    let code = json!({ "code": parameter(&landed, "code") });
    node.api.post("/auth/oauth/exchange", code).await.is_yes(200);
}

#[tokio::test]
async fn a_browser_names_its_tenant_in_the_address() {
    let (node, _issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let path = format!("/auth/oauth/acme?redirect_uri={PAGE}&tenant_id=");
    location(&browser.visits(&format!("{path}default")).await);
    browser.visits(&format!("{path}ten_other")).await.is_no(404, "resource_not_found");
}

#[tokio::test]
async fn a_person_whose_way_back_is_broken_is_told_so_on_a_page() {
    let (node, _issuer) = scene().await;
    let path = "/auth/oauth/acme/callback?state=state_1_nonsense&code=x";
    let browser = node.api.request(reqwest::Method::GET, path).header("accept", "text/html");
    let told = janua_tests::node::answer(browser).await;
    assert_eq!((told.status, told.header("content-type")), (401, "text/html; charset=utf-8"));
    assert!(!told.text.contains("nonsense"), "{}", told.text);
    node.api.get(path).await.is_no(401, "invalid_token");
}
