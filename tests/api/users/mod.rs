//! The profile of the user who asks, and the end of the account; what administrators do to users, and
//! how users come from elsewhere.

mod export;
mod imports;
mod managed;

use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::response::{has_exactly, unix_seconds};
use janua_tests::{Authenticator, Node, Session};
use reqwest::Method;
use serde_json::{Value, json};

const PROFILE: [&str; 12] = [
    "id",
    "email",
    "firstName",
    "lastName",
    "emailVerified",
    "phoneNumber",
    "phoneVerified",
    "avatar",
    "mfaEnabled",
    "createdAt",
    "lastActiveAt",
    "metadata",
];

#[tokio::test]
async fn a_user_sees_their_profile() {
    let node = Node::start().await;
    let request = json!({
        "email": "user@example.com", "password": PASSWORD, "firstName": "John", "lastName": "Doe",
        "metadata": { "source": "web_app" },
    });
    let registered = node.api.post("/auth/register", request).await.is_yes(201);
    let me = node.api.me(&registered.text_of("session.accessToken")).await.is_yes(200);
    has_exactly(me.data(), &PROFILE);
    assert_eq!(me.data()["id"], registered.data()["user"]["id"]);
    assert_eq!(me.data()["lastName"], "Doe");
    assert_eq!(me.data()["phoneNumber"], Value::Null);
    assert_eq!(me.data()["phoneVerified"], false);
    assert_eq!(me.data()["mfaEnabled"], false);
    assert_eq!(me.data()["metadata"], json!({ "source": "web_app" }));
    assert!(unix_seconds(&me.data()["lastActiveAt"]) >= unix_seconds(&me.data()["createdAt"]));
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let update = json!({
        "firstName": "Jane", "lastName": "Smith", "phoneNumber": "+14155550123",
        "avatar": "https://example.com/avatar.jpg",
        "metadata": { "preferences": { "theme": "dark", "language": "en" } },
    });
    let answer = alice.session.put("/users/me", update.clone()).await.is_yes(200);
    has_exactly(answer.data(), &["id", "email", "firstName", "lastName", "phoneNumber", "avatar"]);
    assert_eq!(answer.data()["firstName"], "Jane");
    let answer = alice.session.put("/users/me", json!({ "lastName": "Jones" })).await.is_yes(200);
    assert_eq!(answer.data()["firstName"], "Jane");
    let me = alice.session.me().await;
    assert_eq!(me.data()["lastName"], "Jones");
    assert_eq!(me.data()["avatar"], update["avatar"]);
    assert_eq!(me.data()["phoneNumber"], update["phoneNumber"]);
    assert_eq!(me.data()["metadata"], update["metadata"]);
}

#[tokio::test]
async fn an_update_cannot_set_what_is_not_the_users_to_set() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let before = alice.session.me().await;
    let update = json!({
        "id": "usr_mine", "email": "root@example.com", "emailVerified": true,
        "phoneVerified": true, "mfaEnabled": true, "role": "owner", "plan": "enterprise",
        "createdAt": "2001-01-01T00:00:00Z", "password": "Another-river-77!",
    });
    alice.session.put("/users/me", update).await.is_yes(200);
    let after = alice.session.me().await;
    for field in PROFILE.into_iter().filter(|field| *field != "lastActiveAt") {
        assert_eq!(after.data()[field], before.data()[field], "{field}");
    }
    alice.logs_in().await;
}

#[tokio::test]
async fn an_update_names_every_field_at_fault() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let update = json!({ "phoneNumber": "call me", "avatar": "javascript:alert(1)" });
    let answer = alice.session.put("/users/me", update).await.is_no(400, "validation_error");
    for field in ["phoneNumber", "avatar"] {
        assert!(answer.fields_at_fault().contains(field), "{field}: {}", answer.text);
    }
    for wrong_type in [json!({ "firstName": 1 }), json!({ "metadata": [] })] {
        let answer = alice.session.put("/users/me", wrong_type.clone()).await;
        let answer = answer.is_no(400, "validation_error");
        assert_eq!(answer.fields_at_fault().len(), 1, "{wrong_type}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_deleted_account_is_gone_with_its_sessions_and_its_address_is_free() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    let request = json!({ "password": alice.password, "confirmation": "DELETE" });
    let answer = alice.session.delete_with("/users/me", request).await.is_yes(200);
    assert_eq!(answer.body, json!({ "success": true, "message": "Account deleted successfully" }));
    for session in [&alice.session, &phone] {
        assert_eq!(session.me().await.status, 401);
        assert_eq!(session.refresh().await.status, 401);
    }
    alice.guesses(&alice.password).await.is_no(401, "invalid_credentials");
    let again = node.register("alice").await;
    assert_ne!(again.id, alice.id);
}

#[tokio::test]
async fn what_was_answered_about_a_deleted_account_is_not_answered_again() {
    let node = Node::start().await;
    let registers = async |email: &str| {
        let request = node.api.request(Method::POST, "/auth/register");
        let request = request.header("Idempotency-Key", "a-newcomer");
        answer(request.json(&json!({ "email": email, "password": PASSWORD }))).await
    };
    let made = registers("alice@example.com").await.is_yes(201);
    let repeated = registers("alice@example.com").await.is_yes(201);
    assert_eq!(repeated.data()["user"], made.data()["user"]);
    let session = Session::of(&node.api, made.data());
    let request = json!({ "password": PASSWORD, "confirmation": "DELETE" });
    session.delete_with("/users/me", request).await.is_yes(200);
    let again = registers("alice@example.com").await.is_no(404, "resource_not_found");
    assert!(!again.text.contains("alice"), "{}", again.text);
    registers("bob@example.com").await.is_no(409, "idempotency_conflict");
    let alice = node.register("alice").await;
    assert_ne!(alice.id, made.text_of("user.id"), "with another key the address is free");
}

#[tokio::test]
async fn deletion_needs_the_password_and_the_word() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let delete = async |request: Value| alice.session.delete_with("/users/me", request).await;
    let wrong = json!({ "password": "Wrong-river-11!", "confirmation": "DELETE" });
    delete(wrong).await.is_no(401, "invalid_credentials");
    for confirmation in [json!("delete"), json!(""), json!(null), json!(true)] {
        let request = json!({ "password": alice.password, "confirmation": confirmation });
        delete(request).await.is_no(400, "validation_error");
    }
    delete(json!({})).await.is_no(400, "validation_error");
    alice.session.is_alive().await;
}

