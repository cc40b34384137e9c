//! The current user: profile, password, account.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::rules;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, post, put};
use crate::error::{Code, Error};
use crate::input::{Empty, Json};
use crate::output::{Data, Done, DoneWith};

/// The endpoints for the current user.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/users/me", Access::Session, Limit::Api, me).describes("Get the current user's profile"),
        put("/users/me", Access::Session, Limit::Api, update)
            .describes("Update the current user's profile"),
        delete("/users/me", Access::Session, Limit::Api, remove)
            .describes("Delete the current user's account")
            .refuses(&[Code::InvalidCredentials, Code::AccountLocked]),
        post("/users/me/change-password", Access::Session, Limit::Api, change_password)
            .describes("Change the current user's password")
            .refuses(&[Code::InvalidCredentials, Code::AccountLocked, Code::WeakPassword]),
    ]
}

/// Changes of a profile: what is absent stays, `null` clears, `metadata` is replaced.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateRequest {
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::name)))]
    #[schema(value_type = Option<String>)]
    first_name: Option<Option<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::name)))]
    #[schema(value_type = Option<String>)]
    last_name: Option<Option<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::phone_number)))]
    #[schema(value_type = Option<String>, example = "+9876543210")]
    phone_number: Option<Option<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::https_url)))]
    #[schema(value_type = Option<String>, format = Uri)]
    avatar: Option<Option<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::metadata)))]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Map<String, Value>>>,
}

/// A change of password.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangePasswordRequest {
    #[serde(default)]
    #[garde(custom(rules::password))]
    #[schema(required = true, format = Password)]
    current_password: String,
    #[serde(default)]
    #[garde(custom(rules::password))]
    #[schema(required = true, format = Password)]
    new_password: String,
    /// Whether all other sessions end.
    #[serde(default = "yes")]
    #[garde(skip)]
    logout_other_sessions: bool,
}

/// A stolen password is the usual reason to change it.
fn yes() -> bool {
    true
}

/// The wish to delete one's account.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteRequest {
    #[serde(default)]
    #[garde(custom(rules::password))]
    #[schema(required = true, format = Password)]
    password: String,
    /// The word `DELETE`.
    #[serde(default)]
    #[garde(custom(confirmation))]
    #[schema(required = true, example = "DELETE")]
    confirmation: String,
}

fn confirmation(text: &str, _: &()) -> garde::Result {
    if text == "DELETE" { Ok(()) } else { Err(garde::Error::new("must be the word DELETE")) }
}

/// A user's own profile.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    #[schema(example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: String,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    email_verified: bool,
    phone_number: Option<String>,
    phone_verified: bool,
    avatar: Option<String>,
    mfa_enabled: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_active_at: String,
    #[schema(value_type = Object)]
    metadata: Value,
}

/// A user's own profile after a change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatedProfile {
    id: String,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    phone_number: Option<String>,
    avatar: Option<String>,
}

/// What a change of password ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordChanged {
    sessions_invalidated: u32,
}
