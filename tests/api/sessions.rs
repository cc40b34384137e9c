//! Refreshing, listing and ending sessions; what access tokens say and who signs them.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use janua_tests::node::answer;
use janua_tests::places::database;
use janua_tests::response::{has_exactly, unix_seconds};
use janua_tests::{Node, wait};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use reqwest::Method;
use serde_json::{Value, json};

/// What a token says, its signature unchecked.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&claims).expect("JSON")
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_for_the_same_session() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let answer = alice.session.refresh().await.is_yes(200);
    has_exactly(answer.data(), &["accessToken", "refreshToken", "expiresAt"]);
    assert_eq!(answer.header("cache-control"), "no-store");
    let next = answer.text_of("accessToken");
    assert_ne!(answer.text_of("refreshToken"), alice.session.refresh_token);
    assert_ne!(claims(&next)["jti"], claims(&alice.session.access_token)["jti"]);
    assert_eq!(claims(&next)["sid"], claims(&alice.session.access_token)["sid"]);
    node.api.me(&next).await.is_yes(200);
    alice.session.me().await.is_yes(200);
    assert_eq!(alice.session.list().await.len(), 1);
}

#[tokio::test]
async fn a_refresh_repeated_at_once_gives_the_same_successor() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let first = alice.session.refreshes().await;
    let second = alice.session.refreshes().await;
    assert_eq!(first.refresh_token, second.refresh_token);
    second.refreshes().await.is_alive().await;
}

#[tokio::test]
async fn an_older_ancestor_ends_the_session() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    let newest = alice.session.refreshes().await.refreshes().await;
    assert_eq!(alice.session.refresh().await.status, 401);
    newest.is_over().await;
    phone.is_alive().await;
}

#[tokio::test]
async fn a_predecessor_is_deadly_after_its_ten_seconds() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let next = alice.session.refreshes().await;
    // The ten seconds are the contract's; they pass while the predecessor still gives its successor.
    let started = std::time::Instant::now();
    tokio::time::sleep(std::time::Duration::from_millis(10_500)).await;
    assert!(started.elapsed().as_secs() >= 10);
    assert_eq!(alice.session.refresh().await.status, 401);
    next.is_over().await;
}

#[tokio::test]
async fn a_foreign_or_malformed_refresh_token_is_invalid() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let token = &alice.session.refresh_token;
    let other_secret = format!("{}AAAA", &token[..token.len() - 4]);
    for token in [
        "rt_",
        "rt_1_x",
        "rt_zzz_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "x",
        &other_secret,
        &alice.session.access_token,
    ] {
        node.api.refresh(token).await.is_no(401, "invalid_token");
    }
    node.api.post("/auth/refresh", json!({})).await.is_no(400, "validation_error");
    alice.session.is_alive().await;
}

#[tokio::test]
async fn logout_ends_the_session_and_no_other() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    let answer = phone.logs_out().await;
    assert_eq!(answer.body, json!({ "success": true, "message": "Logged out successfully" }));
    phone.is_over().await;
    alice.session.is_alive().await;
}

#[tokio::test]
async fn the_list_shows_every_session_with_its_device() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    let sessions = phone.list().await;
    assert_eq!(sessions.len(), 2);
    for session in &sessions {
        has_exactly(
            session,
            &[
                "id",
                "deviceId",
                "userAgent",
                "ipAddress",
                "location",
                "isCurrent",
                "createdAt",
                "lastActiveAt",
                "expiresAt",
            ],
        );
        assert!(session["id"].as_str().unwrap().starts_with("sess_"));
        assert_eq!(session["ipAddress"], "127.0.0.1");
        assert_eq!(session["location"], Value::Null);
        let life = unix_seconds(&session["expiresAt"]) - unix_seconds(&session["createdAt"]);
        assert_eq!(life, 7 * 86400);
    }
    assert_eq!(sessions.iter().filter(|session| session["isCurrent"] == true).count(), 1);
    assert_eq!(json!(phone.id().await), claims(&phone.access_token)["sid"]);
    let bob = node.register("bob").await;
    assert_eq!(bob.session.list().await.len(), 1);
}

