//! A new password for who has forgotten the old one.

use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::response::has_exactly;
use janua_tests::{Node, Response, at_once};
use reqwest::Method;
use serde_json::json;

const NEW: &str = "A-second-river-41!";

async fn forgets(node: &Node, email: &str) -> Response {
    node.api.post("/auth/password/forgot", json!({ "email": email })).await
}

async fn resets(node: &Node, token: &str, password: &str) -> Response {
    let body = json!({ "token": token, "newPassword": password });
    node.api.post("/auth/password/reset", body).await
}

#[tokio::test]
async fn a_mailed_token_sets_a_new_password_and_ends_every_session() {
    let node = Node::start().await;
    let mut alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    forgets(&node, &alice.email).await.is_yes(200);
    let mail = node.mail_to(&alice.email).await;
    assert_eq!(mail.subject, "Reset your password for Janua");
    assert!(mail.token().starts_with("rst_"));
    let answer = resets(&node, &mail.token(), NEW).await.is_yes(200);
    has_exactly(&answer.body, &["success", "message", "data"]);
    assert_eq!(answer.data()["sessionsInvalidated"], 2);
    phone.is_over().await;
    alice.session.is_over().await;
    alice.guesses(PASSWORD).await.is_no(401, "invalid_credentials");
    alice.password = NEW.into();
    let session = alice.logs_in().await;
    assert_eq!(session.me().await.data()["emailVerified"], true, "the mail was read");
    resets(&node, &mail.token(), "A-third-river-17!").await.is_no(401, "token_used");
}

#[tokio::test]
async fn an_unknown_address_gets_the_same_answer_and_no_mail() {
    // The nearest of several limits is shown, and this one is to be it.
    let node = Node::with("limits.password_reset", "3/hour").start().await;
    let alice = node.register("alice").await;
    let known = forgets(&node, &alice.email).await.is_yes(200);
    let unknown = forgets(&node, "nobody@example.com").await.is_yes(200);
    assert_eq!(known.body, unknown.body);
    for header in ["x-ratelimit-bucket", "x-ratelimit-remaining", "x-ratelimit-limit"] {
        assert_eq!(known.header(header), unknown.header(header));
    }
    assert!(node.mails_to("nobody@example.com").await.is_empty());
    forgets(&node, "no address").await.is_no(400, "validation_error");
}

#[tokio::test]
async fn an_address_gets_three_of_these_mails_an_hour_as_shipped_known_or_not() {
    let node = Node::with("limits.password_reset", "3/hour").start().await;
    let alice = node.register("alice").await;
    for email in [alice.email.as_str(), "nobody@example.com"] {
        for left in [2, 1, 0] {
            let answer = forgets(&node, email).await.is_yes(200);
            assert_eq!(answer.header("x-ratelimit-bucket"), "password_reset");
            assert_eq!(answer.header("x-ratelimit-limit"), "3");
            assert_eq!(answer.header("x-ratelimit-remaining"), left.to_string());
        }
        let refused = forgets(&node, email).await.is_no(429, "rate_limit_exceeded");
        let wait: u64 = refused.header("retry-after").parse().expect("seconds");
        assert!((1140..=1200).contains(&wait), "one comes back every twenty minutes: {wait}");
    }
    assert_eq!(node.mails_to(&alice.email).await.len(), 4);
    forgets(&node, "Alice@EXAMPLE.com").await.is_no(429, "rate_limit_exceeded");
}

#[tokio::test]
async fn three_of_many_at_once_get_a_mail() {
    let node = Node::with("limits.password_reset", "3/hour").start().await;
    let alice = node.register("alice").await;
    let answers = at_once(32, |_| {
        let (api, body) = (node.api.clone(), json!({ "email": alice.email }));
        async move { api.post("/auth/password/forgot", body).await.status }
    });
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 3, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 29, "{answers:?}");
}

#[tokio::test]
async fn a_password_that_the_policy_refuses_leaves_the_token_as_it_is() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    forgets(&node, &alice.email).await.is_yes(200);
    let token = node.mail_to(&alice.email).await.token();
    let weak = resets(&node, &token, "password1").await.is_no(422, "weak_password");
    assert_eq!(weak.fields_at_fault().into_iter().collect::<Vec<_>>(), ["newPassword"]);
    let hers = resets(&node, &token, "alice@example.com-1").await;
    hers.is_no(422, "weak_password");
    alice.session.is_alive().await;
    resets(&node, &token, NEW).await.is_yes(200);
}

#[tokio::test]
async fn a_reset_unlocks_the_account() {
    let node = Node::start().await;
    let mut alice = node.register("alice").await;
    for _ in 0..5 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    alice.guesses(PASSWORD).await.is_no(423, "account_locked");
    forgets(&node, &alice.email).await.is_yes(200);
    resets(&node, &node.mail_to(&alice.email).await.token(), NEW).await.is_yes(200);
    alice.password = NEW.into();
    alice.logs_in().await;
}

#[tokio::test]
async fn a_changed_password_makes_every_older_token_worthless() {
    let node = Node::start().await;
    let mut alice = node.register("alice").await;
    forgets(&node, &alice.email).await.is_yes(200);
    let token = node.mail_to(&alice.email).await.token();
    alice.changes_password(NEW).await;
    resets(&node, &token, "A-third-river-17!").await.is_no(401, "invalid_token");
    alice.logs_in().await;
}

#[tokio::test]
async fn a_token_that_never_was_resets_nothing() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let verification = node.mail_to(&alice.email).await.token();
    for token in ["nonsense", &format!("rst_1_{}", "x".repeat(43)), &verification] {
        resets(&node, token, NEW).await.is_no(401, "invalid_token");
    }
    let missing = node.api.post("/auth/password/reset", json!({})).await;
    let missing = missing.is_no(400, "validation_error");
    for field in ["token", "newPassword"] {
        assert!(missing.fields_at_fault().contains(field), "{}", missing.text);
    }
}

#[tokio::test]
async fn of_many_at_once_one_resets() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    forgets(&node, &alice.email).await.is_yes(200);
    let token = node.mail_to(&alice.email).await.token();
    let answers = at_once(64, |number| {
        let body = json!({ "token": token, "newPassword": format!("River-{number}-runs-on!") });
        let api = node.api.clone();
        async move { (number, api.post("/auth/password/reset", body).await) }
    });
    let (yes, no): (Vec<_>, Vec<_>) =
        answers.await.into_iter().partition(|(_, answer)| answer.status == 200);
    assert_eq!(yes.len(), 1);
    for (_, answer) in no {
        assert!([401, 503].contains(&answer.status), "{}", answer.text);
    }
    let password = format!("River-{}-runs-on!", yes[0].0);
    node.api.login(&alice.email, &password).await.is_yes(200);
}

#[tokio::test]
async fn the_same_request_twice_sends_one_mail() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let asks = async || {
        let request = node.api.request(Method::POST, "/auth/password/forgot");
        let request = request.header("Idempotency-Key", "one");
        answer(request.json(&json!({ "email": alice.email }))).await.is_yes(200)
    };
    assert_eq!(asks().await.body, asks().await.body);
    assert_eq!(node.mails_to(&alice.email).await.len(), 2, "one of registration, one of these");
}

#[tokio::test]
async fn a_reset_leaves_the_second_factor_in_force_verified_or_not() {
    let node = Node::start().await;
    let mut alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    forgets(&node, &alice.email).await.is_yes(200);
    resets(&node, &node.mail_to(&alice.email).await.token(), NEW).await.is_yes(200);
    alice.password = NEW.into();
    alice.logs_in_with(&mut app).await.is_alive().await;
}
