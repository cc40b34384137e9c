//! How a node stops: what was begun is finished, unless it is told twice.

use std::time::{Duration, Instant};

use janua_tests::people::PASSWORD;
use janua_tests::{Node, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A login of which all but the last byte has been sent.
struct Unfinished {
    stream: TcpStream,
    last: u8,
}

impl Unfinished {
    async fn on(node: &Node) -> Self {
        let login = json!({ "email": "alice@example.com", "password": PASSWORD }).to_string();
        let head = format!(
            "POST /auth/login HTTP/1.1\r\nHost: janua\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            login.len()
        );
        let (begun, last) = login.as_bytes().split_at(login.len() - 1);
        let mut stream = TcpStream::connect(node.api.address()).await.expect("a connection");
        stream.write_all(head.as_bytes()).await.expect("it is sent");
        stream.write_all(begun).await.expect("it is sent");
        // The node answers a later connection only after it has accepted this one.
        node.api.over_new_connections().get("/health/live").await;
        Self { stream, last: last[0] }
    }

    async fn finish(mut self) -> String {
        self.stream.write_all(&[self.last]).await.expect("it is sent");
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }
}

async fn is_stopping(node: &Node) {
    wait::until("the node says that it stops", async || {
        node.log.text().contains("stopping: ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_asked_to_stop_ends_in_order() {
    let node = Node::start().await;
    node.register("alice").await;
    assert_eq!(node.stops().await, Some(0));
    node.restart().await;
    node.api.login("alice@example.com", PASSWORD).await.is_yes(200);
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_end() {
    let node = Node::start().await;
    node.register("alice").await;
    let unfinished = Unfinished::on(&node).await;
    node.signal("TERM");
    is_stopping(&node).await;
    let answer = unfinished.finish().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(node.ends().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let node = Node::with("http.shutdown_timeout", "10min")
        .with("http.body_timeout", "10min")
        .with("http.request_timeout", "11min")
        .start()
        .await;
    node.register("alice").await;
    let _unfinished = Unfinished::on(&node).await;
    node.signal("INT");
    is_stopping(&node).await;
    let told_twice = Instant::now();
    node.signal("INT");
    assert_eq!(node.ends().await, Some(130));
    assert!(told_twice.elapsed() < Duration::from_secs(10));
}
