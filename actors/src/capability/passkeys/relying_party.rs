//! The relying party that a tenant is (WebAuthn Level 3 §7), on webauthn-rs: what is asked of
//! authenticators, and whether what they signed holds. Origin, relying party id, user presence and
//! verification, signature and counter are checked there; what it leaves to its caller is checked
//! beside it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use janua_storage::capability::passkeys::{POSSIBLE_CLONE, Passkey};
use janua_storage::ids::UserId;
use janua_storage::seal::Key;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use url::Url;
use webauthn_rs::fake::{FakePasskeyDistribution, WebauthnFakeCredentialGenerator};
use webauthn_rs::prelude::{
    self as webauthn, DiscoverableAuthentication, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Uuid, WebauthnBuilder, WebauthnError,
};

use super::{Attested, Signed};
use crate::refusal::Refusal;
use crate::settings::Webauthn;

/// How long an authenticator may take, as its client is told, milliseconds.
pub(super) const TIMEOUT: Duration = Duration::from_millis(60_000);

/// The relying party of a tenant.
pub(super) struct RelyingParty(webauthn::Webauthn);

/// A challenge, and what has to be known when its answer comes.
pub(super) struct Challenge {
    pub challenge: Vec<u8>,
    /// JSON, to be sealed.
    pub state: String,
}

/// What a verifier keeps of a passkey.
pub(super) struct Kept {
    /// JSON.
    pub verifier: String,
    pub counter: u32,
    pub backup_eligible: bool,
    pub backed_up: bool,
}

/// What authenticators and their clients say of a ceremony (WebAuthn §5.8.1).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientData {
    challenge: String,
    #[serde(default)]
    pub cross_origin: bool,
}

impl ClientData {
    /// What a client has signed, unverified; `None` when it is none.
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The bytes of the challenge; none when they are none of ours.
    pub fn challenge(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(self.challenge.trim_end_matches('=')).unwrap_or_default()
    }
}

impl RelyingParty {
    /// As the settings have it.
    pub fn of(settings: &Webauthn) -> Result<Self, Refusal> {
        let origins = origins(settings).map_err(Refusal::unavailable)?;
        let (first, others) = origins.split_first().ok_or_else(|| Refusal::unavailable(RULE))?;
        let mut party = WebauthnBuilder::new(&settings.rp_id, first)
            .map_err(broken)?
            .rp_name(&settings.rp_name)
            .timeout(TIMEOUT);
        for origin in others {
            party = party.append_allowed_origin(origin);
        }
        party.build().map(Self).map_err(broken)
    }

    /// A challenge for a new passkey, and the signature algorithms that will do (RFC 9053), best
    /// first.
    pub fn begin_registration(
        &self,
        user: UserId,
        names: (&str, &str),
        existing: Vec<Vec<u8>>,
    ) -> Result<(Challenge, Vec<i64>), Refusal> {
        let handle = Uuid::from_bytes(*user.as_bytes());
        let (options, state) = self
            .0
            .start_passkey_registration(handle, names.0, names.1, Some(existing))
            .map_err(broken)?;
        let state = to_json(&state)?;
        let algorithms = options.public_key.pub_key_cred_params.iter().map(|one| one.alg);
        let algorithms = algorithms.collect();
        Ok((Challenge { challenge: options.public_key.challenge, state }, algorithms))
    }

    /// What is kept of a new passkey, or in a word why it is none.
    pub fn finish_registration(
        &self,
        attested: &Attested,
        state: &[u8],
    ) -> Result<Result<Kept, &'static str>, Refusal> {
        let state: PasskeyRegistration = from_json(state)?;
        let credential = json!({
            "id": encoded(&attested.credential),
            "rawId": encoded(&attested.credential),
            "response": {
                "attestationObject": encoded(&attested.attestation_object),
                "clientDataJSON": encoded(&attested.client_data),
                "transports": attested.transports,
            },
            "type": "public-key",
        });
        let credential: RegisterPublicKeyCredential =
            serde_json::from_value(credential).map_err(broken)?;
        match self.0.finish_passkey_registration(&credential, &state) {
            Ok(passkey) if passkey.cred_id() != &attested.credential => Ok(Err("other_id")),
            Ok(passkey) => Kept::of(&passkey).map(Ok),
            Err(error) => Ok(Err(in_a_word(&error))),
        }
    }

    /// A challenge for whatever passkey.
    pub fn begin_authentication(&self) -> Result<Challenge, Refusal> {
        let (options, state) = self.0.start_discoverable_authentication().map_err(broken)?;
        Ok(Challenge { challenge: options.public_key.challenge, state: to_json(&state)? })
    }

    /// What is kept of a passkey after it was used, or in a word why it was not.
    pub fn finish_authentication(
        &self,
        signed: &Signed,
        state: &[u8],
        passkey: &Passkey,
    ) -> Result<Result<Kept, &'static str>, Refusal> {
        let state: DiscoverableAuthentication = from_json(state)?;
        let mut verifier: webauthn::Passkey = from_json(passkey.verifier.as_bytes())?;
        let credential = json!({
            "id": encoded(&signed.credential),
            "rawId": encoded(&signed.credential),
            "response": {
                "authenticatorData": encoded(&signed.authenticator_data),
                "clientDataJSON": encoded(&signed.client_data),
                "signature": encoded(&signed.signature),
                "userHandle": signed.user_handle.as_deref().map(encoded),
            },
            "type": "public-key",
        });
        let credential: PublicKeyCredential = serde_json::from_value(credential).map_err(broken)?;
        match self.0.finish_discoverable_authentication_v2(&credential, state, &verifier) {
            Ok(result) => {
                verifier.update_credential(&result);
                Kept::of(&verifier).map(Ok)
            }
            Err(error) => Ok(Err(in_a_word(&error))),
        }
    }
}

