//! Who decides for a tenant, and what they may pass on: a server by its secret key, or the operator.

use std::sync::Arc;

use janua_storage::capability::api_keys::{ApiKey, ByKey};
use janua_storage::capability::users::Actor;
use janua_storage::command::Command;

use crate::permissions::covers;
use crate::refusal::Refusal;

/// Who decides for a tenant.
#[derive(Debug, Clone)]
pub enum Authority {
    /// A server, by the secret key that it has shown.
    Key(Arc<ApiKey>),
    /// The operator of the cluster.
    Operator,
}

impl Authority {
    /// As events name it.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Key(key) => Actor::ApiKey(key.id),
            Self::Operator => Actor::Operator,
        }
    }

    /// Whether it holds all of these scopes, and so can pass them on. A wildcard is held by a wildcard
    /// that covers it, not by all that it stands for today.
    pub(crate) fn check_holds(&self, scopes: &[String]) -> Result<(), Refusal> {
        let Self::Key(key) = self else { return Ok(()) };
        let is_held = |scope: &String| key.scopes.iter().any(|held| covers(held, scope));
        match scopes.iter().all(is_held) {
            true => Ok(()),
            false => Err(Refusal::InsufficientPermissions),
        }
    }

    /// A command that it decides, and that comes to nothing if the key has been revoked, has expired or
    /// may do less by the time that it is applied.
    pub(crate) fn decides(&self, command: Command) -> Command {
        match self {
            Self::Key(key) => {
                let (hash, scopes) = (key.hash, key.scopes.clone());
                Command::ByKey(Box::new(ByKey { hash, scopes, command }))
            }
            Self::Operator => command,
        }
    }
}
