//! How a second factor comes and goes.

use std::collections::BTreeSet;

use janua_tests::response::has_exactly;
use janua_tests::{App, Node};
use serde_json::{Value, json};

#[tokio::test]
async fn an_app_is_enrolled_and_asked_for_only_once_it_has_shown_a_code() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let seed = alice.asks_for_a_seed().await;
    has_exactly(seed.data(), &["secret", "otpauthUri", "qrCode"]);
    let secret = seed.text_of("secret");
    assert_eq!(secret.len(), 32, "160 bits in base32: {secret}");
    let uri = format!("otpauth://totp/Janua:alice%40example.com?secret={secret}&issuer=Janua");
    assert_eq!(seed.text_of("otpauthUri"), uri);
    assert!(seed.text_of("qrCode").starts_with("data:image/svg+xml;base64,"));
    assert_eq!(seed.header("cache-control"), "no-store");
    assert_eq!(alice.session.me().await.data()["mfaEnabled"], false);
    alice.logs_in().await;

    let mut app = App::with_secret(&secret);
    let wrong = json!({ "code": app.wrong_code() });
    let verify = async |body| alice.session.post("/users/me/mfa/totp/verify", body).await;
    verify(wrong).await.is_no(401, "invalid_mfa_code");
    let enabled = verify(json!({ "code": app.code().await })).await.is_yes(200);
    has_exactly(enabled.data(), &["backupCodes"]);
    let codes: BTreeSet<_> =
        enabled.data()["backupCodes"].as_array().expect("a list").iter().map(text).collect();
    assert_eq!(codes.len(), 10);
    assert!(codes.iter().all(|code| code.len() == 29), "{codes:?}");
    assert_eq!(alice.session.me().await.data()["mfaEnabled"], true);
    alice.shows_a_password().await;
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn what_a_user_has_is_shown() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let shown = async || alice.session.get("/users/me/mfa").await.is_yes(200).data().clone();
    let before = shown().await;
    has_exactly(&before, &["enabled", "methods", "totp", "backupCodesRemaining", "passkeys"]);
    assert_eq!((&before["enabled"], &before["methods"]), (&json!(false), &json!([])));
    assert_eq!(before["totp"], json!({ "enabled": false, "enrolledAt": null }));
    let app = alice.enrols_an_app().await;
    let token = alice.shows_a_password().await;
    node.api.shows_backup_code(&token, &app.backup_codes[0]).await.is_yes(200);
    let after = shown().await;
    assert_eq!(after["methods"], json!(["totp", "backup_code"]));
    assert_eq!((&after["enabled"], &after["backupCodesRemaining"]), (&json!(true), &json!(9)));
    assert!(after["totp"]["enrolledAt"].as_str().is_some_and(|time| time.ends_with('Z')));
}

#[tokio::test]
async fn a_second_enrolment_replaces_one_that_waits() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut first = App::with_secret(&alice.asks_for_a_seed().await.text_of("secret"));
    let mut second = App::with_secret(&alice.asks_for_a_seed().await.text_of("secret"));
    let verify = async |code: String| {
        alice.session.post("/users/me/mfa/totp/verify", json!({ "code": code })).await
    };
    verify(first.code().await).await.is_no(401, "invalid_mfa_code");
    verify(second.code().await).await.is_yes(200);
    verify(second.code().await).await.is_no(404, "resource_not_found");
}

#[tokio::test]
async fn another_app_takes_the_place_of_the_first_once_it_has_shown_a_code() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut old = alice.enrols_an_app().await;
    let mut new = App::with_secret(&alice.asks_for_a_seed().await.text_of("secret"));
    alice.logs_in_with(&mut old).await;
    let body = json!({ "code": new.code().await });
    alice.session.post("/users/me/mfa/totp/verify", body).await.is_yes(200);
    let token = alice.shows_a_password().await;
    node.api.shows_code(&token, &old.code().await).await.is_no(401, "invalid_mfa_code");
    let spent = node.api.shows_backup_code(&token, &old.backup_codes[0]).await;
    spent.is_no(401, "invalid_mfa_code");
    node.api.shows_code(&token, &new.code().await).await.is_yes(200);
}

