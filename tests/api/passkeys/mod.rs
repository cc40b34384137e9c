//! Passkeys, with a software authenticator that shares no code with the server.

mod attacks;

use janua_tests::node::answer;
use janua_tests::response::has_exactly;
use janua_tests::{Authenticator, Node, Session, Stalled};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_passkey_is_registered_as_documented() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let request = json!({
        "displayName": "John Doe",
        "authenticatorSelection": {
            "authenticatorAttachment": "platform", "userVerification": "required",
        },
    });
    let begun = alice.session.post("/auth/passkeys/register/begin", request).await.is_yes(200);
    let options = begun.data();
    has_exactly(
        options,
        &[
            "challenge",
            "rp",
            "user",
            "pubKeyCredParams",
            "timeout",
            "attestation",
            "excludeCredentials",
            "authenticatorSelection",
        ],
    );
    assert_eq!(options["rp"], json!({ "id": "localhost", "name": "Janua" }));
    has_exactly(&options["user"], &["id", "name", "displayName"]);
    assert_eq!(options["user"]["name"], "alice@example.com");
    assert_eq!(options["user"]["displayName"], "John Doe");
    assert_eq!(options["pubKeyCredParams"][0], json!({ "type": "public-key", "alg": -7 }));
    assert_eq!((&options["timeout"], &options["attestation"]), (&json!(60000), &json!("none")));
    assert_eq!(options["authenticatorSelection"]["authenticatorAttachment"], "platform");
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    let credential = Authenticator::new().makes(options).await;
    let answer = alice.session.completes_a_passkey(credential).await.is_yes(201);
    has_exactly(answer.data(), &["credentialId", "verified"]);
    assert!(answer.text_of("credentialId").starts_with("cred_"));
    assert_eq!(answer.data()["verified"], true);
}

#[tokio::test]
async fn a_session_that_ends_meanwhile_is_told_nothing_to_register_by() {
    let node = Node::start().await;
    node.has_agreed().await;
    let alice = node.register("alice").await;
    alice.session.registers_a_passkey().await;
    let request = alice.session.request(Method::POST, "/auth/passkeys/register/begin");
    let stalled = Stalled::begin(request.json(&json!({ "displayName": "Mallory" })), 1).await;
    alice.logs_in().await.delete("/sessions").await.is_yes(200);
    stalled.finish().await.is_no(401, "session_revoked");
}

#[tokio::test]
async fn a_passkey_logs_in_with_its_address() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let options = node.api.begins_passkey_login(json!({ "email": alice.email })).await;
    has_exactly(
        &options,
        &["challenge", "rpId", "allowCredentials", "timeout", "userVerification"],
    );
    assert_eq!(options["rpId"], "localhost");
    assert_eq!(options["userVerification"], "required");
    let allowed = options["allowCredentials"].as_array().expect("a list");
    assert_eq!(allowed.len(), 1);
    has_exactly(&allowed[0], &["id", "type"]);
    let signed = key.signs(&options).await;
    let answer = node.api.completes_passkey_login(signed).await.is_yes(200);
    has_exactly(answer.data(), &["user", "session"]);
    has_exactly(&answer.data()["user"], &["id", "email"]);
    assert_eq!(answer.text_of("user.id"), alice.id);
    has_exactly(&answer.data()["session"], &["accessToken", "refreshToken", "expiresAt"]);
    assert_eq!(answer.header("cache-control"), "no-store");
    Session::of(&node.api, answer.data()).is_alive().await;
}

#[tokio::test]
async fn a_passkey_logs_in_without_an_address() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let begin = "/auth/passkeys/authenticate/begin";
    let bare = answer(node.api.request(Method::POST, begin)).await.is_yes(200);
    assert_eq!(bare.data()["allowCredentials"], json!([]));
    let signed = key.signs(bare.data()).await;
    let answer = node.api.completes_passkey_login(signed).await.is_yes(200);
    assert_eq!(answer.text_of("user.id"), alice.id);
}

#[tokio::test]
async fn a_passkey_is_both_factors_in_one() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    alice.enrols_an_app().await;
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    let answer = node.api.completes_passkey_login(signed).await.is_yes(200);
    Session::of(&node.api, answer.data()).is_alive().await;
}

