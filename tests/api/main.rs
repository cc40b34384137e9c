//! The behaviour of every endpoint, seen from outside.

mod api_keys;
mod backups;
mod email_verification;
mod cluster;
mod examples;
mod limits;
mod magic_links;
mod mfa;
mod oauth;
mod outbox;
mod passkeys;
mod password_reset;
mod passwords;
mod phones;
mod service;
mod sessions;
mod stopping;
mod tenants;
mod tls;
mod users;
