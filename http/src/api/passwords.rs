//! Registering and logging in with a password.

use garde::Validate;
use janua_actors::capability::passwords::Credentials;
use janua_actors::capability::users::{self, Registered};
use janua_actors::context;
use janua_actors::hashing::Plaintext;
use janua_actors::mail::Onward;
use janua_storage::ids::UserId;
use janua_storage::moment::Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::mfa::LogIn;
use super::sessions::SessionTokens;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, post};
use crate::error::{Code, Error};
use crate::input::Json;
use crate::output::{Created, Data};
use crate::{json, rules, text};

/// The endpoints for passwords.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/auth/register", Access::Public, Limit::Authentication, register)
            .describes("Create a new user account with e-mail and password")
            .refuses(&[
                Code::EmailAlreadyExists,
                Code::WeakPassword,
                Code::PasswordBreached,
                Code::InsufficientPermissions,
            ]),
        post("/auth/login", Access::Public, Limit::Authentication, log_in)
            .describes("Authenticate with e-mail and password")
            .refuses(&[Code::InvalidCredentials, Code::AccountLocked, Code::AccountSuspended]),
    ]
}

/// The body of a registration. Fields that only the server may set are not among these, so nobody
/// can set them.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterRequest {
    #[serde(default)]
    #[garde(custom(rules::email))]
    #[schema(required = true, format = Email, max_length = 254, example = "user@example.com")]
    email: String,
    /// The policy of the tenant asks for more than the form: as shipped, 8 to 256 characters.
    #[serde(default)]
    #[garde(custom(rules::password))]
    #[schema(required = true, format = Password, min_length = 1, max_length = 4096, example = "SecurePassword123!")]
    password: String,
    #[garde(custom(rules::when_present(rules::name)))]
    #[schema(max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    first_name: Option<String>,
    #[garde(custom(rules::when_present(rules::name)))]
    #[schema(max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    last_name: Option<String>,
    /// At most 16 KiB as JSON.
    #[garde(custom(rules::when_present(rules::metadata)))]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// The body of a login.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogInRequest {
    #[serde(default)]
    #[garde(custom(rules::email))]
    #[schema(required = true, format = Email, max_length = 254, example = "user@example.com")]
    email: String,
    #[serde(default)]
    #[garde(custom(rules::password))]
    #[schema(required = true, format = Password, min_length = 1, max_length = 4096, example = "SecurePassword123!")]
    password: String,
    #[serde(default, deserialize_with = "json::object")]
    #[garde(dive)]
    device_info: Option<DeviceInfo>,
}

/// What a client says of its device. Its address is taken from the connection, whatever this says.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceInfo {
    #[garde(length(chars, max = 1024))]
    #[schema(max_length = 1024)]
    user_agent: Option<String>,
    #[garde(length(chars, max = 64))]
    #[schema(max_length = 64)]
    ip_address: Option<String>,
    #[garde(length(chars, max = 256))]
    #[schema(max_length = 256)]
    device_fingerprint: Option<String>,
}

async fn register(
    call: Call,
    Json(body): Json<RegisterRequest>,
) -> Result<Created<Registration>, Error> {
    let registration = users::Registration {
        email: rules::address("email", &body.email)?,
        password: Plaintext::new(&body.password),
        first_name: body.first_name,
        last_name: body.last_name,
        metadata: Value::Object(body.metadata.unwrap_or_default()).to_string(),
        onward: Onward::default(),
    };
    let registered = call.tenant()?.register(&call.context(), registration).await?;
    Ok(Created(registered.into()))
}

async fn log_in(call: Call, Json(body): Json<LogInRequest>) -> Result<Data<LogIn>, Error> {
    let credentials = Credentials {
        email: rules::address("email", &body.email)?,
        password: Plaintext::new(&body.password),
        device: body.device_info.unwrap_or_default().into(),
    };
    let signed_in = call.tenant()?.log_in(&call.context(), credentials).await?;
    Ok(Data(signed_in.into()))
}

/// A new account, and its first session unless the tenant gives newcomers none.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    user: NewUser,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<SessionTokens>,
}

/// A user, as registration shows them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewUser {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: UserId,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    email_verified: bool,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    last_active_at: Moment,
}

impl From<DeviceInfo> for context::DeviceInfo {
    fn from(info: DeviceInfo) -> Self {
        let DeviceInfo { user_agent, ip_address, device_fingerprint } = info;
        Self { user_agent, ip_address, fingerprint: device_fingerprint }
    }
}

impl From<Registered> for Registration {
    fn from(registered: Registered) -> Self {
        let profile = registered.profile;
        let user = NewUser {
            id: profile.id,
            email: profile.email,
            first_name: profile.first_name,
            last_name: profile.last_name,
            email_verified: profile.email_verified,
            created_at: profile.created,
            last_active_at: profile.last_active,
        };
        Self { user, session: registered.tokens.map(SessionTokens::from) }
    }
}
