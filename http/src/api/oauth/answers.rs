//! What a login through a provider, or a link, has led to, as clients see it.

use janua_actors::capability::mfa::Entered;
use janua_actors::capability::oauth::Arrived;
use janua_storage::capability::oauth::Identity;
use janua_storage::capability::users::Profile;
use janua_storage::ids::UserId;
use janua_storage::moment::Moment;
use janua_storage::secret::Secret;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::mfa::LogIn;
use crate::api::sessions::SessionTokens;
use crate::text;

/// A login through a provider: its session; where a second factor is demanded, what asks for it; of
/// a link, the identity.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FederatedLogIn {
    user: FederatedUser,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<SessionTokens>,
    /// Whether the account was made by it.
    is_new_user: bool,
    /// There, and true, when a second factor has to follow, by `POST /auth/login/mfa`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    requires_mfa: Option<bool>,
    /// Stands for the first factor; good once, for five minutes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::exposed_if_any")]
    #[schema(value_type = Option<String>, nullable = false, example = "tmp_1_…")]
    temp_token: Option<Secret>,
    /// What may follow: `totp`, `backup_code`, `passkey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mfa_methods: Option<Vec<&'static str>>,
    /// The way in that was linked, where the flow was for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    identity: Option<LinkedIdentity>,
}

/// A user, as a login through a provider shows them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FederatedUser {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: UserId,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
}

/// A login that a page has picked up by its code.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExchangedLogIn {
    #[serde(flatten)]
    login: LogIn,
    /// Whether the account was made by it.
    is_new_user: bool,
    /// The way in that was linked, where the code stood for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    identity: Option<LinkedIdentity>,
}

/// An account at a provider that is a way in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkedIdentity {
    #[schema(example = "google")]
    provider: String,
    /// What the provider calls the account.
    #[schema(example = "110248495921238986420")]
    subject: String,
    /// The address that the provider gave at the last login.
    email: Option<String>,
    /// Whether the provider has verified it.
    email_verified: bool,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    linked_at: Moment,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Moment,
}

impl From<Identity> for LinkedIdentity {
    fn from(identity: Identity) -> Self {
        Self {
            provider: identity.account.provider,
            subject: identity.account.subject,
            email: identity.account.email,
            email_verified: identity.account.email_verified,
            linked_at: identity.linked,
            last_used_at: identity.last_used,
        }
    }
}

impl From<Profile> for FederatedUser {
    fn from(profile: Profile) -> Self {
        Self {
            id: profile.id,
            email: profile.email,
            first_name: profile.first_name,
            last_name: profile.last_name,
        }
    }
}

impl From<Arrived> for FederatedLogIn {
    fn from(arrived: Arrived) -> Self {
        let of = |profile: Profile, is_new_user| Self {
            user: profile.into(),
            session: None,
            is_new_user,
            requires_mfa: None,
            temp_token: None,
            mfa_methods: None,
            identity: None,
        };
        match arrived {
            Arrived::Entered { entered: Entered::SignedIn(signed_in), is_new_user } => Self {
                session: Some(signed_in.tokens.into()),
                ..of(signed_in.profile, is_new_user)
            },
            Arrived::Entered { entered: Entered::Challenged(challenged), is_new_user } => {
                let methods = challenged.methods.into_iter().map(|method| method.name());
                Self {
                    requires_mfa: Some(true),
                    temp_token: Some(challenged.temp_token),
                    mfa_methods: Some(methods.collect()),
                    ..of(challenged.profile, is_new_user)
                }
            }
            Arrived::Linked { profile, identity } => {
                Self { identity: Some(identity.into()), ..of(profile, false) }
            }
        }
    }
}

impl From<Arrived> for ExchangedLogIn {
    fn from(arrived: Arrived) -> Self {
        match arrived {
            Arrived::Entered { entered, is_new_user } => {
                Self { login: entered.into(), is_new_user, identity: None }
            }
            Arrived::Linked { profile, identity } => Self {
                login: LogIn::without_session(profile),
                is_new_user: false,
                identity: Some(identity.into()),
            },
        }
    }
}
