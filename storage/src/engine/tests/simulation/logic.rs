//! The real state machine, with a mark for each operation that it carries out: how often.

use crate::command::{Outcome, Proposal, Reply};
use crate::engine::Logic;
use crate::fault::Fault;
use crate::idempotency::Ticket;
use crate::state_machine;
use crate::transaction::Transaction;

/// The state machine, marked.
pub struct Marked;

/// Where it is marked how often an operation was carried out.
pub fn mark(operation: &[u8; 32]) -> Vec<u8> {
    [b"\xffmark".as_slice(), operation].concat()
}

/// All marks.
pub const MARKS: &[u8] = b"\xffmark";

impl Logic for Marked {
    fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        proposal: Proposal,
    ) -> Result<Outcome, Fault> {
        let operation = proposal.idempotency.as_ref().map(|ticket: &Ticket| ticket.digest);
        let outcome = state_machine::apply(transaction, proposal)?;
        let repeated = matches!(outcome, Ok(Reply::Recorded(_)) | Err(_));
        if let Some(operation) = operation.filter(|_| !repeated) {
            let times: u32 = transaction.get(&mark(&operation))?.unwrap_or_default();
            transaction.put(mark(&operation), &(times + 1))?;
            transaction.accept();
        }
        Ok(outcome)
    }
}
