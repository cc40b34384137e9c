//! The rows of the table, one file each, and what they share.

pub mod cluster;
pub mod login;
pub mod many;
pub mod me;
pub mod memory;
pub mod overload;
pub mod refresh;
pub mod start;

mod clients;

use janua_tests::node::Setup;
use janua_tests::{Node, Session, User};

/// Connections of the rows that compare servers.
pub const CONNECTIONS: usize = 64;

/// A node as it is shipped, with limits that count but do not bite.
pub fn shipped() -> Setup {
    Node::prepare()
        .as_shipped()
        .with("limits.authentication", "4000000000/hour")
        .with("limits.api", "4000000000/hour")
        .with("http.max_connections_per_address", 100_000)
        .with("log.level", "warn")
}

/// Some users, registered one after the other.
pub async fn users(node: &Node, count: usize) -> Vec<User> {
    let mut users = Vec::new();
    for number in 0..count {
        users.push(node.register(&format!("user-{number}")).await);
    }
    users
}

/// A session for each of some users.
pub async fn sessions(node: &Node, count: usize) -> Vec<Session> {
    users(node, count).await.into_iter().map(|user| user.session).collect()
}
