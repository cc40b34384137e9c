//! Credentials as clients send them (WebAuthn §5.1.8 and §5.1.9, in JSON), and the options they are
//! made from.

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use garde::Validate;
use janua_actors::capability::passkeys::{Attested, Signed};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::{Detail, Error};
use crate::{json, rules, shapes};

/// The longest that an authenticator may call a credential (WebAuthn §5.8.3).
const LONGEST_ID: usize = 1023;

/// How many ways to reach an authenticator are kept.
const TRANSPORTS: usize = 8;

/// What a passkey is called by whom gave it no name.
const NAME: &str = "Passkey";

/// base64url as standards write it, and as people do: padded or not, of either alphabet.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The bytes that a text stands for.
fn bytes(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text.replace('+', "-").replace('/', "_")).ok()
}

/// base64url of something.
fn binary(text: &str, _: &()) -> garde::Result {
    rules::present(text, &())?;
    match bytes(text) {
        Some(bytes) if !bytes.is_empty() => Ok(()),
        _ => Err(garde::Error::new("must be base64url")),
    }
}

fn public_key(text: &str, _: &()) -> garde::Result {
    if text == "public-key" { Ok(()) } else { Err(garde::Error::new("must be public-key")) }
}

/// A new passkey, as its authenticator attests it.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttestedCredential {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1)]
    id: String,
    /// The same as `id`, base64url.
    #[serde(default)]
    #[garde(custom(binary))]
    #[schema(required = true, schema_with = shapes::binary)]
    raw_id: String,
    #[serde(default, deserialize_with = "json::object")]
    #[garde(custom(rules::there), dive)]
    #[schema(required = true)]
    response: Option<Attestation>,
    /// `public-key`
    #[serde(default)]
    #[garde(custom(public_key))]
    #[schema(required = true, pattern = "^public-key$")]
    r#type: String,
    /// What its owner calls it.
    #[garde(custom(rules::when_present(rules::name)))]
    #[schema(max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    name: Option<String>,
}

/// What an authenticator says of a passkey that it has made.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// CBOR, base64url.
    #[serde(default)]
    #[garde(custom(binary))]
    #[schema(required = true, schema_with = shapes::binary)]
    attestation_object: String,
    /// JSON, base64url.
    #[serde(default, rename = "clientDataJSON")]
    #[garde(custom(binary))]
    #[schema(required = true, schema_with = shapes::binary)]
    client_data_json: String,
    /// How the authenticator is reached.
    #[garde(inner(inner(length(chars, max = 32))))]
    transports: Option<Vec<String>>,
}

/// What a passkey has signed.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedCredential {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1)]
    id: String,
    /// The same as `id`, base64url.
    #[serde(default)]
    #[garde(custom(binary))]
    #[schema(required = true, schema_with = shapes::binary)]
    raw_id: String,
    #[serde(default, deserialize_with = "json::object")]
    #[garde(custom(rules::there), dive)]
    #[schema(required = true)]
    response: Option<SignedResponse>,
    /// `public-key`
    #[serde(default)]
    #[garde(custom(public_key))]
    #[schema(required = true, pattern = "^public-key$")]
    r#type: String,
}

/// A signature, and what was signed.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedResponse {
    /// base64url
    #[serde(default)]
    #[garde(custom(binary))]
    #[schema(required = true, schema_with = shapes::binary)]
    authenticator_data: String,
    /// JSON, base64url.
    #[serde(default, rename = "clientDataJSON")]
    #[garde(custom(binary))]
    #[schema(required = true, schema_with = shapes::binary)]
    client_data_json: String,
    /// base64url
    #[serde(default)]
    #[garde(custom(binary))]
    #[schema(required = true, schema_with = shapes::binary)]
    signature: String,
    /// Whose the passkey is, base64url; must be there where no address was given.
    #[garde(custom(rules::when_present(binary)))]
    user_handle: Option<String>,
}

/// What an authenticator calls a credential, given twice: base64url or, in `id`, as plain text.
fn credential(id: &str, raw_id: &str) -> Result<Vec<u8>, Error> {
    let no = |field, message| Err(Error::invalid(vec![Detail::new(field, message)]));
    let raw = bytes(raw_id).unwrap_or_default();
    if raw.len() > LONGEST_ID {
        return no("rawId", "is too long");
    }
    if bytes(id).as_ref() == Some(&raw) || id.as_bytes() == raw {
        return Ok(raw);
    }
    no("id", "must denote the same bytes as rawId")
}

fn checked(text: &str) -> Vec<u8> {
    bytes(text).unwrap_or_default()
}

impl AttestedCredential {
    /// For the actors.
    pub fn read(self) -> Result<Attested, Error> {
        let response = self.response.unwrap_or_default();
        let mut transports = response.transports.unwrap_or_default();
        transports.truncate(TRANSPORTS);
        Ok(Attested {
            credential: credential(&self.id, &self.raw_id)?,
            client_data: checked(&response.client_data_json),
            attestation_object: checked(&response.attestation_object),
            transports,
            name: self.name.filter(|name| !name.is_empty()).unwrap_or_else(|| NAME.into()),
        })
    }
}

impl SignedCredential {
    /// For the actors.
    pub fn read(self) -> Result<Signed, Error> {
        let response = self.response.unwrap_or_default();
        Ok(Signed {
            credential: credential(&self.id, &self.raw_id)?,
            client_data: checked(&response.client_data_json),
            authenticator_data: checked(&response.authenticator_data),
            signature: checked(&response.signature),
            user_handle: response.user_handle.as_deref().map(checked),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ids_denote_the_same_bytes_in_whatever_dress() {
        let same = [
            ("-_8", "-_8="),
            ("+/8=", "-_8"),
            ("Y3JlZF9hYmMxMjM", "Y3JlZF9hYmMxMjM="),
            ("cred_abc123", "Y3JlZF9hYmMxMjM="),
        ];
        for (id, raw_id) in same {
            assert!(credential(id, raw_id).is_ok(), "{id} {raw_id}");
        }
        for (id, raw_id) in [("-_8", "-_9A"), ("cred_abc124", "Y3JlZF9hYmMxMjM="), ("", "AA")] {
            assert!(credential(id, raw_id).is_err(), "{id} {raw_id}");
        }
        assert!(credential("x", &"A".repeat(1400)).is_err());
    }
}
