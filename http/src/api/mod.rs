//! The endpoints, one file for each noun.

pub mod mfa;
pub mod oauth;
pub mod passwords;
pub mod service;
pub mod sessions;
mod tenant_settings;
pub mod tenants;
pub mod users;

use crate::endpoint::Endpoint;

/// Every endpoint, in the order in which the documents show them.
pub fn endpoints() -> Vec<Endpoint> {
    let nouns = [
        passwords::endpoints(),
        sessions::endpoints(),
        users::endpoints(),
        oauth::endpoints(),
        tenants::endpoints(),
        service::endpoints(),
        crate::pages::endpoints(),
    ];
    nouns.into_iter().flatten().collect()
}
