//! Registration, login and the change of passwords.

use janua_tests::breaches::{BREACHED, Breaches};
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::response::{has_exactly, unix_seconds};
use janua_tests::{Node, Session, wait};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn registration_opens_an_account_and_a_session() {
    let node = Node::start().await;
    let request = json!({
        "email": "user@example.com", "password": PASSWORD, "firstName": "John", "lastName": "Doe",
        "metadata": { "source": "web_app" },
    });
    let answer = node.api.post("/auth/register", request).await.is_yes(201);
    has_exactly(answer.data(), &["user", "session"]);
    let user = &answer.data()["user"];
    has_exactly(
        user,
        &["id", "email", "firstName", "lastName", "emailVerified", "createdAt", "lastActiveAt"],
    );
    assert!(user["id"].as_str().unwrap().starts_with("usr_"));
    assert_eq!(user["email"], "user@example.com");
    assert_eq!(user["firstName"], "John");
    assert_eq!(user["emailVerified"], false);
    assert_eq!(user["createdAt"], user["lastActiveAt"]);
    let session = &answer.data()["session"];
    has_exactly(session, &["accessToken", "refreshToken", "expiresAt"]);
    assert!(session["refreshToken"].as_str().unwrap().starts_with("rt_"));
    let life = unix_seconds(&session["expiresAt"]) - unix_seconds(&user["createdAt"]);
    assert!((3599..=3601).contains(&life), "an access token lives an hour, not {life} s");
    assert_eq!(answer.header("cache-control"), "no-store");
    Session::of(&node.api, answer.data()).is_alive().await;
}

#[tokio::test]
async fn an_address_is_registered_once_however_it_is_written() {
    let node = Node::start().await;
    node.register("alice").await;
    for address in ["alice@example.com", "Alice@Example.COM", "alice@EXAMPLE.com"] {
        node.api.registration(address, PASSWORD).await.is_no(409, "email_already_exists");
    }
}

