//! The capabilities, one file a noun, by the same name on every floor.

pub mod api_keys;
pub mod audit;
pub mod cluster;
pub mod mfa;
pub mod oauth;
pub mod passwords;
pub mod sessions;
pub mod tenants;
pub mod users;
