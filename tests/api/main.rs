//! The behaviour of every endpoint, seen from outside.

mod api_keys;
mod email_verification;
mod examples;
mod limits;
mod magic_links;
mod oauth;
mod outbox;
mod password_reset;
mod passwords;
mod service;
mod sessions;
mod stopping;
mod tenants;
mod tls;
mod users;
