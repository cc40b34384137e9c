//! Once: what must happen once happens once, however many ask at the same moment.

use std::collections::BTreeSet;

use janua_tests::node::{Api, answer, send};
use janua_tests::people::PASSWORD;
use janua_tests::{Node, Response, at_once};
use reqwest::Method;
use serde_json::json;

const MANY: usize = 64;

fn count(answers: &[Response], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test]
async fn one_refresh_token_has_one_successor() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let session = alice.session.clone();
    let answers = at_once(MANY, |_| {
        let session = session.clone();
        async move { session.refresh().await }
    });
    let answers = answers.await;
    assert_eq!(count(&answers, 200), MANY, "a retry within the grace is no theft");
    let successors: BTreeSet<_> =
        answers.iter().map(|answer| answer.text_of("refreshToken")).collect();
    assert_eq!(successors.len(), 1);
    let successor = successors.first().expect("one");
    assert_ne!(successor, &session.refresh_token);
    node.api.refresh(successor).await.is_yes(200);
    assert_eq!(session.list().await.len(), 1);
}

#[tokio::test]
async fn one_address_is_registered_once() {
    let node = Node::start().await;
    let api = node.api.clone();
    let answers = at_once(MANY, |_| {
        let api = api.clone();
        async move { api.registration("alice@example.com", PASSWORD).await }
    });
    let answers = answers.await;
    assert_eq!((count(&answers, 201), count(&answers, 409)), (1, MANY - 1));
    let winner = answers.iter().find(|answer| answer.status == 201).expect("one");
    let login = node.api.login("alice@example.com", PASSWORD).await.is_yes(200);
    assert_eq!(login.text_of("user.id"), winner.text_of("user.id"));
}

#[tokio::test]
async fn parallel_guesses_are_counted_exactly() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    for email in [alice.email.as_str(), "nobody@example.com"] {
        let answers = at_once(MANY, |_| {
            let (api, email) = (node.api.clone(), email.to_owned());
            async move { api.login(&email, "Wrong-river-11!").await }
        });
        let answers = answers.await;
        assert_eq!((count(&answers, 401), count(&answers, 423)), (5, MANY - 5), "{email}");
    }
    alice.guesses(&alice.password).await.is_no(423, "account_locked");
}

fn keyed(api: &Api) -> reqwest::RequestBuilder {
    let request =
        api.request(Method::POST, "/auth/register").header("Idempotency-Key", "only-once");
    request.json(&json!({ "email": "alice@example.com", "password": PASSWORD }))
}

/// Exactly one user and one session came of it.
async fn happened_once(node: &Node, answers: &[Response]) {
    let users: BTreeSet<_> = answers.iter().map(|answer| answer.text_of("user.id")).collect();
    let tokens: BTreeSet<_> =
        answers.iter().map(|answer| answer.text_of("session.refreshToken")).collect();
    assert_eq!((users.len(), tokens.len()), (1, 1));
    let access = answers[0].text_of("session.accessToken");
    let sessions = answer(node.api.request(Method::GET, "/sessions").bearer_auth(access)).await;
    assert_eq!(sessions.is_yes(200).data()["sessions"].as_array().map(Vec::len), Some(1));
    let unkeyed = node.api.registration("alice@example.com", PASSWORD).await;
    unkeyed.is_no(409, "email_already_exists");
}

#[tokio::test]
async fn one_idempotency_key_does_the_work_once() {
    let node = Node::start().await;
    let api = node.api.clone();
    let answers = at_once(MANY, |_| {
        let api = api.clone();
        async move { answer(keyed(&api)).await.is_yes(201) }
    });
    happened_once(&node, &answers.await).await;
}

#[tokio::test]
async fn one_idempotency_key_does_the_work_once_across_a_kill() {
    let node = Node::start().await;
    let api = node.api.clone();
    let requests = at_once(MANY, |_| {
        let api = api.clone();
        async move { send(keyed(&api)).await.ok() }
    });
    let (before, ()) = tokio::join!(requests, async {
        // The moment is any moment: before, in the middle of, or after the work.
        tokio::task::yield_now().await;
        node.kill_9();
    });
    node.restart().await;
    let after = answer(keyed(&node.api)).await.is_yes(201);
    let answered = before.into_iter().flatten().filter(|answer| answer.status == 201);
    let answers: Vec<_> = answered.chain([after]).collect();
    happened_once(&node, &answers).await;
}
