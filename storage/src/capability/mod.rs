//! The capabilities, one file a noun, by the same name on every floor.

pub mod api_keys;
pub mod audit;
pub mod cluster;
pub mod email_verification;
pub mod limits;
pub mod magic_links;
pub mod mfa;
pub mod oauth;
pub mod passkeys;
pub mod password_reset;
pub mod passwords;
pub mod phones;
pub mod sessions;
pub mod tenants;
pub mod users;
