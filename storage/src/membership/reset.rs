//! Another operator token for a cluster that runs, asked for by whoever has a node's data folder: they
//! know the cluster's secret, or no node would listen, and prove that they know the cluster's key.

use serde::{Deserialize, Serialize};

use super::control::{Ask, Told};
use super::{Inner, join};
use crate::capability::tenants;
use crate::command::Command;
use crate::engine::link::{Identity, IdentityError};
use crate::moment::Moment;
use crate::seal::Key;
use crate::secret::{Secret, SecretHash};

/// What the proof is for.
const PURPOSE: &[u8] = b"janua operator token reset 1";

/// A token to be, and the proof that it may be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reset {
    token: SecretHash,
    proof: [u8; 32],
}

impl Reset {
    /// Of the cluster of this key.
    pub fn new(key: &Key, token: SecretHash) -> Self {
        Self { token, proof: proof(key, &token) }
    }

    fn is_proved(&self, key: &Key) -> bool {
        let expected = proof(key, &self.token);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, &self.proof).is_ok()
    }
}

fn proof(key: &Key, token: &SecretHash) -> [u8; 32] {
    key.mac(&[PURPOSE, &token.0].concat())
}

/// Why the token is as it was, or may be.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// Nobody could be asked.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Nobody has done it.
    #[error("no node of the cluster has reset the token: {0}")]
    Failed(String),
}

/// Asks the nodes at these addresses, one after the other.
pub async fn reset(
    addresses: &[String],
    secret: &Secret,
    now: Moment,
    key: &Key,
    token: &Secret,
) -> Result<(), ResetError> {
    let identity = Identity::new(&secret.clone().into(), 0, now)?;
    let ask = Ask::ResetOperator(Reset::new(key, token.hash()));
    let mut problems = Vec::new();
    for address in addresses {
        match join::ask_one(&identity, address, "", &ask).await {
            Ok((_, Told::Decided(outcome))) => match *outcome {
                Ok(_) => return Ok(()),
                Err(rejection) => problems.push(format!("{address}: {rejection:?}")),
            },
            Ok((_, Told::Refused(problem) | Told::Unavailable(problem))) => {
                problems.push(format!("{address}: {problem}"));
            }
            Ok(_) => problems.push(format!("{address}: it answers something else")),
            Err(error) => problems.push(format!("{address}: {error}")),
        }
    }
    Err(ResetError::Failed(problems.join("; ")))
}

impl Inner {
    /// Resets it here, or, when a stranger asks, at whoever leads.
    pub(super) async fn reset_operator(&self, from: u64, asked: Reset) -> Told {
        if !asked.is_proved(&self.key) {
            return Told::Refused("whoever asks does not know the cluster's key".into());
        }
        let reset = tenants::ResetOperator { token: asked.token };
        let command = Command::Tenants(tenants::Command::ResetOperator(reset));
        let decided = match from {
            0 => {
                self.decide_by(command, &Ask::ResetOperator(asked)).await.map_err(|u| u.to_string())
            }
            _ => self.decide_here(command).await.map_err(|unavailable| unavailable.to_string()),
        };
        match decided {
            Ok(outcome) => {
                tracing::warn!("the operator token has been reset, from a node's data folder");
                Told::Decided(Box::new(outcome))
            }
            Err(problem) => Told::Unavailable(problem),
        }
    }
}
