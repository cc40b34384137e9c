//! Users in the hands of administrators: servers by their secret key.

use garde::Validate;
use janua_actors::capability::users::{Amendment, Found, NewUser, Search};
use janua_actors::hashing::Plaintext;
use janua_storage::capability::users::{self, Action, Changes, Status};
use janua_storage::ids::UserId;
use janua_storage::moment::Moment;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Profile, import};
use crate::api::sessions::{Revoked, Sessions};
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, patch, post};
use crate::error::{Code, Error};
use crate::input::{Empty, Json};
use crate::output::{Created, Data, Done};
use crate::query::Query;
use crate::{rules, shapes, text};

const READ: Access = Access::Permission("users:read");
const WRITE: Access = Access::Permission("users:write");
const DELETE: Access = Access::Permission("users:delete");

/// The endpoints for administrators.
pub fn endpoints_for_administrators() -> Vec<Endpoint> {
    vec![
        get("/users", READ, Limit::Api, list)
            .describes("List or search users, in the order of their coming"),
        post("/users", WRITE, Limit::Api, create).describes("Create a user").refuses(&[
            Code::EmailAlreadyExists,
            Code::WeakPassword,
            Code::PasswordBreached,
        ]),
        post("/users/import", WRITE, Limit::Api, import::import)
            .describes("Import users with their password hashes, one JSON object a line"),
        get("/users/{userId}", READ, Limit::Api, show).describes("Get a user"),
        patch("/users/{userId}", WRITE, Limit::Api, amend)
            .describes("Change a user; another password ends all sessions")
            .refuses(&[Code::EmailAlreadyExists, Code::WeakPassword, Code::PasswordBreached]),
        delete("/users/{userId}", DELETE, Limit::Api, remove)
            .describes("Delete a user, and erase what is held on them"),
        post("/users/{userId}/suspend", WRITE, Limit::Api, suspend)
            .describes("Suspend a user, and end all sessions at once"),
        post("/users/{userId}/reactivate", WRITE, Limit::Api, reactivate)
            .describes("Take a suspension back"),
        post("/users/{userId}/unlock", WRITE, Limit::Api, unlock)
            .describes("Forgive a user's wrong passwords"),
        get("/users/{userId}/sessions", READ, Limit::Api, sessions)
            .describes("List the sessions of a user"),
        delete("/users/{userId}/sessions", WRITE, Limit::Api, end_sessions)
            .describes("Revoke all sessions of a user"),
    ]
}

async fn list(call: Call, Query(query): Query<UserQuery>) -> Result<Data<Users>, Error> {
    let found = call.tenant()?.search_users(query.into()).await?;
    Ok(Data(found.into()))
}

async fn create(
    call: Call,
    Json(body): Json<CreateUserRequest>,
) -> Result<Created<ManagedUser>, Error> {
    let new = NewUser {
        email: rules::address("email", &body.email)?,
        email_verified: body.email_verified,
        password: body.password.as_deref().map(Plaintext::new),
        first_name: body.first_name,
        last_name: body.last_name,
        phone_number: body.phone_number.and_then(|number| number.parse().ok()),
        avatar: body.avatar,
        metadata: Value::Object(body.metadata.unwrap_or_default()).to_string(),
    };
    let user = call.tenant()?.create_user(&call.context(), &call.authority()?, new).await?;
    Ok(Created(ManagedUser(user)))
}

async fn show(call: Call, _: Empty) -> Result<Data<ManagedUser>, Error> {
    let user = call.tenant()?.user(call.parameter("userId")?).await?;
    Ok(Data(ManagedUser(user)))
}

async fn amend(call: Call, Json(body): Json<AmendUserRequest>) -> Result<Data<ManagedUser>, Error> {
    let user = call.parameter("userId")?;
    let amendment = body.try_into()?;
    let context = call.context();
    let user = call.tenant()?.amend_user(&context, &call.authority()?, user, amendment).await?;
    Ok(Data(ManagedUser(user)))
}

async fn remove(call: Call, _: Empty) -> Result<Done, Error> {
    let user = call.parameter("userId")?;
    call.tenant()?.remove_user(&call.context(), &call.authority()?, user).await?;
    Ok(Done("User deleted successfully"))
}

