//! Everything that is held on a user, for the user.

use std::ops::ControlFlow;

use janua_storage::capability::audit;
use janua_storage::capability::oauth::Identity;
use janua_storage::capability::passkeys::Passkey;
use janua_storage::capability::sessions::Session;
use janua_storage::capability::users::{Device, Managed};
use janua_storage::event::Event;
use serde_json::Value;

use crate::capability::mfa::SecondFactors;
use crate::directory::Caller;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// The most events that one answer holds.
pub const MOST_EVENTS: u32 = 10_000;

/// Which of the events an answer holds: there may be more than fit into any.
#[derive(Debug, Clone, Copy)]
pub struct EventsPage {
    /// Those after this sequence.
    pub after: u64,
    /// So many at most, and at least one.
    pub limit: usize,
}

/// Everything that is held on a user.
#[derive(Debug)]
pub struct Export {
    /// As administrators see them.
    pub user: Managed,
    /// Where they logged in from.
    pub devices: Vec<Device>,
    /// Their second factors.
    pub factors: SecondFactors,
    /// Their passkeys, oldest first.
    pub passkeys: Vec<Passkey>,
    /// The accounts at providers that are ways in to theirs.
    pub identities: Vec<Identity>,
    /// Their live sessions, oldest first.
    pub sessions: Vec<Session>,
    /// Events about them, as the audit log shows them, oldest first.
    pub events: Vec<Value>,
    /// The sequence after which the events go on that did not fit.
    pub next: Option<u64>,
}

impl TenantRef {
    /// Everything that is held on the caller, with one page of the events.
    pub async fn export_me(&self, caller: &Caller, page: EventsPage) -> Result<Export, Refusal> {
        let (tenant, id) = (self.0.clone(), caller.user());
        let sessions = self.sessions(caller).await?;
        let factors = self.second_factors(caller).await?;
        let records = self.0.shard.read().await?;
        let view = self.0.view(&records);
        let user = view.user(id)?.ok_or(Refusal::SessionRevoked)?;
        let devices = user.devices.clone();
        let user = Managed::of(&view, user, self.0.node.clock.now())?;
        let (passkeys, identities) = (view.passkeys(id)?, view.identities(id)?);
        let (events, next) = self
            .reading(move || {
                let (mut found, mut next) = (Vec::new(), None);
                tenant.view(&records).events_one_by_one(page.after, |event| {
                    if event.user != Some(id) {
                        return ControlFlow::Continue(());
                    }
                    if found.len() == page.limit {
                        next = found.last().map(|last: &Event| last.sequence);
                        return ControlFlow::Break(());
                    }
                    found.push(event);
                    ControlFlow::Continue(())
                })?;
                Ok((found.iter().map(audit::to_json).collect(), next))
            })
            .await?;
        Ok(Export { user, devices, factors, passkeys, identities, sessions, events, next })
    }
}
