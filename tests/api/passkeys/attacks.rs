//! Passkeys under attack: replays, forgeries, copies, and questions that fish for accounts.

use janua_tests::authenticator::Lie;
use janua_tests::response::has_exactly;
use janua_tests::{Authenticator, Node, at_once, wait};
use serde_json::{Value, json};

#[tokio::test]
async fn who_is_nameless_must_be_named_by_the_passkey() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    key.forgets_its_user();
    let anybody = node.api.begins_passkey_login(json!({})).await;
    let signed = key.signs(&anybody).await;
    node.api.completes_passkey_login(signed).await.is_no(401, "invalid_credentials");
    let options = node.api.begins_passkey_login(json!({ "email": alice.email })).await;
    let signed = key.signs(&options).await;
    node.api.completes_passkey_login(signed).await.is_yes(200);
}

#[tokio::test]
async fn a_challenge_for_one_token_is_no_good_with_another() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    alice.enrols_an_app().await;
    let (one, other) = (alice.shows_a_password().await, alice.shows_a_password().await);
    let options = node.api.begins_passkey_login(json!({ "tempToken": one })).await;
    let signed = key.signs(&options).await;
    let answer = node.api.shows(&other, "passkey", "credential", signed.clone()).await;
    answer.is_no(401, "invalid_token");
    let first_factor = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    let answer = node.api.shows(&other, "passkey", "credential", first_factor).await;
    answer.is_no(401, "invalid_token");
    node.api.shows(&one, "passkey", "credential", signed).await.is_yes(200);
}

#[tokio::test]
async fn an_address_without_a_passkey_is_answered_like_one_with() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    alice.session.registers_a_passkey().await;
    let begin = async |email: &str| node.api.begins_passkey_login(json!({ "email": email })).await;
    let (with, without) = (begin(&alice.email).await, begin(&bob.email).await);
    let unknown = begin("nobody@example.com").await;
    for options in [&with, &without, &unknown] {
        let allowed = options["allowCredentials"].as_array().expect("a list");
        assert!((1..=3).contains(&allowed.len()), "{options}");
        for credential in allowed {
            has_exactly(credential, &["id", "type"]);
            assert!(credential["id"].as_str().is_some_and(|id| id.len() >= 20), "{options}");
        }
        let names = |options: &Value| -> Vec<String> {
            options.as_object().expect("an object").keys().cloned().collect()
        };
        assert_eq!(names(options), names(&with));
    }
    assert_eq!(begin("nobody@example.com").await["allowCredentials"], unknown["allowCredentials"]);
    assert_eq!(begin("NoBody@Example.com").await["allowCredentials"], unknown["allowCredentials"]);
    assert_eq!(begin(&bob.email).await["allowCredentials"], without["allowCredentials"]);
    assert_ne!(without["allowCredentials"], unknown["allowCredentials"]);
}

#[tokio::test]
async fn a_challenge_for_one_address_is_not_answered_by_the_passkey_of_another() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    alice.session.registers_a_passkey().await;
    let (mut of_bob, _) = bob.session.registers_a_passkey().await;
    for email in [alice.email.as_str(), "nobody@example.com"] {
        let mut options = node.api.begins_passkey_login(json!({ "email": email })).await;
        options["allowCredentials"] = json!([]);
        let signed = of_bob.signs(&options).await;
        node.api.completes_passkey_login(signed).await.is_no(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn a_challenge_is_answered_once() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut key = Authenticator::new();
    let credential = key.makes(&alice.session.begins_a_passkey().await).await;
    alice.session.completes_a_passkey(credential.clone()).await.is_yes(201);
    alice.session.completes_a_passkey(credential).await.is_no(401, "token_used");
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    node.api.completes_passkey_login(signed.clone()).await.is_yes(200);
    node.api.completes_passkey_login(signed.clone()).await.is_no(401, "token_used");
    node.restart().await;
    node.api.completes_passkey_login(signed).await.is_no(401, "token_used");
}

#[tokio::test]
async fn one_of_many_parallel_answers_gets_in() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    let answers = at_once(64, |_| {
        let (api, signed) = (node.api.clone(), signed.clone());
        async move { api.completes_passkey_login(signed).await }
    });
    let answers = answers.await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.code() == "token_used").count();
    assert_eq!((admitted, refused), (1, 63), "{answers:?}");
}

