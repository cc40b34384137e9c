//! A software authenticator in somebody's hands: 1Password's, which shares no code with the server.
//! It makes passkeys and signs as browsers let it; for attacks it signs what no browser would.

use std::future::Future;
use std::pin::Pin;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use passkey::authenticator::{Authenticator as Device, UiHint, UserCheck, UserValidationMethod};
use passkey::client::{Client, DefaultClientData};
use passkey::crypto::rust_crypto::RustCryptoBackend;
use passkey::types::Passkey;
use passkey::types::ctap2::{Aaguid, Ctap2Error, get_assertion};
use passkey::types::webauthn::{CredentialCreationOptions, CredentialRequestOptions};
use reqwest::Url;
use serde_json::{Value, json};

use crate::node::Api;
use crate::people::Session;
use crate::response::Response;

/// Where the ceremonies of a node as shipped take place.
pub const ORIGIN: &str = "http://localhost:3000";

/// The owner, who agrees to everything and is verified when that is asked for.
struct Owner;

impl UserValidationMethod for Owner {
    type PasskeyItem = Passkey;

    fn check_user<'a, 'life0, 'async_trait>(
        &'life0 self,
        _: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Pin<Box<dyn Future<Output = Result<UserCheck, Ctap2Error>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move { Ok(UserCheck { presence, verification }) })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// What is not as it should be in what an authenticator signs.
pub struct Lie<'a> {
    /// Where the ceremony took place.
    pub origin: &'a str,
    /// Which relying party it was for.
    pub rp_id: &'a str,
    /// What kind of ceremony it was.
    pub kind: &'a str,
    /// Whether it took place in a frame of another site.
    pub cross_origin: bool,
}

impl Default for Lie<'_> {
    fn default() -> Self {
        Self { origin: ORIGIN, rp_id: "localhost", kind: "webauthn.get", cross_origin: false }
    }
}

/// An authenticator that holds one passkey and counts its signatures.
#[derive(Clone, Default)]
pub struct Authenticator {
    passkey: Option<Passkey>,
}

impl Authenticator {
    /// One without a passkey.
    pub fn new() -> Self {
        Self::default()
    }

    fn device(&self) -> Device<Option<Passkey>, Owner, RustCryptoBackend> {
        let aaguid = Aaguid::new_empty();
        let mut device = Device::new(aaguid, self.passkey.clone(), Owner, RustCryptoBackend);
        device.set_make_credentials_with_signature_counter(true);
        device
    }

    /// Makes a passkey as a browser at `origin` has it made.
    pub async fn makes_at(&mut self, origin: &str, options: &Value) -> Value {
        let mut browser = Client::new(self.device()).allows_insecure_localhost(true);
        let options: CredentialCreationOptions =
            serde_json::from_value(json!({ "publicKey": options })).expect("creation options");
        let origin = Url::parse(origin).expect("an origin");
        let made = browser.register(&origin, options, DefaultClientData).await;
        let made = made.expect("a passkey is made");
        self.passkey = browser.authenticator().store().clone();
        json!({
            "id": made.id,
            "rawId": encoded(&made.raw_id),
            "response": {
                "attestationObject": encoded(&made.response.attestation_object),
                "clientDataJSON": encoded(&made.response.client_data_json),
                "transports": ["internal", "hybrid"],
            },
            "type": "public-key",
        })
    }

    /// Makes a passkey.
    pub async fn makes(&mut self, options: &Value) -> Value {
        self.makes_at(ORIGIN, options).await
    }

    /// Makes a passkey by the name of another (WebAuthn lets authenticators choose it).
    pub async fn makes_called(&mut self, options: &Value, id: &Value) -> Value {
        let mut made = self.makes(options).await;
        let own = decoded(&made["rawId"]);
        put(&mut made, &own, &decoded(id));
        (made["id"], made["rawId"]) = (id.clone(), id.clone());
        made
    }

    /// Makes a passkey for another relying party than the one that asked.
    pub async fn makes_for(&mut self, rp_id: &str, options: &Value) -> Value {
        let mut made = self.makes(options).await;
        put(&mut made, &sha256(b"localhost"), &sha256(rp_id.as_bytes()));
        made
    }

