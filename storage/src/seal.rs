//! Secrets at rest. AES-256-GCM under per-tenant keys, which are wrapped by the cluster key. Nonces
//! are random and come in from `clock` with everything else that is random.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::fault::Fault;

/// 32 bytes that must not leak: redacted in `Debug`, wiped on drop.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

/// A sealed secret: nonce, ciphertext and tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    nonce: [u8; 12],
    content: Vec<u8>,
}

impl Key {
    /// A key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for sealing the key itself.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for one purpose alone: HMAC-SHA-256 of its label (NIST SP 800-108 in its simplest
    /// form; one block is all that is taken).
    pub fn derive(&self, label: &str) -> Self {
        Self(self.mac(label.as_bytes()))
    }

    /// HMAC-SHA-256 of `message`.
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        mac(&self.0, message)
    }

    /// Seals `secret`; `context` must be given again to open it, so that a sealed value moved to
    /// another place does not open there.
    pub fn seal(&self, nonce: [u8; 12], context: &[u8], secret: &[u8]) -> Result<Sealed, Fault> {
        let mut content = secret.to_vec();
        self.aead()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context),
                &mut content,
            )
            .map_err(|_| Fault::Damaged("a secret that cannot be sealed".into()))?;
        Ok(Sealed { nonce, content })
    }

    /// What was sealed, when key and context are the same.
    pub fn open(&self, context: &[u8], sealed: &Sealed) -> Result<Vec<u8>, Fault> {
        let mut content = sealed.content.clone();
        let nonce = Nonce::assume_unique_for_key(sealed.nonce);
        let length = self
            .aead()?
            .open_in_place(nonce, Aad::from(context), &mut content)
            .map_err(|_| Fault::Damaged("a sealed secret does not open with this key".into()))?
            .len();
        content.truncate(length);
        Ok(content)
    }

    fn aead(&self) -> Result<LessSafeKey, Fault> {
        UnboundKey::new(&AES_256_GCM, &self.0)
            .map(LessSafeKey::new)
            .map_err(|_| Fault::Damaged("a key of the wrong length".into()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// HMAC-SHA-256 (RFC 2104) of `message` under a key of any length.
pub fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_in_its_place() {
        let key = Key::new([7; 32]);
        let sealed = key.seal([1; 12], b"here", b"secret").expect("sealing");
        assert_eq!(key.open(b"here", &sealed).expect("opening"), b"secret");
        assert!(key.open(b"there", &sealed).is_err());
        assert!(key.derive("other").open(b"here", &sealed).is_err());
    }
}
