//! Logging in by a mailed link.

use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::response::{has_exactly, unix_seconds};
use janua_tests::{Node, Response, Session, at_once};
use reqwest::Method;
use serde_json::{Value, json};

const PAGE: &str = "https://app.example.com/auth/callback";

async fn sends(node: &Node, body: Value) -> Response {
    node.api.post("/auth/magic-link/send", body).await
}

/// Asks for a link to an address; its token.
async fn link_to(node: &Node, email: &str) -> String {
    sends(node, json!({ "email": email })).await.is_yes(200);
    node.mail_to(email).await.token()
}

async fn follows(node: &Node, token: &str) -> Response {
    node.api.get(&format!("/auth/magic-link/verify?token={token}")).await
}

async fn posts(node: &Node, body: Value) -> Response {
    node.api.post("/auth/magic-link/verify", body).await
}

/// A node whose tenant leads back to one page.
async fn with_a_page() -> Node {
    let node = Node::start().await;
    node.settles(json!({ "redirectUrls": [PAGE, "http://localhost:5173/back"] })).await;
    node
}

#[tokio::test]
async fn a_link_logs_its_reader_in_once() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let sent = sends(&node, json!({ "email": alice.email, "expiresIn": 3600 })).await.is_yes(200);
    has_exactly(sent.data(), &["linkId", "expiresAt"]);
    assert!(sent.text_of("linkId").starts_with("ml_"));
    let token = node.mail_to(&alice.email).await.token();
    assert!(token.starts_with("ml_") && token != sent.text_of("linkId"));
    let answer = follows(&node, &token).await.is_yes(200);
    has_exactly(answer.data(), &["user", "session"]);
    has_exactly(&answer.data()["user"], &["id", "email"]);
    has_exactly(&answer.data()["session"], &["accessToken", "refreshToken", "expiresAt"]);
    assert_eq!(answer.text_of("user.id"), alice.id);
    assert_eq!(answer.header("cache-control"), "no-store");
    let session = Session::of(&node.api, answer.data());
    session.is_alive().await;
    assert_eq!(session.me().await.data()["emailVerified"], true, "the mail was read");
    follows(&node, &token).await.is_no(401, "token_used");
    posts(&node, json!({ "token": token })).await.is_no(401, "token_used");
}

#[tokio::test]
async fn a_link_is_good_for_as_long_as_it_was_asked_for() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for (given, seconds) in [(None, 900), (Some(60), 60), (Some(86_400), 86_400)] {
        let body = json!({ "email": alice.email, "expiresIn": given });
        let sent = sends(&node, body).await.is_yes(200);
        let life = unix_seconds(&sent.data()["expiresAt"]) - time(&node, seconds as usize).await;
        assert!((seconds - 5..=seconds + 1).contains(&life), "{life} s instead of {seconds}");
    }
    for wrong in [json!(59), json!(86_401), json!(-1), json!("1h"), json!(60.5)] {
        let body = json!({ "email": alice.email, "expiresIn": wrong });
        let refused = sends(&node, body).await.is_no(400, "validation_error");
        assert!(refused.fields_at_fault().contains("expiresIn"), "{}", refused.text);
    }
}

/// The node's own time, from an answer that shows it.
async fn time(node: &Node, name: usize) -> i64 {
    let answer = node.api.registration(&format!("clock-{name}@example.com"), PASSWORD).await;
    unix_seconds(&answer.is_yes(201).data()["user"]["createdAt"])
}

#[tokio::test]
async fn an_unknown_address_gets_the_same_answer_and_an_account_only_where_it_may() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let known = sends(&node, json!({ "email": alice.email })).await.is_yes(200);
    let unknown = sends(&node, json!({ "email": "new@example.com" })).await.is_yes(200);
    has_exactly(unknown.data(), &["linkId", "expiresAt"]);
    assert_eq!(known.data()["expiresAt"].as_str().map(str::len), Some(20));
    assert!(node.mails_to("new@example.com").await.is_empty());
    node.settles(json!({ "magicLinkSignup": true })).await;
    let token = link_to(&node, "new@example.com").await;
    let answer = follows(&node, &token).await.is_yes(200);
    let session = Session::of(&node.api, answer.data());
    let me = session.me().await.is_yes(200);
    assert_eq!(me.data()["email"], "new@example.com");
    assert_eq!(me.data()["emailVerified"], true);
    node.api.login("new@example.com", PASSWORD).await.is_no(401, "invalid_credentials");
    node.settles(json!({ "registration": "closed" })).await;
    sends(&node, json!({ "email": "other@example.com" })).await.is_yes(200);
    assert!(node.mails_to("other@example.com").await.is_empty());
}