#[tokio::test]
async fn a_session_can_be_revoked_from_another() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let phone = alice.logs_in().await;
    let path = format!("/sessions/{}", phone.id().await);
    let answer = alice.session.delete(&path).await.is_yes(200);
    assert_eq!(answer.body, json!({ "success": true, "message": "Session revoked successfully" }));
    phone.is_over().await;
    alice.session.delete(&path).await.is_no(404, "resource_not_found");
    assert_eq!(alice.session.list().await.len(), 1);
}

#[tokio::test]
async fn a_session_that_is_not_the_callers_does_not_exist() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let foreign = alice.session.id().await;
    for id in [foreign.as_str(), "sess_00000000000000000000000000", "sess_x", "nonsense"] {
        let answer = bob.session.delete(&format!("/sessions/{id}")).await;
        answer.is_no(404, "resource_not_found");
    }
    alice.session.is_alive().await;
}

#[tokio::test]
async fn all_other_sessions_can_be_revoked_at_once() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let others = [alice.logs_in().await, alice.logs_in().await, alice.logs_in().await];
    let answer = alice.session.delete("/sessions").await.is_yes(200);
    assert_eq!(answer.body, json!({ "success": true, "data": { "revokedCount": 3 } }));
    for other in others {
        other.is_over().await;
    }
    alice.session.is_alive().await;
    let answer = alice.session.delete("/sessions").await.is_yes(200);
    assert_eq!(answer.data()["revokedCount"], 0);
}

#[tokio::test]
async fn the_oldest_session_makes_room_for_a_newer_one() {
    let node = Node::with("sessions.per_user", 3).start().await;
    let alice = node.register("alice").await;
    let second = alice.logs_in().await;
    let _third = alice.logs_in().await;
    let fourth = alice.logs_in().await;
    assert_eq!(fourth.list().await.len(), 3);
    assert_eq!(alice.session.me().await.status, 401);
    second.is_alive().await;
}

#[tokio::test]
async fn an_access_token_says_what_the_contract_says() {
    let node = Node::with("http.public_url", "http://localhost:4000").start().await;
    let alice = node.register("alice").await;
    let claims = claims(&alice.session.access_token);
    for name in ["iss", "sub", "tid", "sid", "amr", "auth_time", "iat", "exp", "jti"] {
        assert!(!claims[name].is_null(), "{name}: {claims}");
    }
    assert_eq!(claims["iss"], "http://localhost:4000");
    assert_eq!(claims["sub"], alice.id.as_str());
    assert_eq!(claims["tid"], "default");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

#[tokio::test]
async fn anyone_can_verify_an_access_token_with_the_published_keys() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let token = &alice.session.access_token;
    let header = decode_header(token).unwrap();
    assert_eq!(header.alg, jsonwebtoken::Algorithm::ES256);
    for path in ["/.well-known/jwks.json", "/tenants/default/.well-known/jwks.json"] {
        let published = node.api.get(path).await;
        assert_eq!(published.status, 200, "{}", published.text);
        assert!(!published.text.contains("\"d\""), "a private key is published");
        let keys: JwkSet = serde_json::from_value(published.body).unwrap();
        let key = keys.find(header.kid.as_deref().unwrap()).expect("the signing key is published");
        let mut validation = Validation::new(header.alg);
        validation.validate_aud = false;
        decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap();
    }
}

#[tokio::test]
async fn every_algorithm_that_can_be_configured_signs() {
    for (name, key_type) in [("EdDSA", Some("OKP")), ("RS256", Some("RSA")), ("HS256", None)] {
        let node = Node::with("tokens.signing_algorithm", name).start().await;
        let alice = node.register("alice").await;
        let header = decode_header(&alice.session.access_token).unwrap();
        assert_eq!(format!("{:?}", header.alg), name);
        alice.session.is_alive().await;
        let published = node.api.get("/.well-known/jwks.json").await;
        let keys = published.body["keys"].as_array().unwrap();
        let found = keys.iter().find(|key| key["kid"] == json!(header.kid));
        assert_eq!(found.and_then(|key| key["kty"].as_str()), key_type, "{name}");
    }
}

