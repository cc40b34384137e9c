//! Passkeys (WebAuthn Level 3).

mod credential;
mod options;

use garde::Validate;
use janua_actors::capability::mfa::Entered;
use janua_actors::capability::passkeys::Asked;
use janua_actors::hashing::Plaintext;
use janua_storage::capability::passkeys;
use janua_storage::ids::{CredentialId, UserId};
use janua_storage::moment::Moment;
use janua_storage::secret::{Purpose, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::credential::AttestedCredential;
pub use self::credential::SignedCredential;
pub use self::options::{CreationOptions, RequestOptions, Selection};
use super::sessions::SessionTokens;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, patch, post};
use crate::error::{Code, Detail, Error};
use crate::input::{Empty, Json, OptionalJson};
use crate::output::{Created, Data, Done};
use crate::{json, rules, text};

/// The endpoints for passkeys.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/auth/passkeys/register/begin", Access::Session, Limit::Api, begin_registration)
            .describes("Start to register a passkey")
            .refuses(&[
                Code::MfaRequired,
                Code::InvalidCredentials,
                Code::AccountLocked,
                Code::ReauthenticationRequired,
            ]),
        post("/auth/passkeys/register/complete", Access::Session, Limit::Api, register)
            .describes("Register the passkey that an authenticator has made")
            .refuses(&[Code::TokenUsed, Code::InvalidCredentials]),
        post(
            "/auth/passkeys/authenticate/begin",
            Access::Public,
            Limit::Authentication,
            begin_login,
        )
        .describes("Start to log in with a passkey")
        .names_its_tenant()
        .refuses(&[Code::TokenUsed]),
        post("/auth/passkeys/authenticate/complete", Access::Public, Limit::Authentication, log_in)
            .describes("Log in with what a passkey has signed")
            .refuses(&[Code::TokenUsed, Code::InvalidCredentials, Code::AccountSuspended]),
        get("/passkeys", Access::Session, Limit::Api, list)
            .describes("List the passkeys of the current user"),
        patch("/passkeys/{credentialId}", Access::Session, Limit::Api, rename)
            .describes("Rename a passkey of the current user"),
        delete("/passkeys/{credentialId}", Access::Session, Limit::Api, remove)
            .describes("Remove a passkey of the current user")
            .refuses(&[
                Code::ResourceNotFound,
                Code::MfaRequired,
                Code::InvalidCredentials,
                Code::AccountLocked,
                Code::ReauthenticationRequired,
                Code::LastLoginMethod,
            ]),
    ]
}

/// The wish for a passkey.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BeginRegistrationRequest {
    /// How its owner is shown by authenticators; their name or address unless said otherwise.
    #[garde(custom(rules::when_present(rules::name)))]
    #[schema(
        max_length = 100,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
        example = "John Doe"
    )]
    display_name: Option<String>,
    #[serde(default, deserialize_with = "json::object")]
    #[garde(dive)]
    authenticator_selection: Option<Selection>,
    /// For a session that is not fresh and has no second factor to show.
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    password: Option<String>,
}

/// The wish to log in with a passkey.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BeginLogInRequest {
    /// Whose passkeys will do; without it, whichever the authenticator finds.
    #[garde(custom(rules::when_present(rules::email)))]
    #[schema(format = Email, max_length = 254, example = "user@example.com")]
    email: Option<String>,
    /// For a passkey as second factor.
    #[garde(custom(rules::when_present(rules::present)))]
    #[schema(min_length = 1)]
    temp_token: Option<String>,
}

/// What a session shows that is not fresh and has no second factor to show.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct RemovePasskeyRequest {
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    password: Option<String>,
}

/// Another name for a passkey.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct RenameRequest {
    #[garde(custom(rules::when_present(rules::name)))]
    #[schema(
        required = true,
        nullable = false,
        min_length = 1,
        max_length = 100,
        pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
    )]
    name: Option<String>,
}

async fn begin_registration(
    call: Call,
    OptionalJson(body): OptionalJson<BeginRegistrationRequest>,
) -> Result<Data<CreationOptions>, Error> {
    let caller = call.session()?;
    let name = body.display_name.filter(|name| !name.is_empty());
    let password = body.password.as_deref().map(Plaintext::new);
    let context = call.context();
    let begun = caller.tenant.begin_passkey_registration(&context, caller, name, password).await?;
    Ok(Data(CreationOptions::of(begun, body.authenticator_selection.unwrap_or_default())))
}