#[tokio::test]
async fn a_passkey_can_be_the_second_factor() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    alice.enrols_an_app().await;
    let asked = node.api.login(&alice.email, &alice.password).await.is_yes(200);
    assert_eq!(asked.data()["mfaMethods"], json!(["totp", "backup_code", "passkey"]));
    let token = asked.text_of("tempToken");
    let options = node.api.begins_passkey_login(json!({ "tempToken": token })).await;
    assert_eq!(options["allowCredentials"].as_array().map(Vec::len), Some(1));
    let signed = key.signs(&options).await;
    node.api.completes_passkey_login(signed.clone()).await.is_no(401, "invalid_token");
    let answer = node.api.shows(&token, "passkey", "credential", signed.clone()).await.is_yes(200);
    has_exactly(answer.data(), &["session"]);
    Session::of(&node.api, answer.data()).is_alive().await;
    node.api.shows(&token, "passkey", "credential", signed).await.is_no(401, "token_used");
}

#[tokio::test]
async fn a_passkey_opens_while_codes_and_passwords_are_closed() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let app = alice.enrols_an_app().await;
    let token = alice.shows_a_password().await;
    for _ in 0..5 {
        node.api.shows_code(&token, &app.wrong_code()).await.is_no(401, "invalid_mfa_code");
    }
    let token = alice.shows_a_password().await;
    node.api.shows_code(&token, &app.wrong_code()).await.is_no(423, "account_locked");
    let options = node.api.begins_passkey_login(json!({ "tempToken": token })).await;
    let signed = key.signs(&options).await;
    node.api.shows(&token, "passkey", "credential", signed).await.is_yes(200);
    for _ in 0..5 {
        alice.guesses("Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    alice.guesses(&alice.password).await.is_no(423, "account_locked");
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    node.api.completes_passkey_login(signed).await.is_yes(200);
}

#[tokio::test]
async fn passkeys_are_listed_renamed_and_removed() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, id) = alice.session.registers_a_passkey().await;
    let list = async || {
        let answer = alice.session.get("/passkeys").await.is_yes(200);
        answer.data()["passkeys"].as_array().expect("a list").clone()
    };
    let one = list().await;
    assert_eq!(one.len(), 1);
    has_exactly(&one[0], &["id", "name", "backedUp", "transports", "createdAt", "lastUsedAt"]);
    assert_eq!((&one[0]["id"], &one[0]["lastUsedAt"]), (&json!(id), &Value::Null));
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    node.api.completes_passkey_login(signed).await.is_yes(200);
    assert!(list().await[0]["lastUsedAt"].is_string());

    let path = format!("/passkeys/{id}");
    let rename =
        async |body: Value| answer(alice.session.request(Method::PATCH, &path).json(&body)).await;
    assert_eq!(rename(json!({ "name": "Phone" })).await.is_yes(200).data()["name"], "Phone");
    rename(json!({})).await.is_no(400, "validation_error");
    rename(json!({ "name": "x".repeat(101) })).await.is_no(400, "validation_error");
    assert_eq!(list().await[0]["name"], "Phone");

    alice.session.delete(&path).await.is_yes(200);
    assert!(list().await.is_empty());
    alice.session.delete(&path).await.is_no(404, "resource_not_found");
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    node.api.completes_passkey_login(signed).await.is_no(401, "invalid_credentials");
}

#[tokio::test]
async fn passkeys_are_their_owner_s_alone() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let (_, id) = alice.session.registers_a_passkey().await;
    let path = format!("/passkeys/{id}");
    bob.session.delete(&path).await.is_no(404, "resource_not_found");
    let request = bob.session.request(Method::PATCH, &path).json(&json!({ "name": "Mine" }));
    answer(request).await.is_no(404, "resource_not_found");
    let list = bob.session.get("/passkeys").await.is_yes(200);
    assert_eq!(list.data()["passkeys"], json!([]));
}

