//! Second factors: logins that ask for them.

mod enrolment;
mod guesses;
mod standing;

use std::collections::BTreeSet;

use janua_tests::node::answer;
use janua_tests::response::has_exactly;
use janua_tests::{App, Node, Session};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_login_is_completed_by_a_code_as_documented() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let asked = node.api.login(&alice.email, &alice.password).await.is_yes(200);
    has_exactly(asked.data(), &["user", "requiresMfa", "tempToken", "mfaMethods"]);
    assert_eq!(asked.data()["mfaMethods"], json!(["totp", "backup_code"]));
    assert_eq!(asked.data()["user"]["mfaEnabled"], true);
    let token = asked.text_of("tempToken");
    assert!(token.starts_with("tmp_"), "{token}");
    let completed = node.api.shows_code(&token, &app.code().await).await.is_yes(200);
    has_exactly(completed.data(), &["session"]);
    has_exactly(&completed.data()["session"], &["accessToken", "refreshToken", "expiresAt"]);
    Session::of(&node.api, completed.data()).is_alive().await;
    node.api.shows_code(&token, &app.code().await).await.is_no(401, "token_used");
}

#[tokio::test]
async fn methods_that_are_used_up_are_not_offered() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let app = alice.enrols_an_app().await;
    for code in &app.backup_codes {
        let token = alice.shows_a_password().await;
        node.api.shows_backup_code(&token, code).await.is_yes(200);
    }
    let asked = node.api.login(&alice.email, &alice.password).await.is_yes(200);
    assert_eq!(asked.data()["mfaMethods"], json!(["totp"]));
}

#[tokio::test]
async fn a_login_goes_on_after_the_node_was_killed() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let secret = alice.asks_for_a_seed().await.text_of("secret");
    node.restart().await;
    let mut app = App::with_secret(&secret);
    let body = json!({ "code": app.code().await });
    alice.session.post("/users/me/mfa/totp/verify", body).await.is_yes(200);
    let token = alice.shows_a_password().await;
    node.restart().await;
    node.api.shows_code(&token, &app.code().await).await.is_yes(200);
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_before() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let keyed = async |path: &str, key: &str, body: &Value| {
        let request = alice.session.request(Method::POST, path).header("Idempotency-Key", key);
        answer(request.json(body)).await
    };
    let password = json!({ "password": alice.password });
    let enroll = "/users/me/mfa/totp/enroll";
    let first = keyed(enroll, "one", &password).await.is_yes(200);
    assert_eq!(keyed(enroll, "one", &password).await.is_yes(200).body, first.body);
    let mut app = App::with_secret(&first.text_of("secret"));
    let code = json!({ "code": app.code().await });
    let verify = "/users/me/mfa/totp/verify";
    let first = keyed(verify, "two", &code).await.is_yes(200);
    assert_eq!(keyed(verify, "two", &code).await.is_yes(200).body, first.body);
    let token = alice.shows_a_password().await;
    let body = json!({ "tempToken": token, "method": "totp", "code": app.code().await });
    let log_in = async || {
        let request = node.api.request(Method::POST, "/auth/login/mfa");
        answer(request.header("Idempotency-Key", "three").json(&body)).await.is_yes(200)
    };
    let first = log_in().await.text_of("session.refreshToken");
    assert_eq!(log_in().await.text_of("session.refreshToken"), first);
}

#[tokio::test]
async fn an_answer_names_every_field_at_fault() {
    let node = Node::start().await;
    let empty = node.api.post("/auth/login/mfa", json!({})).await.is_no(400, "validation_error");
    assert_eq!(empty.fields_at_fault(), BTreeSet::from(["method", "tempToken"]));
    for (body, field) in [
        (json!({ "tempToken": "tmp_1", "method": "totp" }), "code"),
        (json!({ "tempToken": "tmp_1", "method": "passkey", "code": "1" }), "credential"),
        (json!({ "tempToken": "tmp_1", "method": "sms", "code": "1" }), "method"),
        (json!({ "tempToken": "tmp_1", "method": "totp", "code": 123456 }), "code"),
    ] {
        let answer = node.api.post("/auth/login/mfa", body).await.is_no(400, "validation_error");
        assert!(answer.fields_at_fault().contains(field), "{field}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_login_keeps_its_device_over_both_factors() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let login = json!({
        "email": alice.email, "password": alice.password,
        "deviceInfo": { "deviceFingerprint": "phone-1", "userAgent": "Phone/1.0" },
    });
    let plain = node.api.post("/auth/login", login.clone()).await.is_yes(200);
    let mut app = alice.enrols_an_app().await;
    let asked = node.api.post("/auth/login", login).await.is_yes(200);
    let token = asked.text_of("tempToken");
    let entered = node.api.shows_code(&token, &app.code().await).await.is_yes(200);
    let session = Session::of(&node.api, entered.data());
    let sessions = session.list().await;
    let current = sessions.iter().find(|session| session["isCurrent"] == true).expect("it");
    assert_eq!(current["userAgent"], "Phone/1.0");
    assert_eq!(current["deviceId"].as_str(), Some(&*plain.text_of("session.deviceId")));
}
