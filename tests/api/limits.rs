//! How often a client may call, and how it is told.

use janua_tests::node::{answer, send};
use janua_tests::people::PASSWORD;
use janua_tests::{Node, Response, at_once};
use reqwest::Method;
use serde_json::json;

const HEADERS: [&str; 4] =
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "x-ratelimit-bucket"];

#[tokio::test]
async fn credentials_can_be_tested_ten_times_a_minute_as_shipped() {
    let node = Node::prepare().as_shipped().start().await;
    for number in 0..10 {
        let email = format!("nobody-{number}@example.com");
        let answer = node.api.login(&email, PASSWORD).await.is_no(401, "invalid_credentials");
        assert_eq!(answer.header("x-ratelimit-bucket"), "auth");
        assert_eq!(answer.header("x-ratelimit-limit"), "10");
    }
    let refused = node.api.login("nobody@example.com", PASSWORD).await;
    let refused = refused.is_no(429, "rate_limit_exceeded");
    let wait = refused.body["error"]["retryAfter"].as_u64().expect("retryAfter");
    assert_eq!(refused.header("retry-after"), wait.to_string());
    assert!((1..=6).contains(&wait), "one comes back every six seconds, not in {wait}");
    let message = "Too many requests. Please try again later.";
    assert_eq!(refused.body["error"]["message"], message);
    node.api.registration("alice@example.com", PASSWORD).await.is_no(429, "rate_limit_exceeded");
}

#[tokio::test]
async fn the_headers_count_down() {
    let node = Node::with("limits.api", "100/hour").start().await;
    let alice = node.register("alice").await;
    let remaining =
        |answer: &Response| answer.header("x-ratelimit-remaining").parse::<u32>().unwrap();
    let first = alice.session.me().await;
    let second = alice.session.me().await;
    for header in HEADERS {
        assert!(!first.header(header).is_empty(), "{header}");
    }
    assert_eq!(first.header("x-ratelimit-bucket"), "api");
    assert_eq!(first.header("x-ratelimit-limit"), "100");
    assert_eq!(remaining(&first), remaining(&second) + 1);
    assert!(second.header("x-ratelimit-reset").parse::<u64>().unwrap() > 1_700_000_000);
}

#[tokio::test]
async fn parallel_requests_are_counted_exactly() {
    let node = Node::with("limits.api", "20/day").start().await;
    let alice = node.register("alice").await;
    let session = alice.session.clone();
    let answers = at_once(64, |_| {
        let session = session.clone();
        async move { session.me().await.status }
    });
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 20, "{answers:?}");
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 44, "{answers:?}");
}

#[tokio::test]
async fn every_session_has_a_bucket_of_its_own() {
    let node = Node::with("limits.api", "3/day").start().await;
    let (alice, bob) = (node.register("alice").await, node.register("bob").await);
    for _ in 0..3 {
        alice.session.me().await.is_yes(200);
    }
    alice.session.me().await.is_no(429, "rate_limit_exceeded");
    bob.session.me().await.is_yes(200);
}

#[tokio::test]
async fn refresh_and_logout_count_as_api() {
    let node = Node::with("limits.authentication", "2/day").start().await;
    let alice = node.register("alice").await;
    let session = alice.logs_in().await;
    let refreshed = session.refresh().await.is_yes(200);
    assert_eq!(refreshed.header("x-ratelimit-bucket"), "api");
    assert_eq!(session.logs_out().await.header("x-ratelimit-bucket"), "api");
    alice.guesses(PASSWORD).await.is_no(429, "rate_limit_exceeded");
}

#[tokio::test]
async fn a_limit_of_0_is_off_and_leaves_its_headers_out() {
    let node = Node::with("limits.api", "0").with("limits.authentication", "0").start().await;
    let alice = node.register("alice").await;
    for _ in 0..20 {
        let me = alice.session.me().await.is_yes(200);
        for header in HEADERS {
            assert!(me.headers.get(header).is_none(), "{header}");
        }
    }
}

#[tokio::test]
async fn a_client_address_is_believed_only_from_a_trusted_proxy() {
    let login = async |node: &Node, client: &str| {
        let request = node.api.request(Method::POST, "/auth/login");
        let request = request.json(&json!({ "email": "nobody@example.com", "password": PASSWORD }));
        send(request.header("X-Forwarded-For", client)).await.unwrap().status
    };
    let open = Node::with("limits.authentication", "1/day").start().await;
    assert_eq!(login(&open, "203.0.113.1").await, 401);
    assert_eq!(login(&open, "203.0.113.2").await, 429, "anyone could claim an address");
    let behind = Node::with("limits.authentication", "1/day")
        .with("http.trusted_proxies", "127.0.0.0/8")
        .start()
        .await;
    assert_eq!(login(&behind, "203.0.113.1").await, 401);
    assert_eq!(login(&behind, "203.0.113.2").await, 401);
    assert_eq!(login(&behind, "203.0.113.2").await, 429);
    assert_eq!(login(&behind, "198.51.100.9, 203.0.113.2").await, 429, "the last hop counts");
    assert_eq!(login(&behind, "2001:db8::1").await, 401);
    assert_eq!(login(&behind, "2001:db8::2").await, 429, "IPv6 counts by /64");
}

#[tokio::test]
async fn a_secret_key_has_one_bucket_and_a_publishable_key_one_for_each_address() {
    let node =
        Node::with("limits.api", "2/day").with("http.trusted_proxies", "127.0.0.0/8").start().await;
    let refresh = async |key: &str, client: &str| {
        let request = node.api.request(Method::POST, "/auth/refresh").header("X-API-Key", key);
        let request = request.header("X-Forwarded-For", client);
        answer(request.json(&json!({ "refreshToken": "rt_x" }))).await.status
    };
    let keys = node.keys();
    for (client, status) in [("203.0.113.1", 401), ("203.0.113.2", 401), ("203.0.113.3", 429)] {
        assert_eq!(refresh(&keys.secret, client).await, status);
    }
    for status in [401, 401, 429] {
        assert_eq!(refresh(&keys.publishable, "203.0.113.4").await, status);
    }
    assert_eq!(refresh(&keys.publishable, "203.0.113.5").await, 401);
}