#[tokio::test]
async fn enrolment_asks_for_the_password() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let enroll = async |body| alice.session.post("/users/me/mfa/totp/enroll", body).await;
    enroll(json!({ "password": "Wrong-river-11!" })).await.is_no(401, "invalid_credentials");
    let missing = enroll(json!({})).await.is_no(400, "validation_error");
    assert!(missing.fields_at_fault().contains("password"), "{}", missing.text);
    let unasked = json!({ "code": "123456" });
    let unasked = alice.session.post("/users/me/mfa/totp/verify", unasked).await;
    unasked.is_no(404, "resource_not_found");
}

#[tokio::test]
async fn it_is_switched_off_by_password_and_code_together() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let remove = async |password: &str, code: &str| {
        let body = json!({ "password": password, "code": code });
        alice.session.delete_with("/users/me/mfa/totp", body).await
    };
    let code = app.code().await;
    remove("Wrong-river-11!", &code).await.is_no(401, "invalid_credentials");
    remove(&alice.password, &app.wrong_code()).await.is_no(401, "invalid_mfa_code");
    remove(&alice.password, &code).await.is_yes(200);
    assert_eq!(alice.session.me().await.data()["mfaEnabled"], false);
    alice.logs_in().await;
    remove(&alice.password, &code).await.is_no(404, "resource_not_found");
    let shown = alice.session.get("/users/me/mfa").await.is_yes(200);
    assert_eq!(shown.data()["backupCodesRemaining"], 0);
}

#[tokio::test]
async fn it_can_be_switched_off_by_a_backup_code_when_the_app_is_lost() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let app = alice.enrols_an_app().await;
    let body = json!({ "password": alice.password, "code": app.backup_codes[0] });
    alice.session.delete_with("/users/me/mfa/totp", body).await.is_yes(200);
    alice.logs_in().await;
}

#[tokio::test]
async fn new_backup_codes_replace_the_old() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let renew = async |password: &str| {
        let body = json!({ "password": password });
        alice.session.post("/users/me/mfa/backup-codes", body).await
    };
    renew(&alice.password).await.is_no(404, "resource_not_found");
    let app = alice.enrols_an_app().await;
    renew("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    let renewed = renew(&alice.password).await.is_yes(200);
    let codes = renewed.data()["backupCodes"].as_array().expect("a list");
    assert_eq!(codes.len(), 10);
    let token = alice.shows_a_password().await;
    let old = node.api.shows_backup_code(&token, &app.backup_codes[0]).await;
    old.is_no(401, "invalid_mfa_code");
    node.api.shows_backup_code(&token, &text(&codes[0])).await.is_yes(200);
}

#[tokio::test]
async fn what_is_sensitive_demands_a_second_factor_shown_just_now() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    // Begun before there was a second factor, as a stolen session would be.
    let stale = alice.logs_in().await;
    let mut app = alice.enrols_an_app().await;
    let password = json!({ "password": alice.password });
    let codes = "/users/me/mfa/backup-codes";
    stale.post(codes, password.clone()).await.is_no(403, "mfa_required");
    stale.post("/users/me/mfa/totp/enroll", password.clone()).await.is_no(403, "mfa_required");
    let begin = stale.post("/auth/passkeys/register/begin", json!({})).await;
    begin.is_no(403, "mfa_required");
    let step_up =
        async |code: String| stale.post("/users/me/mfa/step-up", json!({ "code": code })).await;
    step_up(app.wrong_code()).await.is_no(401, "invalid_mfa_code");
    let stepped_up = step_up(app.code().await).await.is_yes(200);
    assert_eq!(stepped_up.data(), &json!({ "validFor": 900 }));
    stale.post(codes, password.clone()).await.is_yes(200);
    let fresh = alice.logs_in_with(&mut app).await;
    fresh.post(codes, password).await.is_yes(200);
}

#[tokio::test]
async fn a_stolen_session_does_not_help_to_guess_the_first_code() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = App::with_secret(&alice.asks_for_a_seed().await.text_of("secret"));
    let verify = async |code: String| {
        alice.session.post("/users/me/mfa/totp/verify", json!({ "code": code })).await
    };
    for _ in 0..5 {
        verify(app.wrong_code()).await.is_no(401, "invalid_mfa_code");
    }
    verify(app.code().await).await.is_no(423, "account_locked");
}
