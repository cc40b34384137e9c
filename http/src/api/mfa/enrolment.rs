//! How the current user's second factor comes and goes.

use garde::Validate;
use janua_actors::capability::mfa::{Enrolment, SecondFactors};
use janua_actors::hashing::Plaintext;
use janua_storage::capability::mfa::SecondFactor;
use janua_storage::moment::Moment;
use janua_storage::secret::Secret;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, post};
use crate::error::{Code, Error};
use crate::input::{Empty, Json, OptionalJson};
use crate::output::{Data, Done};
use crate::{rules, text};

/// What whoever has to show a password may be told.
const ABOUT_PASSWORDS: &[Code] = &[
    Code::InvalidCredentials,
    Code::AccountLocked,
    Code::MfaRequired,
    Code::ReauthenticationRequired,
];

/// The endpoints for the current user's second factor.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/users/me/mfa", Access::Session, Limit::Api, show)
            .describes("Show what the current user has for a second factor"),
        post("/users/me/mfa/totp/enroll", Access::Session, Limit::Api, enroll)
            .describes("Get a seed for an authenticator app")
            .refuses(ABOUT_PASSWORDS),
        post("/users/me/mfa/totp/verify", Access::Session, Limit::Api, verify)
            .describes("Switch the second factor on by a first code of the app")
            .refuses(&[Code::InvalidMfaCode, Code::AccountLocked, Code::MfaRequired]),
        delete("/users/me/mfa/totp", Access::Session, Limit::Api, remove)
            .describes("Switch the second factor off by a last code of the app")
            .refuses(&[
                Code::InvalidCredentials,
                Code::InvalidMfaCode,
                Code::AccountLocked,
                Code::ReauthenticationRequired,
            ]),
        post("/users/me/mfa/backup-codes", Access::Session, Limit::Api, renew)
            .describes("Replace the backup codes")
            .refuses(ABOUT_PASSWORDS),
        post("/users/me/mfa/step-up", Access::Session, Limit::Api, step_up)
            .describes("Show the second factor once more, for what demands it")
            .refuses(&[Code::InvalidMfaCode, Code::AccountLocked]),
    ]
}

/// A body that shows the password once more.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct PasswordRequest {
    /// Required of all who have one; others must have logged in within the last 15 minutes.
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    password: Option<String>,
}

/// A body that shows a code.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct CodeRequest {
    #[serde(default)]
    #[garde(custom(rules::code))]
    #[schema(required = true, min_length = 1, max_length = 64, example = "123456")]
    code: String,
}

/// A body that shows both.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct PasswordAndCodeRequest {
    /// Required of all who have one; others must have logged in within the last 15 minutes.
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    password: Option<String>,
    /// A code of the app, or a backup code.
    #[serde(default)]
    #[garde(custom(rules::code))]
    #[schema(required = true, min_length = 1, max_length = 64, example = "123456")]
    code: String,
}

fn plaintext(password: Option<String>) -> Option<Plaintext> {
    password.as_deref().map(Plaintext::new)
}

async fn show(call: Call, _: Empty) -> Result<Data<ShownFactors>, Error> {
    let caller = call.session()?;
    Ok(Data(caller.tenant.second_factors(caller).await?.into()))
}

async fn enroll(
    call: Call,
    OptionalJson(body): OptionalJson<PasswordRequest>,
) -> Result<Data<ShownEnrolment>, Error> {
    let caller = call.session()?;
    let password = plaintext(body.password);
    Ok(Data(caller.tenant.enroll_totp(&call.context(), caller, password).await?.into()))
}

async fn verify(call: Call, Json(body): Json<CodeRequest>) -> Result<Data<BackupCodes>, Error> {
    let caller = call.session()?;
    let codes = caller.tenant.enable_totp(&call.context(), caller, &body.code).await?;
    Ok(Data(BackupCodes { backup_codes: codes }))
}

async fn remove(call: Call, Json(body): Json<PasswordAndCodeRequest>) -> Result<Done, Error> {
    let caller = call.session()?;
    let password = plaintext(body.password);
    caller.tenant.disable_totp(&call.context(), caller, password, &body.code).await?;
    Ok(Done("Multi-factor authentication switched off"))
}

async fn renew(
    call: Call,
    OptionalJson(body): OptionalJson<PasswordRequest>,
) -> Result<Data<BackupCodes>, Error> {
    let caller = call.session()?;
    let password = plaintext(body.password);
    let codes = caller.tenant.renew_backup_codes(&call.context(), caller, password).await?;
    Ok(Data(BackupCodes { backup_codes: codes }))
}

async fn step_up(call: Call, Json(body): Json<CodeRequest>) -> Result<Data<SteppedUp>, Error> {
    let caller = call.session()?;
    let counts = caller.tenant.step_up(&call.context(), caller, &body.code).await?;
    Ok(Data(SteppedUp { valid_for: counts.as_secs() }))
}

/// What a user has for a second factor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShownFactors {
    /// Whether one is demanded at login.
    enabled: bool,
    /// What may be shown then: `totp`, `backup_code`, `passkey`.
    methods: Vec<&'static str>,
    totp: ShownTotp,
    backup_codes_remaining: usize,
    passkeys: usize,
}

/// A user's authenticator app.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShownTotp {
    enabled: bool,
    #[serde(serialize_with = "text::of_some")]
    #[schema(value_type = Option<String>, format = DateTime)]
    enrolled_at: Option<Moment>,
}

/// What an authenticator app is told.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShownEnrolment {
    /// To be typed, base32.
    #[serde(serialize_with = "text::exposed")]
    #[schema(value_type = String, example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: Secret,
    /// To be opened by the app.
    #[serde(serialize_with = "text::exposed")]
    #[schema(value_type = String, example = "otpauth://totp/Janua:user%40example.com?secret=…")]
    otpauth_uri: Secret,
    /// To be scanned: an SVG image as a `data:` URI.
    #[serde(serialize_with = "text::exposed")]
    #[schema(value_type = String, example = "data:image/svg+xml;base64,…")]
    qr_code: Secret,
}

/// Backup codes, shown once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupCodes {
    /// Each is good once.
    #[serde(serialize_with = "exposed")]
    #[schema(value_type = Vec<String>)]
    backup_codes: Vec<Secret>,
}

fn exposed<S: Serializer>(secrets: &[Secret], json: S) -> Result<S::Ok, S::Error> {
    json.collect_seq(secrets.iter().map(Secret::expose))
}

/// For how long the second factor that was shown counts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SteppedUp {
    /// Seconds.
    valid_for: u64,
}

impl From<SecondFactors> for ShownFactors {
    fn from(factors: SecondFactors) -> Self {
        let SecondFactors { totp, backup_codes, passkeys } = factors;
        let ways = [
            (SecondFactor::Totp, totp.is_some()),
            (SecondFactor::BackupCode, backup_codes > 0),
            (SecondFactor::Passkey, passkeys > 0),
        ];
        let methods = ways.into_iter().filter(|(_, has)| *has).map(|(way, _)| way.name());
        Self {
            enabled: totp.is_some(),
            methods: methods.collect(),
            totp: ShownTotp { enabled: totp.is_some(), enrolled_at: totp },
            backup_codes_remaining: backup_codes,
            passkeys,
        }
    }
}

impl From<Enrolment> for ShownEnrolment {
    fn from(enrolment: Enrolment) -> Self {
        let Enrolment { secret, uri, qr_code } = enrolment;
        Self { secret, otpauth_uri: uri, qr_code }
    }
}