async fn suspend(call: Call, _: Empty) -> Result<Data<ManagedUser>, Error> {
    manage(&call, Action::Suspend).await
}

async fn reactivate(call: Call, _: Empty) -> Result<Data<ManagedUser>, Error> {
    manage(&call, Action::Reactivate).await
}

async fn unlock(call: Call, _: Empty) -> Result<Data<ManagedUser>, Error> {
    manage(&call, Action::Unlock).await
}

async fn manage(call: &Call, action: Action) -> Result<Data<ManagedUser>, Error> {
    let user = call.parameter("userId")?;
    let managed =
        call.tenant()?.manage_user(&call.context(), &call.authority()?, user, action).await?;
    Ok(Data(ManagedUser(managed)))
}

async fn sessions(call: Call, _: Empty) -> Result<Data<Sessions>, Error> {
    let sessions = call.tenant()?.sessions_of(call.parameter("userId")?).await?;
    Sessions::of(&call, sessions, None).map(Data)
}

async fn end_sessions(call: Call, _: Empty) -> Result<Data<Revoked>, Error> {
    let user = call.parameter("userId")?;
    let ended = call.tenant()?.end_sessions_of(&call.context(), &call.authority()?, user).await?;
    Ok(Data(Revoked { revoked_count: ended }))
}

/// Which users are wanted.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserQuery {
    /// Stands in the address or the name, whatever its case.
    #[garde(length(chars, max = 200))]
    #[schema(max_length = 200)]
    search: Option<String>,
    /// The very address.
    #[garde(custom(rules::when_present(rules::email)))]
    #[schema(format = Email, max_length = 254)]
    email: Option<String>,
    /// Whether they may act.
    #[garde(skip)]
    #[schema(inline)]
    status: Option<UserStatus>,
    #[garde(skip)]
    email_verified: Option<bool>,
    /// Created then or later.
    #[garde(custom(rules::when_present(rules::moment)))]
    #[schema(format = DateTime)]
    created_after: Option<String>,
    /// Created before.
    #[garde(custom(rules::when_present(rules::moment)))]
    #[schema(format = DateTime)]
    created_before: Option<String>,
    /// Only those who came after this user: `next` of the page before. Unlike an offset it passes
    /// over nobody while users are deleted.
    #[garde(custom(rules::when_present(user_id)))]
    #[schema(
        pattern = "^usr_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq"
    )]
    after: Option<String>,
    #[garde(range(min = 1, max = 100))]
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    #[garde(skip)]
    #[schema(minimum = 0, maximum = 4294967295_u32, default = 0, format = Int64)]
    offset: Option<u32>,
}

fn user_id(text: &str, _: &()) -> garde::Result {
    text.parse::<UserId>().map(drop).map_err(|_| garde::Error::new("must be the id of a user"))
}

/// Whether a user may act.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserStatus {
    /// Yes.
    Active,
    /// Not until an administrator says so.
    Suspended,
}

impl From<UserStatus> for Status {
    fn from(status: UserStatus) -> Self {
        match status {
            UserStatus::Active => Self::Active,
            UserStatus::Suspended => Self::Suspended,
        }
    }
}

impl From<Status> for UserStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => Self::Active,
            Status::Suspended => Self::Suspended,
        }
    }
}

impl From<UserQuery> for Search {
    /// What does not parse has not passed the rules.
    fn from(query: UserQuery) -> Self {
        let moment = |text: Option<String>| text.and_then(|text| text.parse::<Moment>().ok());
        Self {
            text: query.search,
            email: query.email.and_then(|email| email.parse().ok()),
            status: query.status.map(Status::from),
            email_verified: query.email_verified,
            created_after: moment(query.created_after),
            created_before: moment(query.created_before),
            after: query.after.and_then(|id| id.parse().ok()),
            offset: query.offset.unwrap_or(0) as usize,
            limit: query.limit.unwrap_or(50) as usize,
        }
    }
}

