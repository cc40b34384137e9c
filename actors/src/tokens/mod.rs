//! Access tokens: JWTs (RFC 7519) signed with the tenant's own keys, and a memory of those whose
//! signature has been checked.

mod cache;
mod keys;

use janua_storage::capability::sessions::{Claims, Method};
use janua_storage::ids::{SessionId, TenantNumber, UserId};
use janua_storage::moment::Moment;
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Serialize};

pub use cache::{TokenCache, VerifiedToken};
pub use keys::{KeyError, Keys, generate, key_of};

/// The claims as they stand in a token (RFC 7519 §4.1, OpenID Connect Core §2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    /// The deployment's public URL.
    pub iss: String,
    /// Id of the user.
    pub sub: String,
    /// Id of the tenant.
    pub tid: String,
    /// Id of the session.
    pub sid: String,
    /// How the user logged in (RFC 8176).
    pub amr: Vec<String>,
    /// When the user logged in, Unix seconds.
    pub auth_time: u64,
    /// When the token was made, Unix seconds.
    pub iat: u64,
    /// When it stops being valid, Unix seconds.
    pub exp: u64,
    /// Its own id.
    pub jti: String,
}

impl TokenClaims {
    /// What storage recorded, and what is the same in the whole tenant.
    pub fn new(issuer: &str, tenant: &str, claims: &Claims) -> Self {
        Self {
            iss: issuer.into(),
            sub: claims.user.to_string(),
            tid: tenant.into(),
            sid: claims.session.to_string(),
            amr: claims.methods.iter().map(|method: &Method| method.amr().into()).collect(),
            auth_time: claims.authenticated.unix_seconds(),
            iat: claims.issued.unix_seconds(),
            exp: claims.expires.unix_seconds(),
            jti: ulid_text(claims.token_id),
        }
    }

    /// What the server needs of a token whose signature is good.
    pub(crate) fn verified(&self, tenant: TenantNumber) -> Option<VerifiedToken> {
        Some(VerifiedToken {
            tenant,
            user: self.sub.parse::<UserId>().ok()?,
            session: self.sid.parse::<SessionId>().ok()?,
            expires: Moment(self.exp.checked_mul(1000)?),
        })
    }
}

fn ulid_text(id: [u8; 16]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id)
}

/// Which claims must be there. Expiry is left to the caller, who has the clock.
fn validation(algorithm: Algorithm, issuer: &str) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "iss", "sub"]);
    validation.set_issuer(&[issuer]);
    validation
}
