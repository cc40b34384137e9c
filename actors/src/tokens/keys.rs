//! The keys of a tenant: making them, signing and verifying with them, publishing them.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use janua_storage::capability::sessions::Claims;
use janua_storage::capability::tenants::{Algorithm, SigningKey};
use janua_storage::fault::Fault;
use janua_storage::ids::TenantNumber;
use janua_storage::moment::Moment;
use janua_storage::seal::Key;
use jsonwebtoken::{DecodingKey, Header};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{TokenClaims, VerifiedToken, validation};
use crate::clock::Clock;
use crate::refusal::Refusal;

/// A key that cannot be made or used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("signing key: {0}")]
pub struct KeyError(String);

impl KeyError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<Fault> for KeyError {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

const SEALED_AS: &[u8] = b"signing key";

/// A new signing key, its private half sealed under the tenant's key.
pub fn generate(
    algorithm: Algorithm,
    tenant: TenantNumber,
    number: u32,
    sealing: &Key,
    clock: &dyn Clock,
) -> Result<SigningKey, KeyError> {
    let tag: [u8; 4] = clock.random();
    let kid = format!("{tenant}.{number}.{}", URL_SAFE_NO_PAD.encode(tag));
    let (private, public) = material(algorithm, clock)?;
    let public = public.map(|mut jwk| {
        jwk["kid"] = json!(kid);
        jwk["alg"] = json!(name(algorithm));
        jwk["use"] = json!("sig");
        jwk.to_string()
    });
    let private = sealing.seal(clock.random(), SEALED_AS, &private)?;
    Ok(SigningKey { number, kid, algorithm, created: clock.now(), retires: None, private, public })
}

type Material = (Zeroizing<Vec<u8>>, Option<Value>);

fn material(algorithm: Algorithm, clock: &dyn Clock) -> Result<Material, KeyError> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match algorithm {
        Algorithm::ES256 => {
            let pair =
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(KeyError::new)?;
            let document = pair.to_pkcs8v1().map_err(KeyError::new)?;
            // SEC 1 §2.3.3: an uncompressed point is 4, x, y.
            let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
            let jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
            Ok((Zeroizing::new(document.as_ref().to_vec()), Some(jwk)))
        }
        Algorithm::EdDSA => {
            let document =
                Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(KeyError::new)?;
            let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(KeyError::new)?;
            let x = encode(pair.public_key().as_ref());
            let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
            Ok((Zeroizing::new(document.as_ref().to_vec()), Some(jwk)))
        }
        Algorithm::RS256 => {
            let pair =
                RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).map_err(KeyError::new)?;
            let document = pair.as_der().map_err(KeyError::new)?;
            let public = pair.public_key();
            let n = encode(public.modulus().big_endian_without_leading_zero());
            let e = encode(public.exponent().big_endian_without_leading_zero());
            let jwk = json!({ "kty": "RSA", "n": n, "e": e });
            Ok((Zeroizing::new(document.as_ref().to_vec()), Some(jwk)))
        }
        Algorithm::HS256 => Ok((Zeroizing::new(clock.random::<32>().to_vec()), None)),
    }
}

/// As `alg` names it (RFC 7518 §3.1, RFC 8037 §3.1).
pub const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        Algorithm::RS256 => "RS256",
        Algorithm::HS256 => "HS256",
    }
}

const fn jose(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
    }
}

struct VerifyingKey {
    kid: String,
    algorithm: jsonwebtoken::Algorithm,
    key: DecodingKey,
    retires: Option<Moment>,
    public: Option<Value>,
}

/// The keys of one tenant, opened.
pub struct Keys {
    issuer: String,
    tenant: String,
    header: String,
    signer: Signer,
    verifying: Vec<VerifyingKey>,
}

impl Keys {
    /// Opens what storage keeps sealed. `current` is the number of the key that signs.
    pub fn open(
        stored: &[SigningKey],
        current: u32,
        sealing: &Key,
        issuer: &str,
        tenant: &str,
    ) -> Result<Self, KeyError> {
        let signing = stored
            .iter()
            .find(|key| key.number == current)
            .ok_or_else(|| KeyError::new("the tenant has no key to sign with"))?;
        let private = Zeroizing::new(sealing.open(SEALED_AS, &signing.private)?);
        let mut header = Header::new(jose(signing.algorithm));
        header.kid = Some(signing.kid.clone());
        let header = serde_json::to_vec(&header).map_err(KeyError::new)?;
        let verifying =
            stored.iter().map(|key| verifying(key, sealing)).collect::<Result<_, _>>()?;
        Ok(Self {
            issuer: issuer.into(),
            tenant: tenant.into(),
            header: URL_SAFE_NO_PAD.encode(header),
            signer: Signer::new(signing.algorithm, &private)?,
            verifying,
        })
    }

    /// The token that says `claims`.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let claims = TokenClaims::new(&self.issuer, &self.tenant, claims);
        let mut token = self.header.clone();
        token.push('.');
        URL_SAFE_NO_PAD
            .encode_string(serde_json::to_vec(&claims).map_err(KeyError::new)?, &mut token);
        let signature = self.signer.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// What a token says, when one of the tenant's keys signed it. Invariant: a token is verified
    /// only with the algorithm of the key that its `kid` names (RFC 8725 §3.1).
    pub fn verify(
        &self,
        token: &str,
        kid: &str,
        number: TenantNumber,
        now: Moment,
    ) -> Option<VerifiedToken> {
        let key = self.verifying.iter().find(|key| key.kid == kid)?;
        if key.retires.is_some_and(|retires| retires <= now) {
            return None;
        }
        let validation = validation(key.algorithm, &self.issuer);
        let token = jsonwebtoken::decode::<TokenClaims>(token, &key.key, &validation).ok()?;
        (token.claims.tid == self.tenant).then(|| token.claims.verified(number)).flatten()
    }