async fn register(
    call: Call,
    Json(body): Json<AttestedCredential>,
) -> Result<Created<Registered>, Error> {
    let caller = call.session()?;
    let attested = body.read()?;
    let context = call.context();
    let registering = caller.tenant.complete_passkey_registration(&context, caller, attested);
    Ok(Created(Registered { credential_id: registering.await?, verified: true }))
}

async fn begin_login(
    call: Call,
    OptionalJson(body): OptionalJson<BeginLogInRequest>,
) -> Result<Data<RequestOptions>, Error> {
    let (tenant, asked) = match (body.email, body.temp_token) {
        (None, None) => (call.tenant()?.clone(), Asked::Anybody),
        (Some(email), None) => {
            (call.tenant()?.clone(), Asked::Address(rules::address("email", &email)?))
        }
        (None, Some(token)) => {
            let token = Secret::given(&token);
            (call.tenant_of(&token, Purpose::TempToken).await?, Asked::SecondFactor(token))
        }
        (Some(_), Some(_)) => {
            let detail = Detail::new("email", "stands for itself, as does tempToken");
            return Err(Error::invalid(vec![detail]));
        }
    };
    Ok(Data(tenant.begin_passkey_login(&call.context(), asked).await?.into()))
}

async fn log_in(
    call: Call,
    Json(body): Json<SignedCredential>,
) -> Result<Data<PasskeyLogIn>, Error> {
    let signed = body.read()?;
    let device = janua_actors::context::DeviceInfo::default();
    match call.tenant()?.log_in_with_passkey(&call.context(), &signed, &device).await? {
        Entered::SignedIn(signed_in) => Ok(Data(PasskeyLogIn {
            user: PasskeyUser { id: signed_in.profile.id, email: signed_in.profile.email },
            session: signed_in.tokens.into(),
        })),
        // A passkey that has verified its user is both factors.
        Entered::Challenged(_) => Err(Error::internal()),
    }
}

async fn list(call: Call, _: Empty) -> Result<Data<Passkeys>, Error> {
    let caller = call.session()?;
    let passkeys = caller.tenant.passkeys(caller).await?;
    Ok(Data(Passkeys { passkeys: passkeys.into_iter().map(Passkey::from).collect() }))
}

async fn rename(call: Call, Json(body): Json<RenameRequest>) -> Result<Data<Passkey>, Error> {
    let caller = call.session()?;
    let id = call.parameter("credentialId")?;
    let missing = || Error::invalid(vec![Detail::new("name", "is required")]);
    let name = body.name.filter(|name| !name.is_empty()).ok_or_else(missing)?;
    Ok(Data(caller.tenant.rename_passkey(&call.context(), caller, id, name).await?.into()))
}

async fn remove(
    call: Call,
    OptionalJson(body): OptionalJson<RemovePasskeyRequest>,
) -> Result<Done, Error> {
    let caller = call.session()?;
    let id = call.parameter("credentialId")?;
    let password = body.password.as_deref().map(Plaintext::new);
    caller.tenant.remove_passkey(&call.context(), caller, id, password).await?;
    Ok(Done("Passkey removed successfully"))
}

/// A passkey that was registered.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "cred_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    credential_id: CredentialId,
    verified: bool,
}

/// A login by passkey.
#[derive(Serialize, ToSchema)]
pub struct PasskeyLogIn {
    user: PasskeyUser,
    session: SessionTokens,
}

/// Who logged in.
#[derive(Serialize, ToSchema)]
pub struct PasskeyUser {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: UserId,
    email: String,
}

/// The passkeys of a user.
#[derive(Serialize, ToSchema)]
pub struct Passkeys {
    passkeys: Vec<Passkey>,
}

/// A passkey.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Passkey {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "cred_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: CredentialId,
    name: String,
    /// Whether it has been copied to other devices of its owner.
    backed_up: bool,
    /// How its authenticator is reached.
    transports: Vec<String>,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    #[serde(serialize_with = "text::of_some")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Moment>,
}

impl From<passkeys::Passkey> for Passkey {
    fn from(passkey: passkeys::Passkey) -> Self {
        Self {
            id: passkey.id,
            name: passkey.name,
            backed_up: passkey.backed_up,
            transports: passkey.transports,
            created_at: passkey.created,
            last_used_at: passkey.last_used,
        }
    }
}
