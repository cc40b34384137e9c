//! The current user: profile, password, account. What administrators do to users lies in `managed`.

mod export;
mod import;
mod managed;

use std::sync::Arc;

use garde::Validate;
use janua_actors::hashing::Plaintext;
use janua_actors::refusal::{FieldError, Refusal};
use janua_actors::session::Live;
use janua_storage::capability::users::{self, Changes};
use janua_storage::ids::UserId;
use janua_storage::moment::Moment;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, post, put};
use crate::error::{Code, Error};
use crate::input::{Empty, Json};
use crate::output::{Data, Done, DoneWith};
use crate::{rules, shapes, text};

/// The endpoints for the current user.
pub fn endpoints() -> Vec<Endpoint> {
    let own = vec![
        get("/users/me", Access::Session, Limit::Api, me)
            .describes("Get the current user's profile"),
        put("/users/me", Access::Session, Limit::Api, update)
            .describes("Update the current user's profile"),
        delete("/users/me", Access::Session, Limit::Api, remove)
            .describes("Delete the current user's account")
            .refuses(&[
                Code::InvalidCredentials,
                Code::AccountLocked,
                Code::ReauthenticationRequired,
            ]),
        post("/users/me/change-password", Access::Session, Limit::Api, change_password)
            .describes("Change the current user's password")
            .refuses(&[
                Code::InvalidCredentials,
                Code::AccountLocked,
                Code::WeakPassword,
                Code::PasswordBreached,
                Code::ReauthenticationRequired,
            ]),
        get("/users/me/export", Access::Session, Limit::Api, export::export)
            .describes("Get everything that is held on the current user"),
    ];
    own.into_iter().chain(managed::endpoints_for_administrators()).collect()
}

async fn me(call: Call, _: Empty) -> Result<Data<CurrentUser>, Error> {
    Ok(Data(CurrentUser(call.session()?.live.clone())))
}

async fn update(
    call: Call,
    Json(body): Json<UpdateRequest>,
) -> Result<Data<UpdatedProfile>, Error> {
    let caller = call.session()?;
    let profile = caller.tenant.update_me(&call.context(), caller, body.into()).await?;
    Ok(Data(profile.into()))
}

async fn remove(call: Call, Json(body): Json<DeleteRequest>) -> Result<Done, Error> {
    let caller = call.session()?;
    let password = body.password.as_deref().map(Plaintext::new);
    caller.tenant.delete_me(&call.context(), caller, password).await?;
    Ok(Done("Account deleted successfully"))
}

async fn change_password(
    call: Call,
    Json(body): Json<ChangePasswordRequest>,
) -> Result<DoneWith<PasswordChanged>, Error> {
    let caller = call.session()?;
    let has_one = caller.live.user.password.is_some();
    rules::check([
        (
            "currentPassword",
            if has_one { rules::there(&body.current_password, &()) } else { Ok(()) },
        ),
        ("newPassword", rules::password(&body.new_password, &())),
    ])?;
    let current = body.current_password.as_deref().map(Plaintext::new);
    let new = Plaintext::new(&body.new_password);
    let others = body.logout_other_sessions;
    let context = call.context();
    let changing = caller.tenant.change_password(&context, caller, current, new, others);
    let sessions_invalidated = changing.await.map_err(about_the_new_one)?;
    Ok(DoneWith("Password changed successfully", PasswordChanged::of(sessions_invalidated)))
}

/// The policy speaks of the password; in this body it is the new one.
pub(super) fn about_the_new_one(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::WeakPassword(fields) => Refusal::WeakPassword(of_the_new_one(fields)),
        Refusal::PasswordBreached(fields) => Refusal::PasswordBreached(of_the_new_one(fields)),
        other => other,
    }
}

fn of_the_new_one(mut fields: Vec<FieldError>) -> Vec<FieldError> {
    fields.iter_mut().for_each(|error| error.field = "newPassword".into());
    fields
}