/// A user to be.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateUserRequest {
    #[serde(default)]
    #[garde(custom(rules::email))]
    #[schema(required = true, format = Email, max_length = 254, example = "user@example.com")]
    email: String,
    /// Absent for users who are to log in by other means.
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    password: Option<String>,
    #[garde(custom(rules::when_present(rules::name)))]
    #[schema(max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    first_name: Option<String>,
    #[garde(custom(rules::when_present(rules::name)))]
    #[schema(max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    last_name: Option<String>,
    #[garde(custom(rules::when_present(rules::phone_number)))]
    #[schema(schema_with = shapes::phone_number)]
    phone_number: Option<String>,
    #[garde(custom(rules::when_present(rules::https_url)))]
    #[schema(schema_with = shapes::picture)]
    avatar: Option<String>,
    /// Whether the user is known to read mail at the address.
    #[serde(default)]
    #[garde(skip)]
    email_verified: bool,
    /// At most 16 KiB as JSON.
    #[garde(custom(rules::when_present(rules::metadata)))]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// Changes of a user: what is absent stays, `null` clears, `metadata` is replaced.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AmendUserRequest {
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::name)))]
    #[schema(value_type = Option<String>, max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    first_name: Option<Option<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rules::name)))]
    #[schema(value_type = Option<String>, max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    last_name: Option<Option<String>>,
    /// A changed number is unverified unless `phoneVerified` says so.
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
    /// Another address; unverified unless `emailVerified` says so.
    #[garde(custom(rules::when_present(rules::email)))]
    #[schema(format = Email, max_length = 254)]
    email: Option<String>,
    #[garde(skip)]
    email_verified: Option<bool>,
    #[garde(skip)]
    phone_verified: Option<bool>,
    /// Another password; it ends all sessions.
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    password: Option<String>,
}

impl TryFrom<AmendUserRequest> for Amendment {
    type Error = Error;

    fn try_from(body: AmendUserRequest) -> Result<Self, Error> {
        let email =
            body.email.as_deref().map(|email| rules::address("email", email)).transpose()?;
        let object = |metadata: Option<_>| Value::Object(metadata.unwrap_or_default()).to_string();
        Ok(Self {
            changes: Changes {
                first_name: body.first_name,
                last_name: body.last_name,
                phone_number: body.phone_number,
                avatar: body.avatar,
                metadata: body.metadata.map(object),
            },
            email,
            email_verified: body.email_verified,
            phone_verified: body.phone_verified,
            password: body.password.as_deref().map(Plaintext::new),
        })
    }
}

/// Users, and what there is behind them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Users {
    users: Vec<ManagedUser>,
    /// How many there are, those before `after` included. One request looks at 50,000 accounts on
    /// either side of it; where it stops there, these are not all, `hasMore` is true if there may be
    /// more ahead, and `next` says where to go on.
    total_count: u32,
    has_more: bool,
    /// Goes into `after` for what is behind these.
    #[serde(serialize_with = "text::of_some")]
    #[schema(value_type = Option<String>, example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    next: Option<UserId>,
}

impl From<Found> for Users {
    fn from(found: Found) -> Self {
        Self {
            users: found.users.into_iter().map(ManagedUser).collect(),
            total_count: found.total,
            has_more: found.has_more,
            next: found.next,
        }
    }
}

/// A user, as administrators see them.
pub struct ManagedUser(pub users::Managed);

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    #[serde(flatten)]
    profile: Profile<'a>,
    status: UserStatus,
    /// Until when no password is taken, after too many wrong ones.
    #[serde(serialize_with = "text::of_some")]
    #[schema(value_type = Option<String>, format = DateTime)]
    locked_until: Option<Moment>,
    /// Whether they can log in with a password.
    has_password: bool,
    session_count: u32,
    device_count: u32,
    identity_count: u32,
    passkey_count: u32,
}

impl Serialize for ManagedUser {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        let user = &self.0;
        let shown = Shown {
            profile: Profile::of(&user.profile),
            status: user.status.into(),
            locked_until: user.locked_until,
            has_password: user.has_password,
            session_count: user.sessions,
            device_count: user.devices,
            identity_count: user.identities,
            passkey_count: user.passkeys,
        };
        shown.serialize(json)
    }
}

impl PartialSchema for ManagedUser {
    fn schema() -> RefOr<Schema> {
        Shown::schema()
    }
}

impl ToSchema for ManagedUser {
    fn name() -> std::borrow::Cow<'static, str> {
        "ManagedUser".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Profile::name().into_owned(), Profile::schema()));
        Shown::schemas(schemas);
    }
}
