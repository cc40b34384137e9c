//! The endpoints, one file for each noun.

pub mod api_keys;
pub mod backups;
pub mod cluster;
pub mod email_verification;
pub mod magic_links;
pub mod mfa;
pub mod oauth;
pub mod outbox;
pub mod passkeys;
pub mod password_reset;
pub mod passwords;
pub mod phones;
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
        password_reset::endpoints(),
        magic_links::endpoints(),
        sessions::endpoints(),
        users::endpoints(),
        phones::endpoints(),
        email_verification::endpoints(),
        mfa::endpoints(),
        passkeys::endpoints(),
        oauth::endpoints(),
        tenants::endpoints(),
        outbox::endpoints(),
        api_keys::endpoints(),
        backups::endpoints(),
        cluster::endpoints(),
        service::endpoints(),
        crate::pages::endpoints(),
    ];
    nouns.into_iter().flatten().collect()
}
