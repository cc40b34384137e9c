//! Secrets that the server issues: `<prefix>_<tenant's short code>_<32 random bytes, base64url>`.
//! They name their tenant, so that they route themselves. Only their SHA-256 is ever stored.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::ids::TenantNumber;

/// SHA-256 of a secret: what is stored and looked up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretHash(pub [u8; 32]);

impl SecretHash {
    /// The hash of a secret's text.
    pub fn of(secret: &str) -> Self {
        Self::of_bytes(secret.as_bytes())
    }

    /// The hash of what is no text.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretHash({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// What a secret is for; its text begins with the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Refresh token (RFC 6749 §1.5).
    RefreshToken,
    /// API key that is safe in a browser.
    PublishableKey,
    /// API key of a server.
    SecretKey,
    /// The operator's token.
    OperatorToken,
    /// Stands for a first factor while the second is asked for.
    TempToken,
    /// Shows that somebody reads mail at an address.
    EmailToken,
    /// Lets somebody set a new password.
    ResetToken,
    /// Logs in without a password.
    MagicLink,
    /// Comes back with a browser that was sent to a provider (RFC 6749 §10.12).
    State,
    /// Turned into a session by the page that a browser was redirected to (RFC 6749 §1.3.1).
    Code,
}

impl Purpose {
    /// The letters before the first underscore.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::RefreshToken => "rt",
            Self::PublishableKey => "jpk",
            Self::SecretKey => "jsk",
            Self::OperatorToken => "jop",
            Self::TempToken => "tmp",
            Self::EmailToken => "evt",
            Self::ResetToken => "rst",
            Self::MagicLink => "ml",
            Self::State => "state",
            Self::Code => "code",
        }
    }
}

/// A secret in clear: on its way from or to a client. Redacted in `Debug`, wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A new secret of `tenant` from 32 random bytes.
    pub fn new(purpose: Purpose, tenant: TenantNumber, random: &[u8; 32]) -> Self {
        let random = URL_SAFE_NO_PAD.encode(random);
        Self(Zeroizing::new(format!("{}_{tenant}_{random}", purpose.prefix())))
    }

    /// A secret as a client or the configuration gave it.
    pub fn given(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text, for the answer that hands it out.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }

    /// The tenant it names, when it has the form of an issued secret of this purpose.
    pub fn tenant(&self, purpose: Purpose) -> Option<TenantNumber> {
        let rest = self.0.strip_prefix(purpose.prefix())?.strip_prefix('_')?;
        let (code, random) = rest.split_once('_')?;
        (random.len() == 43).then(|| code.parse().ok()).flatten()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_its_tenant_and_hides_itself() {
        let secret = Secret::new(Purpose::RefreshToken, TenantNumber(33), &[0xff; 32]);
        assert!(secret.expose().starts_with("rt_11__"), "{}", secret.expose());
        assert_eq!(secret.tenant(Purpose::RefreshToken), Some(TenantNumber(33)));
        assert_eq!(secret.tenant(Purpose::SecretKey), None);
        assert_eq!(Secret::given("rt_1_short").tenant(Purpose::RefreshToken), None);
        assert!(!format!("{secret:?}").contains("__"));
    }
}
