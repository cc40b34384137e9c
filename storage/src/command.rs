//! What is proposed to a shard, and what comes back.

use serde::{Deserialize, Serialize};

use crate::ids::TenantNumber;

/// A command with everything that `apply` may not find out for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Whose records it touches.
    pub tenant: TenantNumber,
    /// The proposer's clock, Unix milliseconds.
    pub proposed_ms: u64,
}

/// What a command came to: a reply, or the state's refusal of it.
pub type Outcome = Result<Reply, Rejection>;

/// What an accepted command answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done, and there is nothing to say.
    Done,
}

/// The state says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The record does not exist.
    NotFound,
}
