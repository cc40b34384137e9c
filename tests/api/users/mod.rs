//! The profile of the user who asks, and the end of the account; what administrators do to users, and
//! how users come from elsewhere.

mod export;
mod imports;
mod managed;

use janua_tests::Node;
use janua_tests::people::PASSWORD;
use janua_tests::response::{has_exactly, unix_seconds};
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
