//! API keys: what names a tenant to its applications, and what its servers show.

use serde::{Deserialize, Serialize};

use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::ApiKeyId;
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiKeyKind {
    /// Names the tenant; safe in a browser.
    Publishable,
    /// Server to server.
    Secret,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What it may do.
    pub kind: ApiKeyKind,
    /// What people call it.
    pub name: String,
    /// Permissions of a secret key.
    pub scopes: Vec<String>,
    /// What is stored of it.
    pub hash: SecretHash,
    /// When it was made.
    pub created: Moment,
    /// When it stops working.
    pub expires: Option<Moment>,
    /// Its own rate limit, `N/unit`.
    pub rate_limit: Option<String>,
}

impl ApiKey {
    pub(super) fn save(&self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        step.put(keys::by_hash(step.tenant, Kind::ApiKey, &self.hash), self)?;
        step.put(keys::api_key(step.tenant, self.id), &self.hash)?;
        step.record(
            Draft::new(EventKind::ApiKeyCreated, None)
                .with("apiKeyId", self.id.to_string().as_str()),
        );
        Ok(())
    }
}