/// Changes of a profile: what is absent stays, `null` clears, `metadata` is replaced.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateRequest {
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::name)))]
    #[schema(value_type = Option<String>, max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    first_name: Option<Option<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::name)))]
    #[schema(value_type = Option<String>, max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    last_name: Option<Option<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::phone_number)))]
    #[schema(schema_with = shapes::phone_number)]
    phone_number: Option<Option<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::https_url)))]
    #[schema(schema_with = shapes::picture)]
    avatar: Option<Option<String>>,
    /// At most 16 KiB as JSON.
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::metadata)))]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Map<String, Value>>>,
}

/// A change of password.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangePasswordRequest {
    /// Required of all who have one; others must have logged in within the last 15 minutes.
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    current_password: Option<String>,
    /// The policy of the tenant asks for more than the form: as shipped, 8 to 256 characters.
    #[serde(default)]
    #[garde(skip)]
    #[schema(required = true, format = Password, min_length = 1, max_length = 4096)]
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
    /// Required of all who have one; others must have logged in within the last 15 minutes.
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    password: Option<String>,
    /// The word `DELETE`.
    #[serde(default)]
    #[garde(custom(is_delete))]
    #[schema(required = true, schema_with = the_word_delete)]
    confirmation: String,
}

fn the_word_delete() -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["DELETE"])).build()
}

fn is_delete(text: &str, _: &()) -> garde::Result {
    if text == "DELETE" { Ok(()) } else { Err(garde::Error::new("must be the word DELETE")) }
}

/// The profile of the user who calls, written from the record that the session's actor holds.
pub struct CurrentUser(Arc<Live>);

impl Serialize for CurrentUser {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        Profile::of(&self.0.user.profile).serialize(json)
    }
}

impl PartialSchema for CurrentUser {
    fn schema() -> RefOr<Schema> {
        Profile::schema()
    }
}

impl ToSchema for CurrentUser {
    fn name() -> std::borrow::Cow<'static, str> {
        Profile::name()
    }
}

/// A user's own profile.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: UserId,
    email: &'a str,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    email_verified: bool,
    phone_number: Option<&'a str>,
    phone_verified: bool,
    avatar: Option<&'a str>,
    mfa_enabled: bool,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    last_active_at: Moment,
    #[serde(serialize_with = "text::object")]
    #[schema(value_type = Object)]
    metadata: &'a str,
}

impl<'a> Profile<'a> {
    fn of(profile: &'a users::Profile) -> Self {
        Self {
            id: profile.id,
            email: &profile.email,
            first_name: profile.first_name.as_deref(),
            last_name: profile.last_name.as_deref(),
            email_verified: profile.email_verified,
            phone_number: profile.phone_number.as_deref(),
            phone_verified: profile.phone_verified,
            avatar: profile.avatar.as_deref(),
            mfa_enabled: profile.mfa_enabled,
            created_at: profile.created,
            last_active_at: profile.last_active,
            metadata: &profile.metadata,
        }
    }
}

/// A user's own profile after a change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatedProfile {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: UserId,
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

impl PasswordChanged {
    pub(super) const fn of(sessions_invalidated: u32) -> Self {
        Self { sessions_invalidated }
    }
}

impl From<UpdateRequest> for Changes {
    fn from(body: UpdateRequest) -> Self {
        let object = |metadata: Option<_>| Value::Object(metadata.unwrap_or_default()).to_string();
        Self {
            first_name: body.first_name,
            last_name: body.last_name,
            phone_number: body.phone_number,
            avatar: body.avatar,
            metadata: body.metadata.map(object),
        }
    }
}

impl From<users::Profile> for UpdatedProfile {
    fn from(profile: users::Profile) -> Self {
        Self {
            id: profile.id,
            email: profile.email,
            first_name: profile.first_name,
            last_name: profile.last_name,
            phone_number: profile.phone_number,
            avatar: profile.avatar,
        }
    }
}
