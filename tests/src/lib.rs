//! The harness: real programs in folders of their own, and people who use them. Tests are meant to
//! read like prose:
//!
//! ```ignore
//! let node = Node::start().await;
//! let alice = node.register("alice").await;
//! let session = alice.logs_in().await;
//! alice.changes_password("A-second-river-41").await;
//! session.is_over().await;
//! ```
//!
//! Nothing here waits for time: every wait is for a condition, with a deadline that fails the test.

pub mod at_once;
pub mod audit;
pub mod authenticator;
pub mod breaches;
pub mod browser;
pub mod chance;
pub mod chromium;
pub mod clients;
pub mod cluster;
pub mod command;
pub mod diary;
pub mod factors;
pub mod folders;
pub mod history;
pub mod issuer;
pub mod mails;
pub mod meddling;
pub mod network;
pub mod node;
pub mod oidc_provider;
pub mod people;
pub mod places;
pub mod process;
pub mod program;
pub mod reference;
pub mod response;
pub mod server;
pub mod setup;
pub mod shell;
pub mod sink;
pub mod smtp;
pub mod stalled;
pub mod trouble;
pub mod visitor;
pub mod wait;
pub mod workload;

pub use at_once::at_once;
pub use authenticator::Authenticator;
pub use browser::Browser;
pub use chance::Chance;
pub use factors::App;
pub use node::{Node, Setup};
pub use people::{Session, User};
pub use response::Response;
pub use sink::Sink;
pub use stalled::Stalled;