#[tokio::test]
async fn registration_names_every_field_at_fault() {
    let node = Node::start().await;
    let answer = node.api.post("/auth/register", json!({})).await;
    let answer = answer.is_no(400, "validation_error");
    for field in ["email", "password"] {
        assert!(answer.fields_at_fault().contains(field), "{field}: {}", answer.text);
    }
    let number = json!({ "email": "a@example.com", "password": PASSWORD, "firstName": 7 });
    let answer = node.api.post("/auth/register", number).await.is_no(400, "validation_error");
    assert!(answer.fields_at_fault().contains("firstName"), "{}", answer.text);
    for email in ["", "alice", "alice@", "@example.com", "a b@example.com", "a@example.com\n"] {
        let answer = node.api.registration(email, PASSWORD).await.is_no(400, "validation_error");
        assert!(answer.fields_at_fault().contains("email"), "{email:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_weak_password_is_refused() {
    let node = Node::start().await;
    for password in ["Ab1!xyz", "password1", "qwertyuiop", "aaaaaaaaaaaa", "margaret.hale7!"] {
        let answer = node.api.registration("margaret.hale@example.com", password).await;
        answer.is_no(422, "weak_password");
    }
    node.api.registration("margaret.hale@example.com", PASSWORD).await.is_yes(201);
}

#[tokio::test]
async fn a_password_may_hold_any_unicode_in_either_normal_form() {
    let node = Node::start().await;
    let (composed, decomposed) = ("Caf\u{e9} sous la pluie 39", "Cafe\u{301} sous la pluie 39");
    node.api.registration("zoe@example.com", composed).await.is_yes(201);
    node.api.login("zoe@example.com", decomposed).await.is_yes(200);
}

#[tokio::test]
async fn privileged_fields_are_ignored_at_registration() {
    let node = Node::start().await;
    let request = json!({
        "email": "eve@example.com", "password": PASSWORD, "emailVerified": true,
        "role": "owner", "plan": "enterprise", "id": "usr_mine", "mfaEnabled": true,
    });
    let answer = node.api.post("/auth/register", request).await.is_yes(201);
    assert_eq!(answer.data()["user"]["emailVerified"], false);
    assert_ne!(answer.data()["user"]["id"], "usr_mine");
}

#[tokio::test]
async fn login_opens_a_session_on_a_device() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let request = json!({
        "email": alice.email, "password": alice.password,
        "deviceInfo": {
            "userAgent": "Mozilla/5.0", "ipAddress": "192.168.1.1", "deviceFingerprint": "fp_1",
        },
    });
    let answer = node.api.post("/auth/login", request.clone()).await.is_yes(200);
    has_exactly(answer.data(), &["user", "session", "requiresMfa"]);
    assert_eq!(answer.data()["requiresMfa"], false);
    let user =
        ["id", "email", "firstName", "lastName", "emailVerified", "mfaEnabled", "lastActiveAt"];
    has_exactly(&answer.data()["user"], &user);
    has_exactly(
        &answer.data()["session"],
        &["accessToken", "refreshToken", "expiresAt", "deviceId"],
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let device = answer.text_of("session.deviceId");
    assert!(device.starts_with("dev_"));
    let again = node.api.post("/auth/login", request).await.is_yes(200);
    assert_eq!(again.text_of("session.deviceId"), device, "the same device keeps its id");
    let other = alice.logs_in().await;
    assert_ne!(other.list().await[0]["deviceId"], json!(null));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_get_the_same_answer() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let known = alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    let unknown = node.api.login("nobody@example.com", "Wrong-river-11!").await;
    assert_eq!(unknown.is_no(401, "invalid_credentials").body, known.body);
}

#[tokio::test]
async fn five_failures_lock_an_account_even_for_the_right_password() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for _ in 0..5 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    alice.guesses("Wrong-river-11!").await.is_no(423, "account_locked");
    alice.guesses(&alice.password).await.is_no(423, "account_locked");
    alice.session.is_alive().await;
    node.register("bob").await.logs_in().await;
}

#[tokio::test]
async fn an_address_without_an_account_locks_alike() {
    let node = Node::start().await;
    for _ in 0..5 {
        node.api.login("nobody@example.com", PASSWORD).await.is_no(401, "invalid_credentials");
    }
    node.api.login("nobody@example.com", PASSWORD).await.is_no(423, "account_locked");
}

#[tokio::test]
async fn a_lock_outlives_a_kill() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for _ in 0..3 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    node.restart().await;
    for _ in 0..2 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    alice.guesses(&alice.password).await.is_no(423, "account_locked");
}

#[tokio::test]
async fn a_login_in_between_starts_the_count_anew() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for _ in 0..2 {
        for _ in 0..4 {
            alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
        }
        alice.logs_in().await;
    }
}

#[tokio::test]
async fn a_changed_password_replaces_the_old_one_and_ends_other_sessions() {
    let node = Node::start().await;
    let mut alice = node.register("alice").await;
    let (phone, tablet) = (alice.logs_in().await, alice.logs_in().await);
    let old = alice.password.clone();
    let answer = alice.changes_password("A-second-river-41!").await;
    assert_eq!(answer.body["message"], "Password changed successfully");
    has_exactly(&answer.body, &["success", "message", "data"]);
    has_exactly(answer.data(), &["sessionsInvalidated"]);
    assert_eq!(answer.data()["sessionsInvalidated"], 2);
    phone.is_over().await;
    tablet.is_over().await;
    alice.session.is_alive().await;
    alice.guesses(&old).await.is_no(401, "invalid_credentials");
    alice.logs_in().await;
}

#[tokio::test]
async fn a_password_can_change_without_ending_other_sessions() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    let request = json!({
        "currentPassword": alice.password, "newPassword": "A-second-river-41!",
        "logoutOtherSessions": false,
    });
    let answer = alice.session.post("/users/me/change-password", request).await.is_yes(200);
    assert_eq!(answer.data()["sessionsInvalidated"], 0);
    phone.is_alive().await;
}