#[tokio::test]
async fn looking_at_the_mailed_link_does_not_spend_it() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    sends(&node, json!({ "email": alice.email })).await.is_yes(200);
    let mail = node.mail_to(&alice.email).await;
    let (_, path) = mail.link.split_once("localhost:3000").expect("the public URL");
    assert!(path.starts_with("/ui/magic-link?token=ml_"), "{path}");
    for method in [Method::GET, Method::HEAD] {
        let looked = node.api.request(method, path).send().await.expect("an answer");
        assert!(looked.status().as_u16() < 500);
    }
    posts(&node, json!({ "token": mail.token() })).await.is_yes(200);
}

#[tokio::test]
async fn with_a_redirect_a_code_travels_and_no_token() {
    let node = with_a_page().await;
    let alice = node.register("alice").await;
    let token = link_to(&node, &alice.email).await;
    let path = format!("/auth/magic-link/verify?token={token}&redirect_uri={PAGE}");
    let redirected = node.api.get(&path).await;
    assert_eq!(redirected.status, 302, "{}", redirected.text);
    let (page, code) = redirected.header("location").split_once("?code=").expect("a code");
    assert_eq!(page, PAGE);
    assert!(code.starts_with("code_"), "{code}");
    assert_eq!(redirected.header("cache-control"), "no-store");
    assert_eq!(redirected.header("referrer-policy"), "no-referrer");
    let exchange = async || node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
    let answer = exchange().await.is_yes(200);
    assert_eq!(answer.text_of("user.id"), alice.id);
    Session::of(&node.api, answer.data()).is_alive().await;
    exchange().await.is_no(401, "token_used");
    node.api.get(&path).await.is_no(401, "token_used");
}

#[tokio::test]
async fn the_page_that_a_link_was_asked_for_with_is_where_its_login_goes_on() {
    let node = with_a_page().await;
    let alice = node.register("alice").await;
    sends(&node, json!({ "email": alice.email, "redirectUrl": PAGE })).await.is_yes(200);
    let mail = node.mail_to(&alice.email).await;
    let encoded = "redirect_uri=https%3A%2F%2Fapp.example.com%2Fauth%2Fcallback";
    assert!(mail.link.contains(encoded), "{}", mail.link);
    let answer = posts(&node, json!({ "token": mail.token() })).await.is_yes(200);
    has_exactly(answer.data(), &["redirectTo"]);
    let url = answer.text_of("redirectTo");
    let code = url.strip_prefix(&format!("{PAGE}?code=")).expect("the page with a code");
    let answer = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await.is_yes(200);
    Session::of(&node.api, answer.data()).is_alive().await;
}

#[tokio::test]
async fn a_page_that_is_not_listed_is_not_led_to() {
    let node = with_a_page().await;
    let alice = node.register("alice").await;
    let token = link_to(&node, &alice.email).await;
    for page in [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/auth/callback",
        "https://app.example.com@evil.example/auth/callback",
        "https://user:password@app.example.com/auth/callback",
        "https://app.example.com:8443/auth/callback",
        "http://app.example.com/auth/callback",
        "https://app.example.com/auth/callback/../x",
        "https://app.example.com/auth/callback/more",
        "https://app.example.com/auth",
        "https://app.example.com/auth/call\tback",
        "https://app.example.com\\@evil.example/auth/callback",
        "https://app.example.com.evil.example/auth/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://localhost:5174/back",
        "",
    ] {
        let body = json!({ "email": alice.email, "redirectUrl": page });
        let refused = sends(&node, body).await.is_no(400, "validation_error");
        assert!(refused.fields_at_fault().contains("redirectUrl"), "{page:?}: {}", refused.text);
        let encoded: String = page.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/auth/magic-link/verify?token={token}&redirect_uri={encoded}");
        let refused = node.api.get(&path).await.is_no(400, "validation_error");
        assert!(refused.fields_at_fault().contains("redirect_uri"), "{page:?}: {}", refused.text);
        let body = json!({ "token": token, "redirectUri": page });
        posts(&node, body).await.is_no(400, "validation_error");
    }
    follows(&node, &token).await.is_yes(200);
}

