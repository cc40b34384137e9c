//! The behaviour of every endpoint, seen from outside.

mod api_keys;
mod backups;
mod examples;
mod limits;
mod mfa;
mod oauth;
mod passkeys;
mod passwords;
mod phones;
mod service;
mod sessions;
mod stopping;
mod tenants;
mod tls;
mod users;