impl Kept {
    fn of(passkey: &webauthn::Passkey) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Whole {
            cred: Flags,
        }
        #[derive(Deserialize)]
        struct Flags {
            counter: u32,
            backup_eligible: bool,
            backup_state: bool,
        }
        let verifier = to_json(passkey)?;
        let Whole { cred } = from_json(verifier.as_bytes())?;
        let Flags { counter, backup_eligible, backup_state: backed_up } = cred;
        Ok(Self { verifier, counter, backup_eligible, backed_up })
    }
}

/// Credentials that an address without any is shown to have: always the same for an address, and
/// like those of others in number and length.
pub(super) fn decoys(key: &Key, address: &str) -> Result<Vec<Vec<u8>>, Refusal> {
    let generator = WebauthnFakeCredentialGenerator::<FakePasskeyDistribution>::new(key.expose())
        .map_err(broken)?;
    // Some draws have none, which would tell as much as no list at all.
    for draw in 0..u8::MAX {
        let seed = [address.as_bytes(), &[0, draw]].concat();
        let drawn = generator.generate(&seed).map_err(broken)?;
        if !drawn.is_empty() {
            return Ok(drawn);
        }
    }
    Err(Refusal::unavailable("no decoy was drawn"))
}

const RULE: &str =
    "must be at or below webauthn.rpId, one at least, such as https://login.example.com";

/// Whether a relying party can be made of the settings.
pub(crate) fn check(settings: &Webauthn) -> Result<(), Refusal> {
    origins(settings).map(drop).map_err(|rule| Refusal::field("settings.webauthn.origins", rule))
}

/// The origins, each one that an authenticator would sign for: of the web at or below the relying
/// party's id, or of an Android app (its key's hash).
fn origins(settings: &Webauthn) -> Result<Vec<Url>, &'static str> {
    let id = &settings.rp_id;
    let mut origins = Vec::new();
    for origin in &settings.origins {
        let url = Url::parse(origin).map_err(|_| RULE)?;
        match url.domain() {
            Some(domain)
                if matches!(url.scheme(), "http" | "https")
                    && (domain == id || domain.ends_with(&format!(".{id}"))) =>
            {
                origins.insert(0, url);
            }
            None if origin.starts_with("android:apk-key-hash:") => origins.push(url),
            _ => return Err(RULE),
        }
    }
    match origins.first() {
        Some(first) if first.domain().is_some() => Ok(origins),
        _ => Err(RULE),
    }
}

/// Why something does not hold, for the audit log.
fn in_a_word(error: &WebauthnError) -> &'static str {
    match error {
        WebauthnError::CredentialPossibleCompromise => POSSIBLE_CLONE,
        WebauthnError::InvalidRPOrigin => "origin",
        WebauthnError::InvalidRPIDHash => "relying_party_id",
        WebauthnError::MismatchedChallenge => "challenge",
        WebauthnError::InvalidClientDataType => "type",
        WebauthnError::CredentialCrossOrigin => "cross_origin",
        WebauthnError::UserNotPresent => "user_not_present",
        WebauthnError::UserNotVerified => "user_not_verified",
        WebauthnError::AuthenticationFailure | WebauthnError::SignatureInvalid => "signature",
        _ => "malformed",
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn to_json(value: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(broken)
}

fn from_json<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(json).map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> Refusal {
    Refusal::unavailable(format!("passkeys: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn settings(id: &str, origins: &[&str]) -> Webauthn {
        let origins = origins.iter().map(|origin| (*origin).into()).collect();
        Webauthn { rp_id: id.into(), rp_name: "Test".into(), origins }
    }

    #[test]
    fn origins_lie_at_the_relying_party() {
        for good in [
            settings("example.com", &["https://example.com", "https://login.example.com:8443"]),
            settings("localhost", &["http://localhost:3000/"]),
            settings("example.com", &["android:apk-key-hash:abc", "https://example.com"]),
        ] {
            assert!(check(&good).is_ok() && RelyingParty::of(&good).is_ok(), "{good:?}");
        }
        for bad in [
            settings("example.com", &[]),
            settings("example.com", &["https://badexample.com"]),
            settings("example.com", &["https://example.com", "https://evil.example"]),
            settings("example.com", &["android:apk-key-hash:abc"]),
            settings("example.com", &["ftp://example.com"]),
            settings("", &["https://example.com"]),
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn decoys_are_an_address_s_own_and_never_none() {
        let (key, other) = (Key::new([1; 32]), Key::new([2; 32]));
        let mut numbers = BTreeSet::new();
        for number in 0..100 {
            let address = format!("user-{number}@example.com");
            let drawn = decoys(&key, &address).expect("decoys");
            assert_eq!(drawn, decoys(&key, &address).expect("decoys"));
            assert_ne!(drawn, decoys(&other, &address).expect("decoys"));
            assert!(drawn.iter().all(|id| id.len() >= 16), "{drawn:?}");
            numbers.insert(drawn.len());
        }
        assert!(!numbers.contains(&0) && numbers.len() > 1, "{numbers:?}");
    }
}