    /// Signs a challenge as a browser at `origin` has it signed.
    pub async fn signs_at(&mut self, origin: &str, options: &Value) -> Value {
        let mut browser = Client::new(self.device()).allows_insecure_localhost(true);
        let options: CredentialRequestOptions =
            serde_json::from_value(json!({ "publicKey": options })).expect("request options");
        let origin = Url::parse(origin).expect("an origin");
        let signed = browser.authenticate(&origin, options, DefaultClientData).await;
        let signed = signed.expect("a challenge is signed");
        self.passkey = browser.authenticator().store().clone();
        json!({
            "id": signed.id,
            "rawId": encoded(&signed.raw_id),
            "response": {
                "authenticatorData": encoded(&signed.response.authenticator_data),
                "clientDataJSON": encoded(&signed.response.client_data_json),
                "signature": encoded(&signed.response.signature),
                "userHandle": signed.response.user_handle.as_ref().map(|handle| encoded(handle)),
            },
            "type": "public-key",
        })
    }

    /// Signs a challenge.
    pub async fn signs(&mut self, options: &Value) -> Value {
        self.signs_at(ORIGIN, options).await
    }

    /// Signs what no browser would.
    pub async fn lies(&mut self, options: &Value, lie: Lie<'_>) -> Value {
        let mut device = self.device();
        let client_data = json!({
            "type": lie.kind,
            "challenge": options["challenge"],
            "origin": lie.origin,
            "crossOrigin": lie.cross_origin,
        });
        let client_data = client_data.to_string();
        let request = get_assertion::Request {
            rp_id: lie.rp_id.into(),
            client_data_hash: sha256(client_data.as_bytes()).into(),
            allow_list: None,
            extensions: None,
            options: get_assertion::Options { up: true, uv: true },
            pin_auth: None,
            pin_protocol: None,
        };
        let signed = device.get_assertion(request).await.expect("a challenge is signed");
        self.passkey = device.store().clone();
        let passkey = self.passkey.as_ref().expect("a passkey");
        json!({
            "id": encoded(&passkey.credential_id),
            "rawId": encoded(&passkey.credential_id),
            "response": {
                "authenticatorData": encoded(&signed.auth_data.to_vec()),
                "clientDataJSON": encoded(client_data.as_bytes()),
                "signature": encoded(&signed.signature),
                "userHandle": passkey.user_handle.as_ref().map(|handle| encoded(handle)),
            },
            "type": "public-key",
        })
    }

    /// Forgets whose its passkey is, as authenticators do that cannot find one by themselves.
    pub fn forgets_its_user(&mut self) {
        self.passkey.as_mut().expect("a passkey").user_handle = None;
    }
}

/// Puts other bytes into what an authenticator attests; nothing signs it (attestation is `none`).
fn put(made: &mut Value, own: &[u8], other: &[u8]) {
    assert_eq!(own.len(), other.len());
    let mut object = decoded(&made["response"]["attestationObject"]);
    let at = object.windows(own.len()).position(|window| window == own).expect("the bytes");
    object.splice(at..at + own.len(), other.iter().copied());
    made["response"]["attestationObject"] = encoded(&object).into();
}

fn decoded(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().expect("a text")).expect("base64url")
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    janua_storage::secret::SecretHash::of_bytes(bytes).0.to_vec()
}

impl Session {
    /// Begins to register a passkey.
    pub async fn begins_a_passkey(&self) -> Value {
        let begun = self.post("/auth/passkeys/register/begin", json!({})).await.is_yes(200);
        begun.data().clone()
    }

    /// Completes the registration of a passkey.
    pub async fn completes_a_passkey(&self, credential: Value) -> Response {
        self.post("/auth/passkeys/register/complete", credential).await
    }

    /// Registers a passkey, which must succeed: its authenticator, and its id.
    pub async fn registers_a_passkey(&self) -> (Authenticator, String) {
        let mut authenticator = Authenticator::new();
        let credential = authenticator.makes(&self.begins_a_passkey().await).await;
        let answer = self.completes_a_passkey(credential).await.is_yes(201);
        (authenticator, answer.text_of("credentialId"))
    }
}

impl Api {
    /// Begins to log in with a passkey.
    pub async fn begins_passkey_login(&self, body: Value) -> Value {
        let begun = self.post("/auth/passkeys/authenticate/begin", body).await.is_yes(200);
        begun.data().clone()
    }

    /// Completes a login with what a passkey has signed.
    pub async fn completes_passkey_login(&self, credential: Value) -> Response {
        self.post("/auth/passkeys/authenticate/complete", credential).await
    }
}
