//! The HTTP surface of Janua: **http translates.** A request becomes one call to the actors, and
//! what they say becomes an answer; nothing is decided and nothing kept here.
//!
//! `server → pipeline::answer → router::find → caller::resolve → limits::take → access::check →
//! body::read → api::…`

pub mod access;
pub mod api;
pub mod app;
mod asked;
mod body;
pub mod call;
pub mod caller;
mod cookies;
mod cors;
mod document;
pub mod endpoint;
pub mod error;
mod forwarded;
mod forwarding;
mod head;
mod headers;
mod idempotency;
pub mod input;
mod json;
pub mod limits;
pub mod lines;
mod observe;
pub mod openapi;
pub mod output;
mod page;
mod pages;
pub mod pipeline;
pub mod query;
mod request_id;
pub mod router;
mod rules;
pub mod server;
pub mod settings;
mod shapes;
pub mod stream;
mod text;