#[tokio::test]
async fn users_see_only_themselves() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    alice.session.put("/users/me", json!({ "firstName": "Alice" })).await.is_yes(200);
    let me = bob.session.me().await.is_yes(200);
    assert_eq!(me.data()["email"], bob.email);
    assert_ne!(me.data()["firstName"], "Alice");
}

/// Somebody who came by a mailed link, and has no password.
async fn by_link(node: &Node, email: &str) -> Session {
    node.settles(json!({ "magicLinkSignup": true })).await;
    node.api.post("/auth/magic-link/send", json!({ "email": email })).await.is_yes(200);
    let body = json!({ "token": node.mail_to(email).await.token() });
    let entered = node.api.post("/auth/magic-link/verify", body).await.is_yes(200);
    Session::of(&node.api, entered.data())
}

#[tokio::test]
async fn a_user_without_a_password_deletes_the_account_by_having_just_logged_in() {
    let node = Node::start().await;
    let session = by_link(&node, "alice@example.com").await;
    // No guess is counted where there is nothing to guess.
    for _ in 0..6 {
        let body = json!({ "password": "Wrong-river-11!", "confirmation": "delete" });
        session.delete_with("/users/me", body).await.is_no(400, "validation_error");
    }
    session.delete_with("/users/me", json!({ "confirmation": "DELETE" })).await.is_yes(200);
    assert_eq!(session.me().await.status, 401);
}

#[tokio::test]
async fn a_user_without_a_password_sets_the_first_one() {
    let node = Node::start().await;
    let session = by_link(&node, "alice@example.com").await;
    let change = async |body| session.post("/users/me/change-password", body).await;
    for _ in 0..6 {
        let weak = json!({ "currentPassword": "Wrong-river-11!", "newPassword": "password1" });
        change(weak).await.is_no(422, "weak_password");
    }
    change(json!({ "newPassword": PASSWORD })).await.is_yes(200);
    node.api.login("alice@example.com", PASSWORD).await.is_yes(200);
    // From now on there is one to show.
    let missing = change(json!({ "newPassword": "A-second-river-41!" })).await;
    let missing = missing.is_no(400, "validation_error");
    assert_eq!(missing.fields_at_fault(), ["currentPassword"].into());
}

#[tokio::test]
async fn the_last_way_in_is_not_removed() {
    let node = Node::start().await;
    let session = by_link(&node, "alice@example.com").await;
    let (_, id) = session.registers_a_passkey().await;
    let path = format!("/passkeys/{id}");
    session.delete(&path).await.is_no(409, "last_login_method");
    let (_, second) = session.registers_a_passkey().await;
    session.delete(&path).await.is_yes(200);
    let path = format!("/passkeys/{second}");
    session.delete(&path).await.is_no(409, "last_login_method");
    let body = json!({ "newPassword": PASSWORD });
    session.post("/users/me/change-password", body).await.is_yes(200);
    session.delete(&path).await.is_yes(200);
}

#[tokio::test]
async fn passkeys_come_and_go_in_fresh_sessions_or_with_the_password() {
    let node = Node::with("sessions.fresh", "1ms").start().await;
    let alice = node.register("alice").await;
    let begin = "/auth/passkeys/register/begin";
    let stale = alice.session.post(begin, json!({})).await;
    stale.is_no(403, "reauthentication_required");
    let shown = json!({ "password": alice.password });
    let begun = alice.session.post(begin, shown.clone()).await.is_yes(200);
    let credential = Authenticator::new().makes(begun.data()).await;
    let made = alice.session.completes_a_passkey(credential).await.is_yes(201);
    let path = format!("/passkeys/{}", made.text_of("credentialId"));
    alice.session.delete(&path).await.is_no(403, "reauthentication_required");
    let wrong = json!({ "password": "Wrong-river-11!" });
    alice.session.delete_with(&path, wrong).await.is_no(401, "invalid_credentials");
    alice.session.delete_with(&path, shown).await.is_yes(200);
}
