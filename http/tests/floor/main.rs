//! The HTTP floor from outside: its pipeline without sockets, its server with them, and its endpoints
//! on real actors and storage.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod cors;
mod documents;
mod endpoints;
mod forwarding;
mod head;
mod house;
mod pipeline;
mod server;
mod standing;
mod support;