#[tokio::test]
async fn a_registration_is_completed_by_the_session_that_began_it() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let elsewhere = alice.logs_in().await;
    let options = alice.session.begins_a_passkey().await;
    let credential = Authenticator::new().makes(&options).await;
    bob.session.completes_a_passkey(credential.clone()).await.is_no(401, "invalid_token");
    elsewhere.completes_a_passkey(credential.clone()).await.is_no(401, "invalid_token");
    alice.session.completes_a_passkey(credential).await.is_yes(201);
}

#[tokio::test]
async fn challenges_are_good_for_what_they_were_issued_for() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let to_register = alice.session.begins_a_passkey().await;
    let login = json!({ "challenge": to_register["challenge"], "rpId": "localhost" });
    let signed = key.lies(&login, Lie::default()).await;
    node.api.completes_passkey_login(signed).await.is_no(401, "invalid_token");
    let to_log_in = node.api.begins_passkey_login(json!({})).await;
    let mut creation = to_register.clone();
    creation["challenge"] = to_log_in["challenge"].clone();
    creation["excludeCredentials"] = json!([]);
    let credential = Authenticator::new().makes(&creation).await;
    alice.session.completes_a_passkey(credential).await.is_no(401, "invalid_token");
    creation["challenge"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into();
    let credential = Authenticator::new().makes(&creation).await;
    alice.session.completes_a_passkey(credential).await.is_no(401, "invalid_token");
}

#[tokio::test]
async fn what_is_signed_for_somebody_else_or_unverified_does_not_hold() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let lies = [
        Lie { origin: "https://evil.example", ..Lie::default() },
        Lie { origin: "http://localhost:3001", ..Lie::default() },
        Lie { origin: "https://localhost:3000", ..Lie::default() },
        Lie { rp_id: "evil.example", ..Lie::default() },
        Lie { kind: "webauthn.create", ..Lie::default() },
        Lie { cross_origin: true, ..Lie::default() },
    ];
    for lie in lies {
        let options = node.api.begins_passkey_login(json!({})).await;
        let signed = key.lies(&options, lie).await;
        node.api.completes_passkey_login(signed).await.is_no(401, "invalid_credentials");
    }
    let mut lax = node.api.begins_passkey_login(json!({})).await;
    lax["userVerification"] = "discouraged".into();
    let unverified = key.signs(&lax).await;
    node.api.completes_passkey_login(unverified).await.is_no(401, "invalid_credentials");
    let options = node.api.begins_passkey_login(json!({})).await;
    let mut forged = key.signs(&options).await;
    let other = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    forged["response"]["signature"] = other["response"]["signature"].clone();
    node.api.completes_passkey_login(forged).await.is_no(401, "invalid_credentials");
    let honest = node.api.begins_passkey_login(json!({})).await;
    let signed = key.lies(&honest, Lie::default()).await;
    node.api.completes_passkey_login(signed).await.is_yes(200);
}

#[tokio::test]
async fn a_passkey_made_elsewhere_or_by_nobody_in_particular_is_not_taken() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let options = alice.session.begins_a_passkey().await;
    let elsewhere = Authenticator::new().makes_at("http://localhost:3001", &options).await;
    alice.session.completes_a_passkey(elsewhere).await.is_no(401, "invalid_credentials");
    let mut lax = alice.session.begins_a_passkey().await;
    lax["authenticatorSelection"]["userVerification"] = "discouraged".into();
    let unverified = Authenticator::new().makes(&lax).await;
    alice.session.completes_a_passkey(unverified).await.is_no(401, "invalid_credentials");
    let options = alice.session.begins_a_passkey().await;
    let of_other = Authenticator::new().makes_for("evil.example", &options).await;
    alice.session.completes_a_passkey(of_other).await.is_no(401, "invalid_credentials");
    assert_eq!(alice.session.get("/passkeys").await.data()["passkeys"], json!([]));
}

