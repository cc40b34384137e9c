//! The second factor, and what every first factor answers: a session, or the demand for a second.

use janua_actors::capability::mfa::{Challenged, Entered};
use janua_actors::capability::sessions::SignedIn;
use janua_storage::capability::users::Profile;
use janua_storage::ids::{DeviceId, UserId};
use janua_storage::moment::Moment;
use janua_storage::secret::Secret;
use serde::Serialize;
use utoipa::ToSchema;

use super::sessions::SessionTokens;
use crate::text;

/// A login: with its session or, where a second factor is demanded, with what asks for it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogIn {
    user: LoggedInUser,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<DeviceSession>,
    /// Whether a second factor has to follow, by `POST /auth/login/mfa`.
    requires_mfa: bool,
    /// Stands for the first factor; good once, for five minutes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::exposed_if_any")]
    #[schema(value_type = Option<String>, nullable = false, example = "tmp_1_…")]
    temp_token: Option<Secret>,
    /// What may follow: `totp`, `backup_code`, `passkey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mfa_methods: Option<Vec<&'static str>>,
}

/// A user, as a login shows them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedInUser {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: UserId,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    email_verified: bool,
    mfa_enabled: bool,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    last_active_at: Moment,
}

/// A new session and the device that it is on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSession {
    #[serde(flatten)]
    tokens: SessionTokens,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "dev_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    device_id: DeviceId,
}

impl From<Profile> for LoggedInUser {
    fn from(profile: Profile) -> Self {
        Self {
            id: profile.id,
            email: profile.email,
            first_name: profile.first_name,
            last_name: profile.last_name,
            email_verified: profile.email_verified,
            mfa_enabled: profile.mfa_enabled,
            last_active_at: profile.last_active,
        }
    }
}

impl From<SignedIn> for DeviceSession {
    fn from(signed_in: SignedIn) -> Self {
        Self { tokens: signed_in.tokens.into(), device_id: signed_in.device }
    }
}

impl LogIn {
    /// Of somebody who has a session already.
    pub(super) fn without_session(profile: Profile) -> Self {
        Self {
            user: profile.into(),
            session: None,
            requires_mfa: false,
            temp_token: None,
            mfa_methods: None,
        }
    }
}

impl From<Entered> for LogIn {
    fn from(entered: Entered) -> Self {
        match entered {
            Entered::SignedIn(signed_in) => Self {
                user: signed_in.profile.clone().into(),
                session: Some(signed_in.into()),
                requires_mfa: false,
                temp_token: None,
                mfa_methods: None,
            },
            Entered::Challenged(Challenged { profile, temp_token, methods, .. }) => Self {
                user: profile.into(),
                session: None,
                requires_mfa: true,
                temp_token: Some(temp_token),
                mfa_methods: Some(methods.into_iter().map(|method| method.name()).collect()),
            },
        }
    }
}
