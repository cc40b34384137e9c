//! What clients are asked: the options of `navigator.credentials` in JSON (WebAuthn §5.4 and §5.5).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use garde::Validate;
use janua_actors::capability::passkeys::{LogInOptions, RegistrationOptions};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

/// Which authenticators may make the passkey.
#[derive(Default, Clone, Copy, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    #[garde(skip)]
    authenticator_attachment: Option<Attachment>,
    /// Whether it must be found without an address; `preferred` unless said otherwise.
    #[garde(skip)]
    resident_key: Option<Requirement>,
    /// Verification is required, whatever is asked for.
    #[garde(skip)]
    #[expect(dead_code, reason = "read for its form alone")]
    user_verification: Option<Requirement>,
}

/// Where an authenticator is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Attachment {
    /// In the device.
    Platform,
    /// Beside it.
    CrossPlatform,
}

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Requirement {
    /// It must be.
    Required,
    /// It should be.
    Preferred,
    /// Better not.
    Discouraged,
}

/// Bytes, written as base64url without padding.
struct Binary(Vec<u8>);

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        json.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

/// The options of `navigator.credentials.create()`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreationOptions {
    #[schema(value_type = String)]
    challenge: Binary,
    rp: Party,
    user: PartyUser,
    pub_key_cred_params: Vec<Parameters>,
    /// Milliseconds.
    timeout: u64,
    /// Always `none`.
    attestation: &'static str,
    exclude_credentials: Vec<Descriptor>,
    authenticator_selection: ShownSelection,
}

/// The relying party.
#[derive(Serialize, ToSchema)]
pub struct Party {
    id: String,
    name: String,
}

/// Whose the passkey will be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartyUser {
    #[schema(value_type = String)]
    id: Binary,
    name: String,
    display_name: String,
}

/// A kind of key that will do.
#[derive(Serialize, ToSchema)]
pub struct Parameters {
    #[serde(rename = "type")]
    kind: &'static str,
    /// A COSE algorithm (RFC 9053).
    alg: i64,
}

/// A passkey, by what its authenticator calls it.
#[derive(Serialize, ToSchema)]
pub struct Descriptor {
    #[schema(value_type = String)]
    id: Binary,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Which authenticators may make the passkey.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShownSelection {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authenticator_attachment: Option<Attachment>,
    resident_key: Requirement,
    require_resident_key: bool,
    user_verification: Requirement,
}

/// The options of `navigator.credentials.get()`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestOptions {
    #[schema(value_type = String)]
    challenge: Binary,
    rp_id: String,
    /// Empty where any passkey will do.
    allow_credentials: Vec<Descriptor>,
    /// Milliseconds.
    timeout: u64,
    user_verification: Requirement,
}

/// The only kind there is.
const PUBLIC_KEY: &str = "public-key";

fn descriptors(credentials: Vec<Vec<u8>>) -> Vec<Descriptor> {
    let descriptor = |id| Descriptor { id: Binary(id), kind: PUBLIC_KEY };
    credentials.into_iter().map(descriptor).collect()
}

impl CreationOptions {
    pub(crate) fn of(options: RegistrationOptions, selection: Selection) -> Self {
        let resident_key = selection.resident_key.unwrap_or(Requirement::Preferred);
        let parameters = |alg| Parameters { kind: PUBLIC_KEY, alg };
        Self {
            challenge: Binary(options.challenge),
            rp: Party { id: options.rp_id, name: options.rp_name },
            user: PartyUser {
                id: Binary(options.user.as_bytes().to_vec()),
                name: options.email,
                display_name: options.display_name,
            },
            pub_key_cred_params: options.algorithms.into_iter().map(parameters).collect(),
            timeout: options.timeout_ms,
            attestation: "none",
            exclude_credentials: descriptors(options.existing),
            authenticator_selection: ShownSelection {
                authenticator_attachment: selection.authenticator_attachment,
                resident_key,
                require_resident_key: resident_key == Requirement::Required,
                user_verification: Requirement::Required,
            },
        }
    }
}

impl From<LogInOptions> for RequestOptions {
    fn from(options: LogInOptions) -> Self {
        Self {
            challenge: Binary(options.challenge),
            rp_id: options.rp_id,
            allow_credentials: descriptors(options.allowed),
            timeout: options.timeout_ms,
            user_verification: Requirement::Required,
        }
    }
}
