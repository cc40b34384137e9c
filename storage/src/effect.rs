//! Effects: what actors do because a batch was written. The shard reports them after the batch is
//! in place and before any caller hears the reply.

use crate::ids::{MailId, TenantNumber, UserId};

/// One thing that changed and that an actor may hold in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The user, or one of their sessions.
    User(TenantNumber, UserId),
    /// The tenant's settings, keys or API keys.
    Tenant(TenantNumber),
    /// A mail was put into the outbox.
    Mail(TenantNumber, MailId),
    /// Anything at all: the records of the shard were replaced, by a snapshot of its leader.
    Everything,
}