#[tokio::test]
async fn a_copied_authenticator_is_noticed_by_its_counter() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let mut copy = key.clone();
    for _ in 0..2 {
        let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
        node.api.completes_passkey_login(signed).await.is_yes(200);
    }
    let signed = copy.signs(&node.api.begins_passkey_login(json!({})).await).await;
    node.api.completes_passkey_login(signed).await.is_no(401, "invalid_credentials");
    wait::until("the operator is warned", async || {
        node.log.text().contains("it may have been copied").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_counter_grows_whichever_of_two_answers_comes_first() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let earlier = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    let later = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    node.api.completes_passkey_login(later).await.is_yes(200);
    node.api.completes_passkey_login(earlier).await.is_no(401, "invalid_credentials");
}

#[tokio::test]
async fn both_ids_denote_the_same_bytes() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let (mut other, _) = bob.session.registers_a_passkey().await;
    let of_bob = other.signs(&node.api.begins_passkey_login(json!({})).await).await;
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    for (field, value) in [("id", &of_bob["id"]), ("rawId", &of_bob["rawId"])] {
        let mut mixed = signed.clone();
        mixed[field] = value.clone();
        let refused = node.api.completes_passkey_login(mixed).await.is_no(400, "validation_error");
        assert!(refused.fields_at_fault().contains("id"), "{}", refused.text);
    }
    let mut padded = signed;
    padded["id"] = format!("{}==", padded["id"].as_str().expect("a text")).into();
    node.api.completes_passkey_login(padded).await.is_yes(200);
}

#[tokio::test]
async fn a_credential_must_be_whole() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    let mut nothing = node.api.completes_passkey_login(json!({})).await;
    nothing = nothing.is_no(400, "validation_error");
    for field in ["id", "rawId", "response", "type"] {
        assert!(nothing.fields_at_fault().contains(field), "{field}: {}", nothing.text);
    }
    for (field, value) in [
        ("/type", json!("password")),
        ("/rawId", json!("not base64!")),
        ("/response/signature", json!("")),
        ("/response/clientDataJSON", json!("bm90IEpTT04")),
        ("/response/authenticatorData", json!(7)),
    ] {
        let mut broken = signed.clone();
        *broken.pointer_mut(field).expect("a field") = value;
        let refused = node.api.completes_passkey_login(broken).await;
        let refused = refused.is_no(400, "validation_error");
        let named = field[1..].replace('/', ".");
        assert!(refused.fields_at_fault().contains(named.as_str()), "{named}: {}", refused.text);
    }
    node.api.completes_passkey_login(signed).await.is_yes(200);
}

#[tokio::test]
async fn a_credential_belongs_to_one_account() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let (mut key, _) = alice.session.registers_a_passkey().await;
    let again = alice.session.begins_a_passkey().await;
    let signed = key.signs(&node.api.begins_passkey_login(json!({})).await).await;
    assert_eq!(again["excludeCredentials"][0]["id"], signed["rawId"]);
    // An attacker's authenticator claims the id of Alice's passkey for a key of its own.
    let options = bob.session.begins_a_passkey().await;
    let taken = Authenticator::new().makes_called(&options, &signed["rawId"]).await;
    let refused = bob.session.completes_a_passkey(taken).await.is_no(400, "validation_error");
    assert!(refused.fields_at_fault().contains("id"), "{}", refused.text);
    node.api.completes_passkey_login(signed).await.is_yes(200);
}