#[tokio::test]
async fn of_many_at_once_one_logs_in() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let token = link_to(&node, &alice.email).await;
    let answers = at_once(64, |number| {
        let (api, token) = (node.api.clone(), token.clone());
        async move {
            match number % 2 {
                0 => api.get(&format!("/auth/magic-link/verify?token={token}")).await,
                _ => api.post("/auth/magic-link/verify", json!({ "token": token })).await,
            }
        }
    });
    let (yes, no): (Vec<_>, Vec<_>) =
        answers.await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((yes.len(), no.len()), (1, 63));
    no.into_iter().for_each(|answer| drop(answer.is_no(401, "token_used")));
    let session = Session::of(&node.api, yes[0].data());
    assert_eq!(session.list().await.len(), 1, "the session of registration ended with it");
}

#[tokio::test]
async fn a_changed_password_makes_a_link_worthless() {
    let node = Node::start().await;
    let mut alice = node.register("alice").await;
    let token = link_to(&node, &alice.email).await;
    alice.changes_password("A-second-river-41!").await;
    follows(&node, &token).await.is_no(401, "invalid_token");
}

#[tokio::test]
async fn who_registered_an_address_that_is_not_theirs_is_out_once_its_owner_comes() {
    let node = Node::start().await;
    let mallory = node.register("alice").await;
    let token = link_to(&node, &mallory.email).await;
    let answer = follows(&node, &token).await.is_yes(200);
    Session::of(&node.api, answer.data()).is_alive().await;
    mallory.session.is_over().await;
    mallory.guesses(PASSWORD).await.is_no(401, "invalid_credentials");
}

#[tokio::test]
async fn a_verified_user_keeps_password_and_sessions() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let token = node.mail_to(&alice.email).await.token();
    alice.session.post("/auth/verify-email", json!({ "token": token })).await.is_yes(200);
    let token = link_to(&node, &alice.email).await;
    follows(&node, &token).await.is_yes(200);
    alice.session.is_alive().await;
    alice.logs_in().await;
}

#[tokio::test]
async fn a_link_logs_in_while_wrong_passwords_have_locked_the_account() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for _ in 0..5 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    alice.guesses(PASSWORD).await.is_no(423, "account_locked");
    let token = link_to(&node, &alice.email).await;
    follows(&node, &token).await.is_yes(200);
}

#[tokio::test]
async fn an_address_gets_five_links_an_hour_as_shipped_known_or_not() {
    let node = Node::with("limits.magic_link", "5/hour").start().await;
    let alice = node.register("alice").await;
    for email in [alice.email.as_str(), "nobody@example.com"] {
        for left in (0..5).rev() {
            let answer = sends(&node, json!({ "email": email })).await.is_yes(200);
            assert_eq!(answer.header("x-ratelimit-bucket"), "magic_link");
            assert_eq!(answer.header("x-ratelimit-remaining"), left.to_string());
        }
        let refused = sends(&node, json!({ "email": email })).await;
        let refused = refused.is_no(429, "rate_limit_exceeded");
        assert_eq!(refused.header("x-ratelimit-bucket"), "magic_link");
        assert!(!refused.header("retry-after").is_empty());
    }
}

#[tokio::test]
async fn the_same_request_twice_is_answered_the_same() {
    let node = with_a_page().await;
    let alice = node.register("alice").await;
    let twice = async |path: &str, key: &str, body: Value| {
        let send = async || {
            let request = node.api.request(Method::POST, path).header("Idempotency-Key", key);
            answer(request.json(&body)).await.is_yes(200)
        };
        let (first, mut second) = (send().await, send().await);
        // A signature is never the same twice (FIPS 186-5 §6.3).
        if let Some(token) = second.body.pointer_mut("/data/session/accessToken") {
            *token = first.data()["session"]["accessToken"].clone();
        }
        assert_eq!(first.body, second.body, "{path}");
        first
    };
    twice("/auth/magic-link/send", "send", json!({ "email": alice.email })).await;
    assert_eq!(node.mails_to(&alice.email).await.len(), 2, "one of registration, one of these");
    let token = node.mail_to(&alice.email).await.token();
    twice("/auth/magic-link/verify", "enter", json!({ "token": token })).await;
    let token = link_to(&node, &alice.email).await;
    let body = json!({ "token": token, "redirectUri": PAGE });
    let left = twice("/auth/magic-link/verify", "leave", body).await;
    assert!(left.text_of("redirectTo").starts_with(PAGE));
}