    /// The tenant's JWK Set (RFC 7517 §5): every public key whose tokens may still be valid.
    pub fn jwks(&self, now: Moment) -> Value {
        let live = |key: &&VerifyingKey| key.retires.is_none_or(|retires| retires > now);
        let keys: Vec<&Value> =
            self.verifying.iter().filter(live).filter_map(|key| key.public.as_ref()).collect();
        json!({ "keys": keys })
    }
}

/// The tenant and key that a token claims to be signed by: nothing is verified yet.
pub fn key_of(token: &str) -> Option<(TenantNumber, String)> {
    let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
    let tenant = kid.split('.').next()?.parse().ok()?;
    Some((tenant, kid))
}

fn verifying(key: &SigningKey, sealing: &Key) -> Result<VerifyingKey, KeyError> {
    let public: Option<Value> =
        key.public.as_deref().map(serde_json::from_str).transpose().map_err(KeyError::new)?;
    let decoding = match &public {
        Some(jwk) => {
            let jwk = serde_json::from_value(jwk.clone()).map_err(KeyError::new)?;
            DecodingKey::from_jwk(&jwk).map_err(KeyError::new)?
        }
        None => {
            let secret = Zeroizing::new(sealing.open(SEALED_AS, &key.private)?);
            DecodingKey::from_secret(&secret)
        }
    };
    Ok(VerifyingKey {
        kid: key.kid.clone(),
        algorithm: jose(key.algorithm),
        key: decoding,
        retires: key.retires,
        public,
    })
}

/// The private half of a key, parsed once.
enum Signer {
    Ecdsa(EcdsaKeyPair),
    Eddsa(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    Hmac(hmac::Key),
}

impl Signer {
    fn new(algorithm: Algorithm, private: &[u8]) -> Result<Self, KeyError> {
        Ok(match algorithm {
            Algorithm::ES256 => Self::Ecdsa(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private)
                    .map_err(KeyError::new)?,
            ),
            Algorithm::EdDSA => {
                Self::Eddsa(Ed25519KeyPair::from_pkcs8(private).map_err(KeyError::new)?)
            }
            Algorithm::RS256 => Self::Rsa(RsaKeyPair::from_pkcs8(private).map_err(KeyError::new)?),
            Algorithm::HS256 => Self::Hmac(hmac::Key::new(hmac::HMAC_SHA256, private)),
        })
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(pair) => {
                Ok(pair.sign(&random, message).map_err(KeyError::new)?.as_ref().to_vec())
            }
            Self::Eddsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(KeyError::new)?;
                Ok(signature)
            }
            Self::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use janua_storage::capability::sessions::Method;
    use janua_storage::ids::{SessionId, UserId};

    const TENANT: TenantNumber = TenantNumber(7);
    const NOW: Moment = Moment(1_736_937_000_000);

    fn claims() -> Claims {
        Claims {
            user: UserId::new(1, 2),
            session: SessionId::new(1, 3),
            methods: vec![Method::Password],
            authenticated: NOW,
            issued: NOW,
            expires: Moment(NOW.0 + 3_600_000),
            token_id: [5; 16],
        }
    }

    fn keys(algorithm: Algorithm, issuer: &str, retires: Option<Moment>) -> (Keys, String) {
        let sealing = Key::new([1; 32]);
        let mut key =
            generate(algorithm, TENANT, 1, &sealing, &SystemClock::default()).expect("a key");
        key.retires = retires;
        let kid = key.kid.clone();
        (Keys::open(&[key], 1, &sealing, issuer, "ten").expect("keys"), kid)
    }

    #[test]
    fn every_algorithm_signs_what_its_own_key_verifies() {
        for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::HS256] {
            let (keys, kid) = keys(algorithm, "https://a.example", None);
            let token = keys.sign(&claims()).expect("a token");
            assert_eq!(key_of(&token), Some((TENANT, kid.clone())));
            let verified = keys.verify(&token, &kid, TENANT, NOW).expect("a good token");
            assert_eq!(verified.session, claims().session);
            let (other, other_kid) = self::keys(algorithm, "https://a.example", None);
            assert_eq!(other.verify(&token, &kid, TENANT, NOW), None);
            assert_eq!(other.verify(&token, &other_kid, TENANT, NOW), None);
            let published = keys.jwks(NOW)["keys"].as_array().map(Vec::len);
            assert_eq!(published, Some(usize::from(algorithm != Algorithm::HS256)));
        }
    }

    #[test]
    fn a_token_with_another_algorithm_or_issuer_or_from_a_retired_key_is_refused() {
        let (keys, kid) = keys(Algorithm::ES256, "https://a.example", Some(Moment(NOW.0 + 1)));
        let token = keys.sign(&claims()).expect("a token");
        assert!(keys.verify(&token, &kid, TENANT, NOW).is_some());
        assert_eq!(keys.verify(&token, &kid, TENANT, Moment(NOW.0 + 1)), None);
        let (_, payload) = token.split_once('.').expect("three parts");
        for header in
            [r#"{"alg":"none"}"#.to_owned(), format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#)]
        {
            let forged = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(keys.verify(&forged, &kid, TENANT, NOW), None);
        }
        let elsewhere = Keys { issuer: "https://b.example".into(), ..keys };
        assert_eq!(elsewhere.verify(&token, &kid, TENANT, NOW), None);
    }
}
