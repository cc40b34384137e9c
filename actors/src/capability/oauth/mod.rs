//! Other providers that vouch for a user: sending browsers there, and what comes back.
//!
//! The provider is asked on the node that handles the request, outside every mailbox and before
//! anything is proposed; what it said travels in the command.

mod arrival;
mod identities;
mod returning;
mod start;

pub use arrival::Arrived;
pub use returning::{By, Led, Outcome, Returned, Word};
pub use start::{FLOW_SECONDS, HOSTED_PAGE, Start, Started};

use std::collections::BTreeSet;

use crate::refusal::Refusal;
use crate::tenant::TenantRef;
use crate::upstream::{KNOWN, Provider, name_of};

/// A provider, as users are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As paths have it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it can be used.
    pub enabled: bool,
    /// Whether it is one that everybody knows.
    pub known: bool,
}

impl TenantRef {
    /// The providers that everybody knows, then those that the tenant has beside them.
    pub async fn providers(&self) -> Result<Vec<Listed>, Refusal> {
        let settings = self.settings().await?;
        let configured = self.0.node.upstream.configured.keys();
        let others: BTreeSet<&String> = configured.chain(settings.oauth.keys()).collect();
        let others = others.into_iter().map(String::as_str).filter(|name| !KNOWN.contains(name));
        let mut listed = Vec::new();
        for id in KNOWN.into_iter().chain(others) {
            let enabled = self.find_provider(id).await?.is_some();
            let known = KNOWN.contains(&id);
            if enabled || known {
                listed.push(Listed { id: id.into(), name: name_of(id), enabled, known });
            }
        }
        Ok(listed)
    }

    /// The provider of this name, if the tenant has it.
    async fn provider(&self, name: &str) -> Result<Provider, Refusal> {
        self.find_provider(name).await?.ok_or(Refusal::NotFound)
    }

    async fn find_provider(&self, name: &str) -> Result<Option<Provider>, Refusal> {
        let held = self.held().await?;
        let own = held.settings.oauth.get(name);
        let sealed = own.and_then(|own| own.client_secret.as_deref());
        let secret = sealed.map(|sealed| self.opened_setting(&held, sealed)).transpose()?;
        let configured = self.0.node.upstream.configured.get(name);
        Ok(Provider::find(name, configured, own, secret))
    }
}
