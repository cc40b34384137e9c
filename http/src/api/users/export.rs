//! Everything that is held on a user, for the user.

use janua_storage::capability::oauth::Identity;
use janua_storage::capability::users::Device;
use janua_storage::ids::DeviceId;
use janua_storage::moment::Moment;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::managed::ManagedUser;
use crate::api::mfa::ShownFactors;
use crate::api::passkeys::Passkey;
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
    let Sessions { sessions } = Sessions::of(&call, export.sessions, Some(caller.session()))?;
    Ok(Data(Exported {
        user: ManagedUser(export.user),
        sessions,
        devices: export.devices.iter().map(KnownDevice::from).collect(),
        identities: export.identities.into_iter().map(HeldIdentity::from).collect(),
        passkeys: export.passkeys.into_iter().map(Passkey::from).collect(),
        mfa: export.factors.into(),
        events: export.events,
        events_complete: export.events_complete,
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
