//! Sends the text messages that wait, those of the shards that this node leads: at least once each,
//! in no order. Which wait is in the records, so another node goes on where this one ended.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use janua_storage::capability::phones::TextMessage;
use janua_storage::ids::{MessageId, TenantNumber};
use janua_storage::view::View;
use parking_lot::Mutex;

use crate::directory::Node;
use crate::refusal::Refusal;
use crate::tenant::{Shared, TenantRef};

/// How many messages are on their way at once.
const AT_ONCE: usize = 32;

/// How many of them may be one tenant's, whose receiver may be slow.
const OF_ONE_TENANT: usize = 8;

/// How many waiting messages of a tenant a round looks at.
const LOOKED_AT: usize = 1000;

type Underway = Arc<Mutex<HashSet<(TenantNumber, MessageId)>>>;

/// What is on its way.
pub(super) struct Texts {
    node: Arc<Node>,
    underway: Underway,
}

/// Takes a message off the list, however its sending ends.
struct OnItsWay(Underway, (TenantNumber, MessageId));

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Texts {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, underway: Underway::default() }
    }

    /// One round: puts on their way what is due and has room.
    pub async fn send_due(&self, tenants: &[TenantNumber]) {
        for tenant in tenants {
            if !self.node.shards.of(*tenant).is_leader() {
                continue;
            }
            if let Err(refusal) = self.send_of(*tenant).await {
                tracing::debug!(%tenant, %refusal, "text messages wait");
            }
        }
    }

    async fn send_of(&self, number: TenantNumber) -> Result<(), Refusal> {
        let records = self.node.shards.of(number).read().await?;
        let view = View::new(&records, number);
        let due = self.due(&view, number)?;
        if due.is_empty() {
            return Ok(());
        }
        let Some(record) = view.tenant()? else { return Ok(()) };
        let tenant = TenantRef(Shared::new(record.id, number, self.node.clone()));
        for message in due {
            let key = (number, message.id);
            self.underway.lock().insert(key);
            let on_its_way = OnItsWay(self.underway.clone(), key);
            let tenant = tenant.clone();
            ractor::concurrency::spawn(async move {
                let _on_its_way = on_its_way;
                if let Err(refusal) = tenant.deliver(message).await {
                    tracing::debug!(%refusal, "a text message waits");
                }
            });
        }
        Ok(())
    }

    fn due(&self, view: &View<'_>, number: TenantNumber) -> Result<Vec<TextMessage>, Refusal> {
        let now = self.node.clock.now();
        let underway = self.underway.lock().clone();
        let of_tenant = underway.iter().filter(|(tenant, _)| *tenant == number).count();
        let room =
            OF_ONE_TENANT.saturating_sub(of_tenant).min(AT_ONCE.saturating_sub(underway.len()));
        let (mut due, mut seen) = (Vec::new(), 0);
        view.text_messages(|message| {
            seen += 1;
            let waits = message.next <= now && message.expires > now;
            if waits && due.len() < room && !underway.contains(&(number, message.id)) {
                due.push(message);
            }
            if seen < LOOKED_AT { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(due)
    }
}
