//! Everything that is held on a user, for the user.

use garde::Validate;
use janua_actors::capability::users::{EventsPage, MOST_EVENTS};
use janua_storage::capability::oauth::Identity;
use janua_storage::capability::users::Device;
use janua_storage::ids::DeviceId;
use janua_storage::moment::Moment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::managed::ManagedUser;
use crate::api::mfa::ShownFactors;
use crate::api::passkeys::Passkey;
use crate::api::sessions::{Session, Sessions};
use crate::call::Call;
use crate::error::Error;
use crate::output::Data;
use crate::query::Query;
use crate::text;

/// Which of the events an export holds: there may be more than one answer can.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct ExportQuery {
    /// Only events after this: `next` of the answer before. It passes over none.
    #[garde(skip)]
    #[schema(minimum = 0, default = 0)]
    after: Option<u64>,
    /// How many events.
    #[garde(range(min = 1, max = 10_000))]
    #[schema(minimum = 1, maximum = 10000, default = 10000)]
    limit: Option<u32>,
}

/// `GET /users/me/export`
pub async fn export(call: Call, Query(query): Query<ExportQuery>) -> Result<Data<Exported>, Error> {
    let caller = call.session()?;
    let page = EventsPage {
        after: query.after.unwrap_or_default(),
        limit: query.limit.unwrap_or(MOST_EVENTS) as usize,
    };
    let export = caller.tenant.export_me(caller, page).await?;
    let Sessions { sessions } = Sessions::of(&call, export.sessions, Some(caller.session()))?;
    Ok(Data(Exported {
        user: ManagedUser(export.user),
        sessions,
        devices: export.devices.iter().map(KnownDevice::from).collect(),
        identities: export.identities.into_iter().map(HeldIdentity::from).collect(),
        passkeys: export.passkeys.into_iter().map(Passkey::from).collect(),
        mfa: export.factors.into(),
        events: export.events,
        events_complete: export.next.is_none(),
        next: export.next,
    }))
}

/// Everything that is held on a user. Secrets (the hashes of passwords, tokens, codes) are not in it:
/// they tell nothing of the person.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    #[schema(value_type = ManagedUser)]
    user: ManagedUser,
    sessions: Vec<Session>,
    /// Devices that the user has signed in from.
    devices: Vec<KnownDevice>,
    /// Accounts at providers that are ways in.
    identities: Vec<HeldIdentity>,
    passkeys: Vec<Passkey>,
    mfa: ShownFactors,
    /// What the audit log says of the user, oldest first: as many as were asked for.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Value>,
    /// Whether none come after these.
    events_complete: bool,
    /// Where events come after these: what to ask for as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<u64>,
}

/// A device that a user has signed in from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownDevice {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "dev_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: DeviceId,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Moment,
}

/// An account at a provider that is a way in, with what the provider says of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldIdentity {
    #[schema(example = "google")]
    provider: String,
    subject: String,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    avatar: Option<String>,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    linked_at: Moment,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Moment,
}

impl From<Identity> for HeldIdentity {
    fn from(identity: Identity) -> Self {
        Self {
            provider: identity.account.provider,
            subject: identity.account.subject,
            email: identity.account.email,
            first_name: identity.account.first_name,
            last_name: identity.account.last_name,
            avatar: identity.account.avatar,
            linked_at: identity.linked,
            last_used_at: identity.last_used,
        }
    }
}

impl From<&Device> for KnownDevice {
    fn from(device: &Device) -> Self {
        Self { id: device.id, last_seen_at: device.last_seen }
    }
}
