//! Guesses at second factors, replays, and what is good once.

use janua_tests::node::answer;
use janua_tests::{Node, at_once};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn five_wrong_codes_use_up_a_temporary_token() {
    let node = Node::start().await;
    // Out of the way of what is counted here: wrong codes of a user, over all tokens.
    node.configure(json!({ "lockout": { "attempts": 100 } })).await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let token = alice.shows_a_password().await;
    for _ in 0..5 {
        node.api.shows_code(&token, &app.wrong_code()).await.is_no(401, "invalid_mfa_code");
    }
    let right = app.code().await;
    node.api.shows_code(&token, &right).await.is_no(401, "token_used");
    let fresh = alice.shows_a_password().await;
    node.api.shows_code(&fresh, &right).await.is_yes(200);
}

#[tokio::test]
async fn guesses_are_counted_over_fresh_tokens_and_right_passwords() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    for _ in 0..5 {
        let token = alice.shows_a_password().await;
        node.api.shows_code(&token, &app.wrong_code()).await.is_no(401, "invalid_mfa_code");
    }
    let token = alice.shows_a_password().await;
    let locked = node.api.shows_code(&token, &app.code().await).await;
    assert!(!locked.is_no(423, "account_locked").header("retry-after").is_empty());
    let backup = &app.backup_codes[0];
    node.api.shows_backup_code(&token, backup).await.is_no(423, "account_locked");
    node.restart().await;
    node.api.shows_backup_code(&token, backup).await.is_no(423, "account_locked");
    alice.session.is_alive().await;
}

#[tokio::test]
async fn parallel_guesses_are_counted_exactly() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let app = alice.enrols_an_app().await;
    let mut tokens = Vec::new();
    for _ in 0..32 {
        tokens.push(alice.shows_a_password().await);
    }
    let answers = at_once(32, |number| {
        let (api, token, code) = (node.api.clone(), tokens[number].clone(), app.wrong_code());
        async move { api.shows_code(&token, &code).await.status }
    });
    let answers = answers.await;
    let wrong = answers.iter().filter(|status| **status == 401).count();
    let locked = answers.iter().filter(|status| **status == 423).count();
    assert_eq!((wrong, locked), (5, 27), "{answers:?}");
}

#[tokio::test]
async fn a_right_code_forgives_the_wrong_ones_before_it() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    for _ in 0..2 {
        let token = alice.shows_a_password().await;
        for _ in 0..4 {
            node.api.shows_code(&token, &app.wrong_code()).await.is_no(401, "invalid_mfa_code");
        }
        node.api.shows_code(&token, &app.code().await).await.is_yes(200);
    }
}

#[tokio::test]
async fn a_code_is_good_once_even_with_another_token() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let token = alice.shows_a_password().await;
    node.api.shows_code(&token, &app.last_code()).await.is_no(401, "invalid_mfa_code");
    node.api.shows_code(&token, &app.code().await).await.is_yes(200);
    let (token, spent) = (alice.shows_a_password().await, app.last_code());
    node.api.shows_code(&token, &spent).await.is_no(401, "invalid_mfa_code");
    node.restart().await;
    node.api.shows_code(&token, &spent).await.is_no(401, "invalid_mfa_code");
}

#[tokio::test]
async fn one_of_many_parallel_uses_of_a_code_gets_in() {
    let node = Node::start().await;
    node.configure(json!({ "lockout": { "attempts": 1000 } })).await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let code = app.code().await;
    let one = alice.shows_a_password().await;
    let same_token = vec![one; 64];
    assert_eq!(admitted(&node, "totp", &same_token, &code).await, 1);
    let mut fresh_tokens = Vec::new();
    for _ in 0..64 {
        fresh_tokens.push(alice.shows_a_password().await);
    }
    let code = app.code().await;
    assert_eq!(admitted(&node, "totp", &fresh_tokens, &code).await, 1);
    assert_eq!(admitted(&node, "backup_code", &fresh_tokens, &app.backup_codes[3]).await, 1);
}

/// How many of the tokens one code turns into sessions, all shown at once.
async fn admitted(node: &Node, method: &'static str, tokens: &[String], code: &str) -> usize {
    let answers = at_once(tokens.len(), |number| {
        let (api, token, code) = (node.api.clone(), tokens[number].clone(), code.to_owned());
        async move { api.shows(&token, method, "code", code.into()).await }
    });
    let answers = answers.await;
    let refused = answers.iter().filter(|answer| answer.status == 401).count();
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted + refused, tokens.len(), "{answers:?}");
    admitted
}

#[tokio::test]
async fn a_backup_code_is_good_once_however_it_is_typed() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let app = alice.enrols_an_app().await;
    let token = alice.shows_a_password().await;
    let typed = format!(" {} ", app.backup_codes[0].to_uppercase().replace('-', " "));
    node.api.shows_backup_code(&token, &typed).await.is_yes(200);
    let token = alice.shows_a_password().await;
    let again = node.api.shows_backup_code(&token, &app.backup_codes[0]).await;
    again.is_no(401, "invalid_mfa_code");
    node.api.shows_code(&token, &app.backup_codes[1]).await.is_no(401, "invalid_mfa_code");
    node.api.shows_backup_code(&token, &app.backup_codes[1]).await.is_yes(200);
}

#[tokio::test]
async fn a_backup_code_is_its_owner_s_alone() {
    let node = Node::start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    let (of_alice, _) = (alice.enrols_an_app().await, bob.enrols_an_app().await);
    let token = bob.shows_a_password().await;
    let answer = node.api.shows_backup_code(&token, &of_alice.backup_codes[0]).await;
    answer.is_no(401, "invalid_mfa_code");
}

#[tokio::test]
async fn only_temporary_tokens_stand_for_a_first_factor() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let code = app.code().await;
    let made_up = format!("tmp_1_{}", "A".repeat(43));
    for token in [made_up.as_str(), "tmp_nonsense", "x", &alice.session.refresh_token] {
        node.api.shows_code(token, &code).await.is_no(401, "invalid_token");
    }
    let token = alice.shows_a_password().await;
    node.api.me(&token).await.is_no(401, "invalid_token");
    node.api.refresh(&token).await.is_no(401, "invalid_token");
}

#[tokio::test]
async fn a_temporary_token_dies_with_the_password_that_it_stands_for() {
    let node = Node::start().await;
    let mut alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let token = alice.shows_a_password().await;
    alice.changes_password("A-second-river-41!").await;
    node.api.shows_code(&token, &app.code().await).await.is_no(401, "invalid_token");
}

#[tokio::test]
async fn an_administrator_opens_what_wrong_codes_have_closed() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let token = alice.shows_a_password().await;
    for _ in 0..5 {
        node.api.shows_code(&token, &app.wrong_code()).await.is_no(401, "invalid_mfa_code");
    }
    let token = alice.shows_a_password().await;
    let code = app.code().await;
    node.api.shows_code(&token, &code).await.is_no(423, "account_locked");
    let unlock = format!("/users/{}/unlock", alice.id);
    answer(node.server(Method::POST, &unlock)).await.is_yes(200);
    node.api.shows_code(&token, &code).await.is_yes(200);
}

#[tokio::test]
async fn a_suspended_user_gets_no_further() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let mut app = alice.enrols_an_app().await;
    let token = alice.shows_a_password().await;
    let suspend = format!("/users/{}/suspend", alice.id);
    answer(node.server(Method::POST, &suspend)).await.is_yes(200);
    node.api.shows_code(&token, &app.code().await).await.is_no(403, "account_suspended");
}