#[tokio::test]
async fn a_change_needs_the_present_password_and_a_strong_new_one() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let change = async |current: &str, new: &str| {
        let request = json!({ "currentPassword": current, "newPassword": new });
        alice.session.post("/users/me/change-password", request).await
    };
    change("Wrong-river-11!", "A-second-river-41!").await.is_no(401, "invalid_credentials");
    change(&alice.password, "password1").await.is_no(422, "weak_password");
    let missing = alice.session.post("/users/me/change-password", json!({})).await;
    let missing = missing.is_no(400, "validation_error");
    for field in ["currentPassword", "newPassword"] {
        assert!(missing.fields_at_fault().contains(field), "{}", missing.text);
    }
    alice.logs_in().await;
}

#[tokio::test]
async fn a_stranger_s_wrong_logins_do_not_keep_a_user_from_their_settings() {
    let node = Node::start().await;
    let mut alice = node.register("alice").await;
    for _ in 0..5 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    alice.guesses(&alice.password).await.is_no(423, "account_locked");
    alice.asks_for_a_seed().await;
    // The password that was guessed at is another from now on.
    alice.changes_password("A-second-river-41!").await;
    alice.logs_in().await;
}

#[tokio::test]
async fn a_stolen_session_does_not_help_to_guess_the_password() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let body = |password: &str| json!({ "currentPassword": password, "newPassword": "A-second-river-41!" });
    let change = async |body| alice.session.post("/users/me/change-password", body).await;
    for _ in 0..5 {
        change(body("Wrong-river-11!")).await.is_no(401, "invalid_credentials");
    }
    change(body(&alice.password)).await.is_no(423, "account_locked");
    let delete = json!({ "password": alice.password, "confirmation": "DELETE" });
    alice.session.delete_with("/users/me", delete).await.is_no(423, "account_locked");
}

#[tokio::test]
async fn a_breached_password_is_refused_where_the_tenant_asks_for_that() {
    let breaches = Breaches::start().await;
    let node = Node::with("passwords.breach_url", breaches.url()).start().await;
    node.api.registration("bob@example.com", BREACHED).await.is_yes(201);
    assert!(breaches.asked().is_empty(), "no tenant asks for it");
    node.configure(json!({ "passwords": { "breachCheck": true } })).await;
    let refused = node.api.registration("eve@example.com", BREACHED).await;
    let refused = refused.is_no(422, "password_breached");
    assert!(refused.fields_at_fault().contains("password"), "{}", refused.text);
    let alice = node.register("alice").await;
    let change = json!({ "currentPassword": alice.password, "newPassword": BREACHED });
    let refused = alice.session.post("/users/me/change-password", change).await;
    let refused = refused.is_no(422, "password_breached");
    assert!(refused.fields_at_fault().contains("newPassword"), "{}", refused.text);
    let create = node.server(Method::POST, "/users");
    let create = create.json(&json!({ "email": "eve@example.com", "password": BREACHED }));
    answer(create).await.is_no(422, "password_breached");
    let amend = node.server(Method::PATCH, &format!("/users/{}", alice.id));
    answer(amend.json(&json!({ "password": BREACHED }))).await.is_no(422, "password_breached");
    node.api.post("/auth/password/forgot", json!({ "email": alice.email })).await.is_yes(200);
    let token = node.mail_to(&alice.email).await.token();
    let reset = json!({ "token": token, "newPassword": BREACHED });
    node.api.post("/auth/password/reset", reset).await.is_no(422, "password_breached");
    let told: std::collections::BTreeSet<_> = breaches.asked().into_iter().collect();
    let told: Vec<_> = told.iter().map(String::as_str).collect();
    assert_eq!(told, ["GET /range/97B71", "GET /range/A777B"], "five digits, and nothing else");
    node.api.login("bob@example.com", BREACHED).await.is_yes(200);
}

#[tokio::test]
async fn where_breaches_cannot_be_looked_up_nobody_is_refused_for_that() {
    let breaches = Breaches::start().await;
    let node = Node::with("passwords.breach_url", breaches.url()).start().await;
    node.configure(json!({ "passwords": { "breachCheck": true } })).await;
    drop(breaches);
    node.api.registration("bob@example.com", BREACHED).await.is_yes(201);
    wait::until("the log says so", async || {
        node.log.text().contains("not looked up among breached ones").then_some(())
    })
    .await;
}
