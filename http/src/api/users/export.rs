//! Everything that is held on a user, for the user.

use janua_actors::capability::users::Export;
use janua_storage::capability::users::Device;
use janua_storage::ids::DeviceId;
use janua_storage::moment::Moment;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::managed::{ManagedUser, managed};
use crate::api::sessions::{Session, Sessions};
use crate::call::Call;
use crate::error::Error;
use crate::input::Empty;
use crate::output::Data;
use crate::text;

/// `GET /users/me/export`
pub async fn export(call: Call, _: Empty) -> Result<Data<Exported>, Error> {
    let caller = call.session()?;
    let export = caller.tenant.export_me(caller).await?;
    let Export { user, sessions, events, events_complete } = export;
    let Sessions { sessions } = Sessions::of(&call, sessions, Some(caller.session()))?;
    Ok(Data(Exported {
        devices: user.devices.iter().map(KnownDevice::from).collect(),
        sessions,
        mfa: Factors { enabled: user.profile.mfa_enabled },
        events,
        events_complete,
        user: managed(user),
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
    mfa: Factors,
    /// What the audit log says of the user, oldest first; the latest 10,000.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Value>,
    /// Whether these are all.
    events_complete: bool,
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

/// Second factors.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Factors {
    enabled: bool,
}

impl From<&Device> for KnownDevice {
    fn from(device: &Device) -> Self {
        Self { id: device.id, last_seen_at: device.last_seen }
    }
}