#[tokio::test]
async fn removing_one_demands_the_second_factor() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let stale = alice.logs_in().await;
    let (_, id) = alice.session.registers_a_passkey().await;
    alice.enrols_an_app().await;
    stale.delete(&format!("/passkeys/{id}")).await.is_no(403, "mfa_required");
    alice.session.delete(&format!("/passkeys/{id}")).await.is_yes(200);
}

#[tokio::test]
async fn a_ceremony_goes_on_after_the_node_was_killed() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut key = Authenticator::new();
    let options = alice.session.begins_a_passkey().await;
    node.restart().await;
    let credential = key.makes(&options).await;
    alice.session.completes_a_passkey(credential).await.is_yes(201);
    let options = node.api.begins_passkey_login(json!({ "email": alice.email })).await;
    node.restart().await;
    let signed = key.signs(&options).await;
    node.api.completes_passkey_login(signed).await.is_yes(200);
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_before() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let keyed = async |path: &str, key: &str, body: &Value| {
        let request = alice.session.request(Method::POST, path).header("Idempotency-Key", key);
        answer(request.json(body)).await
    };
    let begin = "/auth/passkeys/register/begin";
    let first = keyed(begin, "one", &json!({})).await.is_yes(200);
    assert_eq!(keyed(begin, "one", &json!({})).await.is_yes(200).body, first.body);
    let mut key = Authenticator::new();
    let credential = key.makes(first.data()).await;
    let complete = "/auth/passkeys/register/complete";
    let first = keyed(complete, "two", &credential).await.is_yes(201);
    assert_eq!(keyed(complete, "two", &credential).await.is_yes(201).body, first.body);
    let anonymous = async |path: &str, key: &str, body: &Value| {
        let request = node.api.request(Method::POST, path).header("Idempotency-Key", key);
        answer(request.json(body)).await.is_yes(200)
    };
    let begin = "/auth/passkeys/authenticate/begin";
    let first = anonymous(begin, "three", &json!({})).await;
    assert_eq!(anonymous(begin, "three", &json!({})).await.body, first.body);
    let signed = key.signs(first.data()).await;
    let complete = "/auth/passkeys/authenticate/complete";
    let first = anonymous(complete, "four", &signed).await.text_of("session.refreshToken");
    let second = anonymous(complete, "four", &signed).await;
    assert_eq!(second.text_of("session.refreshToken"), first);
}

#[tokio::test]
async fn the_relying_party_is_the_tenant_s_own() {
    let node = Node::start().await;
    let own = json!({
        "rpId": "login.example", "rpName": "Example",
        "origins": ["https://login.example", "https://app.login.example"],
    });
    node.configure(json!({ "webauthn": own })).await;
    let alice = node.register("alice").await;
    let options = alice.session.begins_a_passkey().await;
    assert_eq!(options["rp"], json!({ "id": "login.example", "name": "Example" }));
    let mut key = Authenticator::new();
    let credential = key.makes_at("https://login.example", &options).await;
    alice.session.completes_a_passkey(credential).await.is_yes(201);
    let options = node.api.begins_passkey_login(json!({})).await;
    assert_eq!(options["rpId"], "login.example");
    let signed = key.signs_at("https://app.login.example", &options).await;
    node.api.completes_passkey_login(signed).await.is_yes(200);
    let foreign = json!({ "webauthn": { "origins": ["https://evil.example"] } });
    node.configuration(foreign).await.is_no(400, "validation_error");
}

#[tokio::test]
async fn a_suspended_user_s_passkey_does_not_open() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let suspend = format!("/users/{}/suspend", alice.id);
    answer(node.server(Method::POST, &suspend)).await.is_yes(200);
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    node.api.completes_passkey_login(signed).await.is_no(403, "account_suspended");
}

#[tokio::test]
async fn a_deleted_account_s_passkey_opens_nothing() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let body = json!({ "password": alice.password, "confirmation": "DELETE" });
    alice.session.delete_with("/users/me", body).await.is_yes(200);
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    node.api.completes_passkey_login(signed.clone()).await.is_no(401, "invalid_credentials");
    let again = node.register("alice").await;
    let options = again.session.begins_a_passkey().await;
    assert_eq!(options["excludeCredentials"], json!([]));
}
