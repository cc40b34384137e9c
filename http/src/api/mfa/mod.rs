//! The second factor, and what every first factor answers: a session, or the demand for a second.

mod enrolment;

pub use enrolment::ShownFactors;
use garde::Validate;
use janua_actors::capability::mfa::{Challenged, Entered, Factor};
use janua_actors::capability::sessions::SignedIn;
use janua_storage::capability::users::Profile;
use janua_storage::ids::{DeviceId, UserId};
use janua_storage::moment::Moment;
use janua_storage::secret::{Purpose, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::passkeys::SignedCredential;
use super::passwords::DeviceInfo;
use super::sessions::SessionTokens;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, post};
use crate::error::{Code, Detail, Error};
use crate::input::Json;
use crate::output::Data;
use crate::{json, rules, text};

/// The endpoints for second factors.
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        post("/auth/login/mfa", Access::Public, Limit::Authentication, log_in)
            .describes("Complete a login by its second factor")
            .names_its_tenant()
            .refuses(&[
                Code::TokenUsed,
                Code::InvalidMfaCode,
                Code::InvalidCredentials,
                Code::AccountLocked,
                Code::AccountSuspended,
            ]),
    ];
    endpoints.extend(enrolment::endpoints());
    endpoints
}

/// A way to show a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FactorMethod {
    /// A code of an authenticator app.
    Totp,
    /// One of the codes that are kept for when the other factor is lost.
    BackupCode,
    /// A passkey.
    Passkey,
}

/// The second factor of a login.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecondFactorRequest {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1, example = "tmp_1_…")]
    temp_token: String,
    #[serde(default)]
    #[garde(custom(rules::there))]
    #[schema(required = true, nullable = false)]
    method: Option<FactorMethod>,
    /// For `totp` and `backup_code`.
    #[garde(custom(rules::when_present(rules::code)))]
    #[schema(min_length = 1, max_length = 64, example = "123456")]
    code: Option<String>,
    /// For `passkey`: what it signed for the challenge of `POST /auth/passkeys/authenticate/begin`
    /// with the same `tempToken`.
    #[serde(default, deserialize_with = "json::object")]
    #[garde(dive)]
    credential: Option<SignedCredential>,
    #[serde(default, deserialize_with = "json::object")]
    #[garde(dive)]
    device_info: Option<DeviceInfo>,
}

impl SecondFactorRequest {
    fn factor(&mut self) -> Result<Factor, Error> {
        let missing = |field| Error::invalid(vec![Detail::new(field, "is required")]);
        if self.method == Some(FactorMethod::Passkey) {
            let credential = self.credential.take().ok_or_else(|| missing("credential"))?;
            let signed = credential.read().map_err(|error| error.within("credential"))?;
            return Ok(Factor::Passkey(Box::new(signed)));
        }
        let code = Secret::given(&self.code.take().ok_or_else(|| missing("code"))?);
        match self.method {
            Some(FactorMethod::Totp) => Ok(Factor::Totp(code)),
            _ => Ok(Factor::BackupCode(code)),
        }
    }
}

async fn log_in(
    call: Call,
    Json(mut body): Json<SecondFactorRequest>,
) -> Result<Data<CompletedLogIn>, Error> {
    let factor = body.factor()?;
    let token = Secret::given(&body.temp_token);
    let device = body.device_info.unwrap_or_default().into();
    let tenant = call.tenant_of(&token, Purpose::TempToken).await?;
    let context = call.context();
    let signing_in = tenant.log_in_with_second_factor(&context, &token, factor, &device);
    Ok(Data(CompletedLogIn { session: signing_in.await?.tokens.into() }))
}

/// A login that was completed by its second factor.
#[derive(Serialize, ToSchema)]
pub struct CompletedLogIn {
    session: SessionTokens,
}

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
