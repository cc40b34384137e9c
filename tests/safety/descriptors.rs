//! Files that may be open: connections never take those that the log needs.

use std::fs;

use janua_tests::{Node, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The soft and the hard limit of open files.
fn limits(process: u32) -> Vec<String> {
    let limits =
        fs::read_to_string(format!("/proc/{process}/limits")).expect("the limits of a process");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.expect("a line on files").split_whitespace().take(2).map(str::to_owned).collect()
}

/// A connection that has been answered on, if it was let in.
async fn connects(address: &str) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: janua\r\n\r\n").await.ok()?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.ok()?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    Some(stream)
}

#[tokio::test]
async fn a_crowd_of_connections_leaves_the_log_its_files() {
    let node = Node::prepare().with_open_files(256, 600).start().await;
    let alice = node.register("alice").await;
    assert_eq!(limits(node.process_id()), ["600", "600"], "the soft limit is raised");
    wait::until("it says how many it takes", async || {
        node.log.text().contains("at most 88 connections are taken").then_some(())
    })
    .await;
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.extend(connects(&node.api.address()).await);
    }
    assert!((80..=88).contains(&crowd.len()), "{} of them were let in", crowd.len());
    alice.logs_in().await.is_alive().await;
    drop(crowd);
    node.restart().await;
    alice.session.is_alive().await;
}

#[tokio::test]
async fn a_node_without_files_for_itself_does_not_start() {
    let mut process = Node::prepare().with_open_files(256, 512).start_process();
    assert_eq!(process.ends().await.code(), Some(1));
    let log = process.log.text();
    assert!(log.contains("janua: only 512 files may be open"), "{log}");
}