#[tokio::test]
async fn asking_for_the_head_of_an_answer_spends_no_link() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let token = link_to(&node, &alice.email).await;
    let path = format!("/auth/magic-link/verify?token={token}");
    let head = answer(node.api.request(Method::HEAD, &path)).await;
    assert_eq!((head.status, head.header("allow")), (405, "GET, POST, OPTIONS"));
    follows(&node, &token).await.is_yes(200);
}

#[tokio::test]
async fn a_link_leads_to_the_second_factor_of_who_has_one() {
    let node = Node::start().await;
    // The address was never verified: the factor stands all the same.
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let (_, passkey) = alice.session.registers_a_passkey().await;
    let token = link_to(&node, &alice.email).await;
    let asked = follows(&node, &token).await.is_yes(200);
    has_exactly(asked.data(), &["user", "requiresMfa", "tempToken", "mfaMethods"]);
    assert_eq!(asked.data()["mfaMethods"], json!(["totp", "backup_code"]));
    let temp_token = asked.text_of("tempToken");
    let entered = node.api.shows_code(&temp_token, &app.code().await).await.is_yes(200);
    let session = Session::of(&node.api, entered.data());
    // What ended with it is told of.
    let export = session.get("/users/me/export").await.is_yes(200);
    let removed = |event: &Value| event["eventType"] == "user.passkey_removed";
    let events = export.data()["events"].as_array().expect("a list");
    assert!(events.iter().any(removed), "{passkey}: {}", export.text);
    alice.session.is_over().await;
}

#[tokio::test]
async fn a_code_dies_with_the_password_of_its_login() {
    let node = with_a_page().await;
    let alice = node.register("alice").await;
    let token = node.mail_to(&alice.email).await.token();
    alice.session.post("/auth/verify-email", json!({ "token": token })).await.is_yes(200);
    let token = link_to(&node, &alice.email).await;
    let body = json!({ "token": token, "redirectUri": PAGE });
    let led = posts(&node, body).await.is_yes(200).text_of("redirectTo");
    let (_, code) = led.split_once("?code=").expect("a code");
    node.api.post("/auth/password/forgot", json!({ "email": alice.email })).await.is_yes(200);
    let token = node.mail_to(&alice.email).await.token();
    let body = json!({ "token": token, "newPassword": "A-second-river-41!" });
    node.api.post("/auth/password/reset", body).await.is_yes(200);
    let exchanged = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
    exchanged.is_no(401, "invalid_token");
}

#[tokio::test]
async fn who_spends_a_link_for_a_code_says_what_answers_for_it() {
    // RFC 7636, appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let node = with_a_page().await;
    let alice = node.register("alice").await;
    let code_in = |address: &str| address.split_once("?code=").expect("a code").1.to_owned();
    let mut codes = Vec::new();
    for _ in 0..2 {
        let token = link_to(&node, &alice.email).await;
        let body = json!({ "token": token, "redirectUri": PAGE, "codeChallenge": challenge,
            "codeChallengeMethod": "S256" });
        codes.push(code_in(&posts(&node, body).await.is_yes(200).text_of("redirectTo")));
        let token = link_to(&node, &alice.email).await;
        let bound = format!("code_challenge={challenge}&code_challenge_method=S256");
        let path = format!("/auth/magic-link/verify?token={token}&redirect_uri={PAGE}&{bound}");
        let led = node.api.get(&path).await;
        assert_eq!(led.status, 302, "{}", led.text);
        codes.push(code_in(led.header("location")));
    }
    for (number, code) in codes.into_iter().enumerate() {
        if number < 2 {
            let stolen = node.api.post("/auth/oauth/exchange", json!({ "code": code })).await;
            stolen.is_no(401, "invalid_token");
        } else {
            let body = json!({ "code": code, "codeVerifier": verifier });
            let exchanged = node.api.post("/auth/oauth/exchange", body).await.is_yes(200);
            Session::of(&node.api, exchanged.data()).is_alive().await;
        }
    }
    let body = json!({ "token": "ml_1_x", "redirectUri": PAGE, "codeChallenge": challenge });
    posts(&node, body).await.is_no(400, "validation_error");
}