#[tokio::test]
async fn a_token_that_was_tampered_with_is_invalid() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let parts: Vec<_> = alice.session.access_token.split('.').collect();
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let mut stretched = claims(&alice.session.access_token);
    stretched["exp"] = json!(4_102_444_800_u64);
    let unsigned = json!({ "alg": "none", "typ": "JWT" });
    let public_as_secret = json!({ "alg": "HS256", "typ": "JWT", "kid": decode_header(&alice.session.access_token).unwrap().kid });
    for token in [
        format!("{}.{}.{}", parts[0], encode(&stretched), parts[2]),
        format!("{}.{}.", encode(&unsigned), parts[1]),
        format!("{}.{}.{}", encode(&public_as_secret), parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(parts[2].len())),
        format!("{}.{}", parts[0], parts[1]),
        "not-a-token".into(),
    ] {
        node.api.me(&token).await.is_no(401, "invalid_token");
    }
    alice.session.me().await.is_yes(200);
}

#[tokio::test]
async fn an_access_token_runs_out_and_its_refresh_token_does_not() {
    let node = Node::with("tokens.access_ttl", "10s").start().await;
    let alice = node.register("alice").await;
    let expired = wait::until("the access token has run out", async || {
        let me = alice.session.me().await;
        (me.status != 200).then_some(me)
    });
    expired.await.is_no(401, "session_expired");
    alice.session.refreshes().await.me().await.is_yes(200);
}

#[tokio::test]
async fn a_session_ends_for_good_when_its_time_has_come() {
    let node =
        Node::with("tokens.session_ttl", "10s").with("tokens.access_ttl", "10s").start().await;
    let alice = node.register("alice").await;
    let ended = wait::until("the session has run out", async || {
        let answer = alice.session.refresh().await;
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(ended.await.status, 401);
    assert_eq!(alice.session.me().await.status, 401);
    alice.logs_in().await;
}

#[tokio::test]
async fn a_session_tells_where_its_address_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("places.mmdb");
    let france = ("81.2.69.0", 24, "FR", "IDF", "Paris");
    let spain = ("2a02:9000::", 24, "ES", "MD", "Madrid");
    std::fs::write(&file, database(&[france, spain])).unwrap();
    let node = Node::with("geoip.database", file.display())
        .with("http.trusted_proxies", "127.0.0.1/32")
        .start()
        .await;
    let alice = node.register("alice").await;
    for address in ["81.2.69.160", "2a02:9000::7", "192.168.1.1", "8.8.8.8"] {
        let login = node.api.request(Method::POST, "/auth/login");
        let login = login.header("X-Forwarded-For", address);
        answer(login.json(&json!({ "email": alice.email, "password": alice.password })))
            .await
            .is_yes(200);
    }
    let places = async || {
        let sessions = alice.session.list().await;
        sessions.into_iter().map(|session| session["location"].clone()).collect::<Vec<_>>()
    };
    let paris = json!({ "country": "FR", "city": "Paris", "region": "IDF" });
    let madrid = json!({ "country": "ES", "city": "Madrid", "region": "MD" });
    let nowhere = json!(null);
    let expected = [&nowhere, &paris, &madrid, &nowhere, &nowhere].map(Clone::clone);
    assert_eq!(places().await, expected);
    let moved = ("81.2.69.0", 24, "GB", "ENG", "London");
    std::fs::write(&file, database(&[moved])).unwrap();
    let london = json!({ "country": "GB", "city": "London", "region": "ENG" });
    wait::until("the new file is read", async || (places().await[1] == london).then_some(())).await;
    std::fs::write(&file, b"no database").unwrap();
    std::fs::remove_file(&file).unwrap();
    wait::until("there is no file", async || places().await[1].is_null().then_some(())).await;
}
