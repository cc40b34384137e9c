//! Searches the audit log for what it says of people whose accounts have ended, and proposes its
//! erasure, on whichever node leads. How far the search has come is in the records.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use janua_storage::capability::users::{self, Forget, Forgetting};
use janua_storage::command::{Command, Rejection, Reply};
use janua_storage::event::Origin;
use janua_storage::ids::TenantNumber;
use janua_storage::view::View;

use crate::directory::Node;
use crate::refusal::Refusal;
use crate::tenant::Shared;

/// How many records of events one look reads.
const READ: usize = 2000;

/// How many records one command changes, so that no other waits long behind it.
const CHANGED: usize = 100;

/// How long a tenant's people may be forgotten in a round while there is more to do.
const TURN: Duration = Duration::from_millis(200);

pub(super) struct Eraser {
    node: Arc<Node>,
}

impl Eraser {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// One round over the tenants whose shard this node leads.
    pub async fn erase(&self, tenants: &[TenantNumber]) {
        for tenant in tenants {
            if !self.node.shards.of(*tenant).is_leader() {
                continue;
            }
            if let Err(refusal) = self.erase_of(*tenant).await {
                tracing::debug!(%tenant, %refusal, "the forgetting of a user waits");
            }
        }
    }

    async fn erase_of(&self, number: TenantNumber) -> Result<(), Refusal> {
        let shard = self.node.shards.of(number);
        let begun = self.node.clock.now();
        loop {
            let records = shard.read().await?;
            let view = View::new(&records, number);
            // One after the other: each is done before the next is begun.
            let Some(forgetting) = view.forgettings()?.into_iter().next() else { return Ok(()) };
            let Some(record) = view.tenant()? else { return Ok(()) };
            let tenant = Shared::new(record.id, number, self.node.clone());
            let forget = look(&view, &forgetting)?;
            let command = Command::Users(users::Command::Forget(forget));
            match tenant.write(Origin::default(), None, command).await? {
                Ok(Reply::Done) => {
                    metrics::counter!("janua_users_forgotten_total").increment(1);
                }
                // Whoever led before has gone on meanwhile.
                Ok(_) | Err(Rejection::Stale | Rejection::NotFound) => {}
                Err(rejection) => {
                    return Err(Refusal::from_rejection(rejection, self.node.clock.now()));
                }
            }
            if self.node.clock.now().since(begun) >= TURN {
                return Ok(());
            }
        }
    }
}

/// Reads on from where the search had come to.
fn look(view: &View<'_>, forgetting: &Forgetting) -> Result<Forget, Refusal> {
    let (mut found, mut read, mut next) = (Vec::new(), 0, forgetting.next);
    let mut more = false;
    view.events(forgetting.next - 1, |events| {
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return ControlFlow::Continue(());
        };
        if first.sequence > forgetting.last {
            return ControlFlow::Break(());
        }
        if read >= READ || found.len() >= CHANGED {
            more = true;
            return ControlFlow::Break(());
        }
        read += 1;
        next = last.sequence + 1;
        if events.iter().any(|event| forgetting.concerns(event)) {
            found.push(first.sequence);
        }
        ControlFlow::Continue(())
    })?;
    // Behind the last event there is nothing to look at, whatever its number was to be.
    let next = if more { next } else { next.max(forgetting.last + 1) };
    Ok(Forget { user: forgetting.user, from: forgetting.next, found, next })
}
