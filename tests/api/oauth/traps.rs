//! Flows that somebody has tampered with.

use janua_tests::browser::{location, parameter};
use janua_tests::issuer::Issuer;
use janua_tests::{Browser, Node, Session, at_once};
use reqwest::Url;
use serde_json::json;

use super::{PAGE, alice, body, changed, configures, departs, departs_to, posts, scene, signs_in};

fn mallory() -> serde_json::Value {
    changed(&alice(), json!({ "sub": "mallory", "email": "mallory@example.com" }))
}

#[tokio::test]
async fn a_page_that_is_not_listed_is_never_led_to() {
    let (node, _issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    for page in [
        "//evil.example",
        "/%5Cevil.example",
        "https://evil.example/auth/callback",
        "https://app.example.com@evil.example/auth/callback",
        "https://evil.example%5C@app.example.com/auth/callback",
        "https://app.example.com%09/auth/callback",
        "https://app.example.com/auth%0D%0Acallback",
        "http://app.example.com/auth/callback",
        "https://app.example.com:8443/auth/callback",
        "https://app.example.com/auth/callback/",
        "https://app.example.com/auth/callback?next=//evil.example",
        "https://app.example.com/auth/callback%23x",
        "javascript:alert(1)",
        "data:text/html,x",
        "",
    ] {
        let answer = browser.visits(&format!("/auth/oauth/acme?redirect_uri={page}")).await;
        let answer = answer.is_no(400, "validation_error");
        assert_eq!(answer.fields_at_fault(), ["redirect_uri"].into(), "{page}");
        assert_eq!(answer.header("location"), "");
    }
    let twice = format!("/auth/oauth/acme?redirect_uri={PAGE}&redirect_uri=https://evil.example");
    browser.visits(&twice).await.is_no(400, "validation_error");
}

#[tokio::test]
async fn a_page_that_was_struck_from_the_list_is_not_led_to_either() {
    let (node, issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let back = issuer.agrees(&departs(&mut browser).await, &alice());
    configures(&node, json!({ "redirectUrls": [] })).await;
    browser.asks(back.as_str()).await.is_no(401, "invalid_token");
}

#[tokio::test]
async fn a_state_is_good_once_and_at_one_moment_for_one() {
    let (node, issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let back = issuer.agrees(&departs(&mut browser).await, &alice());
    posts(&node, &back).await.is_yes(200);
    posts(&node, &back).await.is_no(401, "token_used");
    browser.asks(back.as_str()).await.is_no(401, "token_used");

    let back = issuer.agrees(&departs(&mut browser).await, &alice());
    let (api, body) = (node.api.clone(), body(&back));
    let answers = at_once(8, |_| {
        let (api, body) = (api.clone(), body.clone());
        async move { api.post("/auth/oauth/acme/callback", body).await }
    });
    let mut statuses: Vec<_> = answers.await.into_iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401]);
}

#[tokio::test]
async fn a_state_that_was_never_given_is_none() {
    let (node, issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let back = issuer.agrees(&departs(&mut browser).await, &alice());
    let code = parameter(&back, "code");
    for state in ["nonsense".to_owned(), format!("state_1_{}", "x".repeat(43))] {
        let body = json!({ "code": code, "state": state });
        let answer = node.api.post("/auth/oauth/acme/callback", body).await;
        answer.is_no(401, "invalid_token");
        let path = format!("/auth/oauth/acme/callback?code={code}&state={state}");
        browser.visits(&path).await.is_no(401, "invalid_token");
    }
    let without = json!({ "code": code });
    node.api.post("/auth/oauth/acme/callback", without).await.is_no(400, "validation_error");
    posts(&node, &back).await.is_yes(200);
}

#[tokio::test]
async fn a_code_is_worth_nothing_in_another_s_flow() {
    let (node, issuer) = scene().await;
    let (mut hers, mut his) = (Browser::new(&node.api), Browser::new(&node.api));
    let her_back = issuer.agrees(&departs(&mut hers).await, &alice());
    let his_back = issuer.agrees(&departs(&mut his).await, &mallory());
    // He puts the code that he has stolen into his own flow: the PKCE verifier is another's.
    let injected =
        json!({ "code": parameter(&her_back, "code"), "state": parameter(&his_back, "state") });
    let answer = node.api.post("/auth/oauth/acme/callback", injected).await;
    answer.is_no(401, "invalid_credentials");
    // A refused code ends its flow.
    posts(&node, &his_back).await.is_no(401, "token_used");
}

#[tokio::test]
async fn nonces_and_challenges_belong_to_their_flow() {
    let (node, issuer) = scene().await;
    for swapped in ["nonce", "code_challenge"] {
        let (mut hers, mut his) = (Browser::new(&node.api), Browser::new(&node.api));
        let (hers, his) = (departs(&mut hers).await, departs(&mut his).await);
        let mut twisted = his.clone();
        let pairs = his.query_pairs().map(|(name, value)| match &*name {
            name if name == swapped => (name.to_owned(), parameter(&hers, name)),
            name => (name.to_owned(), value.into_owned()),
        });
        let pairs: Vec<_> = pairs.collect();
        twisted.query_pairs_mut().clear().extend_pairs(pairs);
        let back = issuer.agrees(&twisted, &alice());
        posts(&node, &back).await.is_no(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn a_challenge_that_was_left_out_on_the_way_is_missed() {
    let (node, issuer) = scene().await;
    let departure = departs(&mut Browser::new(&node.api)).await;
    let mut stripped = departure.clone();
    let kept = departure.query_pairs().into_owned();
    let kept: Vec<_> = kept.filter(|(name, _)| !name.starts_with("code_challenge")).collect();
    stripped.query_pairs_mut().clear().extend_pairs(kept);
    let back = issuer.grants(&stripped, &alice());
    posts(&node, &back).await.is_no(401, "invalid_credentials");
}

#[tokio::test]
async fn nobody_is_logged_in_as_somebody_else_by_a_link() {
    let (node, issuer) = scene().await;
    let (mut his, mut hers) = (Browser::new(&node.api), Browser::new(&node.api));
    let back = issuer.agrees(&departs(&mut his).await, &mallory());
    // Her browser opens what his was sent back with; hers has been to the provider as well.
    departs(&mut hers).await;
    hers.asks(back.as_str()).await.is_no(401, "invalid_token");
    let landed = location(&his.asks(back.as_str()).await);
    assert!(parameter(&landed, "code").starts_with("code_"));
}

#[tokio::test]
async fn the_cookie_of_a_flow_is_kept_from_scripts_and_other_sites() {
    let issuer = Issuer::start().await;
    for (public, name) in
        [("http://localhost:3000", "janua_oauth_"), ("https://id.example", "__Host-janua_oauth_")]
    {
        let node = issuer.known_as("acme", Node::with("http.public_url", public)).start().await;
        configures(&node, json!({ "redirectUrls": [PAGE] })).await;
        let path = format!("/auth/oauth/acme?redirect_uri={PAGE}");
        let answer = Browser::new(&node.api).visits(&path).await;
        let cookie = answer.header("set-cookie");
        assert!(cookie.starts_with(name), "{cookie}");
        for part in ["Path=/", "HttpOnly", "SameSite=Lax", "Max-Age=600"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert_eq!(cookie.contains("Secure"), public.starts_with("https"), "{cookie}");
    }
}

/// A second provider, whose operator is an attacker.
async fn two_providers() -> (Node, Issuer, Issuer) {
    let (honest, evil) = (Issuer::start().await, Issuer::start().await);
    let setup = evil.known_as("evil", honest.known_as("acme", Node::prepare()));
    let node = setup.start().await;
    configures(&node, json!({ "redirectUrls": [PAGE] })).await;
    (node, honest, evil)
}

#[tokio::test]
async fn a_provider_cannot_answer_for_another() {
    let (node, honest, evil) = two_providers().await;
    let mut browser = Browser::new(&node.api);
    let departure = departs(&mut browser).await;
    let back = honest.agrees(&departure, &alice());
    // The code goes to the wrong callback: its provider never sees it.
    let wrong = back.as_str().replace("/acme/", "/evil/");
    browser.asks(&wrong).await.is_no(401, "invalid_token");
    let answer = node.api.post("/auth/oauth/evil/callback", body(&back)).await;
    answer.is_no(401, "invalid_token");
    // Nor is an answer taken that another issuer signs as its own, or that nobody does.
    let mut mixed: Url = back.clone();
    let pairs = |iss: Option<&str>| {
        let pairs = back.query_pairs().into_owned().filter(|(name, _)| name != "iss");
        pairs.chain(iss.map(|iss| ("iss".to_owned(), iss.to_owned()))).collect::<Vec<_>>()
    };
    for iss in [Some(evil.base()), None] {
        mixed.query_pairs_mut().clear().extend_pairs(pairs(iss));
        browser.asks(mixed.as_str()).await.is_no(401, "invalid_token");
    }
    let mut posted = body(&back);
    posted["iss"] = evil.base().into();
    node.api.post("/auth/oauth/acme/callback", posted).await.is_no(401, "invalid_token");
    location(&browser.asks(back.as_str()).await);
}

#[tokio::test]
async fn a_subject_means_something_only_at_its_provider() {
    let (node, honest, evil) = two_providers().await;
    let hers = signs_in(&node, &honest, &alice()).await.is_yes(200);
    let copy = changed(&mallory(), json!({ "sub": "alice-1" }));
    let mut browser = Browser::new(&node.api);
    let back = evil.agrees(&departs_to(&mut browser, "evil").await, &copy);
    let answer = node.api.post("/auth/oauth/evil/callback", body(&back)).await.is_yes(200);
    assert_ne!(answer.data()["user"]["id"], hers.data()["user"]["id"]);
    let session = Session::of(&node.api, answer.data());
    assert_eq!(session.me().await.data()["email"], "mallory@example.com");
}

#[tokio::test]
async fn what_goes_wrong_is_told_to_the_page_by_its_code() {
    let (node, issuer) = scene().await;
    node.register("alice").await;
    let unverified = changed(&alice(), json!({ "email_verified": false }));
    let mut browser = Browser::new(&node.api);
    let back = issuer.agrees(&departs(&mut browser).await, &unverified);
    let landed = location(&browser.asks(back.as_str()).await);
    assert_eq!(parameter(&landed, "error"), "account_link_required");
    assert_eq!(parameter(&landed, "state"), "page-state");
    assert_eq!(parameter(&landed, "code"), "");
}

#[tokio::test]
async fn no_secret_of_a_flow_is_logged() {
    let (node, issuer) = scene().await;
    let mut browser = Browser::new(&node.api);
    let departure = departs(&mut browser).await;
    let back = issuer.agrees(&departure, &alice());
    location(&browser.asks(back.as_str()).await);
    posts(&node, &back).await.is_no(401, "token_used");
    let log = node.log.text();
    for secret in [
        parameter(&back, "code"),
        parameter(&back, "state"),
        parameter(&departure, "nonce"),
        janua_tests::issuer::SECRET.to_owned(),
    ] {
        assert!(!log.contains(&secret), "the log holds {secret}");
    }
}
