//! Secrets: no password, token or key appears in a log line, in a metric, in an error or on disk.

use std::fs;

use janua_tests::folders::files;
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::{App, Node, Response, User};
use reqwest::Method;
use serde_json::json;

const WRONG: &str = "Wrong-but-still-secret-11!";
const SECOND: &str = "A-second-river-41-secret!";

/// Everything that must not appear: short parts would be found by accident, these are not.
fn secrets(node: &Node, alice: &User, tokens: &[String]) -> Vec<String> {
    let keys = node.keys();
    let mut secrets = vec![PASSWORD.into(), WRONG.into(), SECOND.into()];
    secrets.extend([keys.publishable, keys.secret, keys.operator]);
    secrets.extend([alice.session.access_token.clone(), alice.session.refresh_token.clone()]);
    secrets.extend(tokens.iter().cloned());
    secrets
}

/// A life with every kind of secret in it, right and wrong; the tokens and the errors of it.
async fn lives(node: &Node, alice: &User) -> (Vec<String>, Vec<Response>) {
    let next = alice.session.refreshes().await;
    let phone = alice.logs_in().await;
    let malformed =
        node.api.request(Method::POST, "/auth/login").header("Content-Type", "application/json");
    let malformed =
        malformed.body(format!("{{\"email\":\"{}\",\"password\":\"{PASSWORD}\"", alice.email));
    let wrong_type = json!({ "email": { "x": WRONG }, "password": [WRONG], "refreshToken": WRONG });
    let keyed = node.api.request(Method::GET, "/users/me").header("X-API-Key", node.keys().secret);
    let operator = node.api.me(&node.keys().operator).await;
    let weak = json!({ "email": "a-second-river-41-secret@example.com", "password": SECOND });
    let errors = vec![
        alice.guesses(WRONG).await,
        answer(malformed).await,
        node.api.post("/auth/login", wrong_type.clone()).await,
        node.api.post("/auth/refresh", wrong_type).await,
        node.api.post("/auth/register", weak).await,
        node.api
            .get(&format!("/nowhere/{}?token={}", phone.refresh_token, phone.access_token))
            .await,
        node.api.me(&format!("{}x", phone.access_token)).await,
        node.api.refresh(&format!("{}x", phone.refresh_token)).await,
        answer(keyed).await,
        operator,
    ];
    phone.logs_out().await;
    let change = json!({ "currentPassword": PASSWORD, "newPassword": SECOND });
    next.post("/users/me/change-password", change).await.is_yes(200);
    let tokens = [&next, &phone]
        .map(|session| [session.access_token.clone(), session.refresh_token.clone()]);
    (tokens.concat(), errors)
}

/// Second factors: the seed of an app, backup codes, a temporary token, and codes shown in vain.
async fn has_second_factors(node: &Node) -> (Vec<String>, Vec<Response>) {
    let bob = node.register("bob").await;
    let seed = bob.asks_for_a_seed().await.text_of("secret");
    let mut app = App::with_secret(&seed);
    let code = json!({ "code": app.code().await });
    let enabled = bob.session.post("/users/me/mfa/totp/verify", code).await.is_yes(200);
    let codes = enabled.data()["backupCodes"].as_array().expect("a list");
    let codes: Vec<String> =
        codes.iter().map(|code| code.as_str().expect("a text").into()).collect();
    let token = bob.shows_a_password().await;
    node.api.shows_backup_code(&token, &codes[0]).await.is_yes(200);
    let errors = vec![
        node.api.shows_backup_code(&token, &codes[1]).await,
        node.api.shows(&token, "passkey", "credential", json!([codes[2]])).await,
        bob.session.post("/users/me/mfa/totp/verify", json!({ "code": codes[3] })).await,
    ];
    (codes.into_iter().chain([seed, token]).collect(), errors)
}

#[track_caller]
fn holds_none(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        let found = text.lines().find(|line| line.contains(secret.as_str()));
        assert!(found.is_none(), "{what} shows a secret: {}", found.unwrap_or_default());
    }
}

#[tokio::test]
async fn nothing_that_is_shown_or_kept_holds_a_secret() {
    // The engines too, which are quiet unless they are asked for by name.
    let level =
        "trace,openraft=trace,raft_engine=trace,sled=trace,ractor=trace,hyper=trace,h2=trace";
    let node = Node::with("log.level", level).start().await;
    let alice = node.register("alice").await;
    let (mut tokens, mut errors) = lives(&node, &alice).await;
    let (of_factors, refused) = has_second_factors(&node).await;
    tokens.extend(of_factors);
    errors.extend(refused);
    let secrets = secrets(&node, &alice, &tokens);
    for error in &errors {
        assert!(error.status >= 400, "{}", error.text);
        holds_none("an error", &error.text, &secrets);
    }
    holds_none("/metrics", &node.api.get("/metrics").await.text, &secrets);
    node.stops().await;
    let log = node.log.text();
    assert!(log.contains("TRACE"), "the log is not at trace level");
    holds_none("the log", &log, &secrets);
    for file in files(&node.data_dir()) {
        let bytes = fs::read(&file).unwrap();
        holds_none(&file.display().to_string(), &String::from_utf8_lossy(&bytes), &secrets);
    }
}
