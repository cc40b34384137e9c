//! Registering and logging in with a password.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::rules;
use super::sessions::SessionTokens;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, post};
use crate::error::{Code, Error};
use crate::input::Json;
use crate::output::{Created, Data};

/// The endpoints for passwords.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/auth/register", Access::Public, Limit::Authentication, register)
            .describes("Create a new user account with e-mail and password")
            .refuses(&[Code::EmailAlreadyExists, Code::WeakPassword, Code::IdempotencyConflict]),
        post("/auth/login", Access::Public, Limit::Authentication, log_in)
            .describes("Authenticate with e-mail and password")
            .refuses(&[Code::InvalidCredentials, Code::AccountLocked, Code::AccountSuspended]),
    ]
}

/// The body of a registration. Fields that only the server may set are not among these, so nobody
/// can set them.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisterRequest {
    #[serde(default)]
    #[garde(custom(rules::email))]
    #[schema(required = true, format = Email, example = "user@example.com")]
    email: String,
    #[serde(default)]
    #[garde(custom(rules::password))]
    #[schema(required = true, format = Password, example = "SecurePassword123!")]
    password: String,
    #[garde(custom(rules::when_present(rules::name)))]
    first_name: Option<String>,
    #[garde(custom(rules::when_present(rules::name)))]
    last_name: Option<String>,
    #[garde(custom(rules::when_present(rules::metadata)))]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// The body of a login.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogInRequest {
    #[serde(default)]
    #[garde(custom(rules::email))]
    #[schema(required = true, format = Email, example = "user@example.com")]
    email: String,
    #[serde(default)]
    #[garde(custom(rules::password))]
    #[schema(required = true, format = Password, example = "SecurePassword123!")]
    password: String,
    #[garde(dive)]
    device_info: Option<DeviceInfo>,
}

/// What a client says of its device. Its address is taken from the connection, whatever this says.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceInfo {
    #[garde(length(max = 1024))]
    user_agent: Option<String>,
    #[garde(length(max = 64))]
    ip_address: Option<String>,
    #[garde(length(max = 256))]
    device_fingerprint: Option<String>,
}

/// A new account, and its first session unless the tenant gives newcomers none.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    user: NewUser,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionTokens>,
}

/// A user, as registration shows them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewUser {
    #[schema(example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: String,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    email_verified: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_active_at: String,
}

/// A login.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogIn {
    user: LoggedInUser,
    session: DeviceSession,
    requires_mfa: bool,
}

/// A user, as a login shows them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedInUser {
    #[schema(example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: String,
    email: String,
    first_name: Option<String>,
    last_name: Option<String>,
    email_verified: bool,
    mfa_enabled: bool,
    #[schema(format = DateTime)]
    last_active_at: String,
}

/// A new session and the device that it is on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSession {
    #[serde(flatten)]
    tokens: SessionTokens,
    #[schema(example = "dev_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    device_id: String,
}
