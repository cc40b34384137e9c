//! One mail on its way: read, written out, handed to the server, and removed from the outbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use janua_storage::command::Command;
use janua_storage::event::Origin;
use janua_storage::ids::{MailId, ShardId, TenantNumber};
use janua_storage::outbox;
use janua_storage::view::View;

use quick_cache::sync::Cache;

use super::Attempt;
use crate::directory::Node;
use crate::mail::relay::{Connections, Trouble};
use crate::mail::render::Rendered;
use crate::refusal::Refusal;
use crate::tenant::{Shared, TenantRef};

/// How many tenants are held, so that a mail need not unseal its tenant's keys.
const MOST_TENANTS: usize = 1000;

/// How soon the removal of a mail that was sent is tried again.
const REMOVE_AGAIN: Duration = Duration::from_millis(200);

/// What every round needs.
pub struct Rounds {
    node: Arc<Node>,
    tenants: Cache<TenantNumber, TenantRef>,
    /// Whether the last attempt failed: the first failure of many is told, not each.
    is_failing: AtomicBool,
}

impl Rounds {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, tenants: Cache::new(MOST_TENANTS), is_failing: AtomicBool::new(false) }
    }

    /// Sends one mail, if it still lies there.
    pub async fn send(&self, number: TenantNumber, id: MailId, server: &Connections) -> Attempt {
        match self.try_to_send(number, id, server).await {
            Ok(attempt) => attempt,
            Err(refusal) => {
                tracing::debug!(mail = %id, %refusal, "a mail could not be read");
                Attempt::Failed
            }
        }
    }

    async fn try_to_send(
        &self,
        number: TenantNumber,
        id: MailId,
        server: &Connections,
    ) -> Result<Attempt, Refusal> {
        let Some(tenant) = self.tenant(number).await? else { return Ok(Attempt::Gone) };
        let mail = {
            let records = tenant.0.shard.read().await?;
            tenant.0.view(&records).mail(false, id)?
        };
        let now = self.node.clock.now();
        let Some(mail) = mail.filter(|mail| mail.expires > now) else { return Ok(Attempt::Gone) };
        let rendered = tenant.rendered(&mail).await?;
        Ok(match server.send(id, mail.created, &rendered).await {
            Ok(()) => {
                count("sent");
                self.is_failing.store(false, Ordering::Relaxed);
                remove(&tenant, id).await
            }
            Err(Trouble::Lasting(reason)) => {
                count("refused");
                tracing::warn!(mail = %id, reason, "a mail was refused for good and is not sent");
                remove(&tenant, id).await
            }
            Err(Trouble::Passing(reason)) => {
                count("delayed");
                if self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::debug!(mail = %id, reason, "a mail could not be sent either");
                } else {
                    tracing::warn!(mail = %id, reason, "a mail could not be sent and is tried again");
                }
                Attempt::Failed
            }
        })
    }

    /// A mail that is kept, as it is to be read.
    pub async fn kept(
        &self,
        number: TenantNumber,
        id: MailId,
    ) -> Result<Option<Rendered>, Refusal> {
        let Some(tenant) = self.tenant(number).await? else { return Ok(None) };
        let records = tenant.0.shard.read().await?;
        match tenant.0.view(&records).mail(true, id)? {
            Some(mail) => tenant.rendered(&mail).await.map(Some),
            None => Ok(None),
        }
    }

    /// Everything that waits in the outboxes of a shard, which says itself whose it has: this node's
    /// replica of the cluster's records may lag behind.
    pub async fn waiting(&self, shard: ShardId) -> Result<Vec<(TenantNumber, MailId)>, Refusal> {
        let no_such_shard = || Refusal::unavailable(format!("there is no shard {shard}"));
        let home = self.node.shards.get(shard).ok_or_else(no_such_shard)?;
        let records = home.read().await?;
        let mut found = Vec::new();
        for number in View::new(&records, TenantNumber::CLUSTER).tenants_here()? {
            let mails = View::new(&records, number).mails(false)?;
            found.extend(mails.into_iter().map(|mail| (number, mail.id)));
        }
        Ok(found)
    }

    async fn tenant(&self, number: TenantNumber) -> Result<Option<TenantRef>, Refusal> {
        if let Some(tenant) = self.tenants.get(&number) {
            return Ok(Some(tenant));
        }
        let records = self.node.shards.of(number).read().await?;
        let Some(record) = View::new(&records, number).tenant()? else { return Ok(None) };
        let tenant = TenantRef(Shared::new(record.id, number, self.node.clone()));
        self.tenants.insert(number, tenant.clone());
        Ok(Some(tenant))
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("janua_mails_total", "outcome" => outcome).increment(1);
}

/// What was sent must go, or it would be sent again: it is tried until it succeeds, or until another
/// node leads, which may then send it a second time.
async fn remove(tenant: &TenantRef, id: MailId) -> Attempt {
    while tenant.0.shard.is_leader() {
        let remove = Command::Outbox(outbox::Command::Remove(vec![id]));
        match tenant.0.write(Origin::default(), None, remove).await {
            Ok(_) => return Attempt::Sent,
            Err(refusal) => tracing::debug!(mail = %id, %refusal, "a sent mail still lies there"),
        }
        tokio::time::sleep(REMOVE_AGAIN).await;
    }
    Attempt::Gone
}
