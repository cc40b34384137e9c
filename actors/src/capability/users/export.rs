//! Everything that is held on a user, for the user.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use janua_storage::capability::audit;
use janua_storage::capability::oauth::Identity;
use janua_storage::capability::passkeys::Passkey;
use janua_storage::capability::sessions::Session;
use janua_storage::capability::users::{Device, Managed};
use serde_json::Value;

use crate::capability::mfa::SecondFactors;
use crate::directory::Caller;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// The most events that an export holds: the latest.
const EVENTS: usize = 10_000;

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
    /// The events about them, as the audit log shows them, oldest first.
    pub events: Vec<Value>,
    /// Whether these are all.
    pub events_complete: bool,
}

impl TenantRef {
    /// Everything that is held on the caller.
    pub async fn export_me(&self, caller: &Caller) -> Result<Export, Refusal> {
        let (tenant, id) = (self.0.clone(), caller.user());
        let sessions = self.sessions(caller).await?;
        let factors = self.second_factors(caller).await?;
        let records = self.0.shard.read().await?;
        let view = self.0.view(&records);
        let user = view.user(id)?.ok_or(Refusal::SessionRevoked)?;
        let devices = user.devices.clone();
        let user = Managed::of(&view, user, self.0.node.clock.now())?;
        let (passkeys, identities) = (view.passkeys(id)?, view.identities(id)?);
        let (events, events_complete) = self
            .reading(move || {
                let (mut latest, mut complete) = (VecDeque::new(), true);
                tenant.view(&records).events(0, |events| {
                    for event in events.into_iter().filter(|event| event.user == Some(id)) {
                        if latest.len() == EVENTS {
                            latest.pop_front();
                            complete = false;
                        }
                        latest.push_back(event);
                    }
                    ControlFlow::Continue(())
                })?;
                Ok((latest.iter().map(audit::to_json).collect(), complete))
            })
            .await?;
        Ok(Export {
            user,
            devices,
            factors,
            passkeys,
            identities,
            sessions,
            events,
            events_complete,
        })
    }
}
