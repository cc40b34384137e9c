//! The replicated state machine: from a proposal and the records before it to the records after it.
//! A pure function; whatever differs between two nodes (time, randomness) is inside the proposal.

use crate::command::{Outcome, Proposal};
use crate::fault::Fault;
use crate::transaction::Transaction;

/// Applies one proposal. A rejected command leaves no trace but its idempotency record; a fault
/// leaves none at all and must stop the shard.
pub fn apply(transaction: &mut Transaction<'_>, proposal: Proposal) -> Result<Outcome, Fault> {
    let _ = (transaction, proposal);
    unimplemented!()
}
