//! The recovery key: 32 bytes that open backups, an X25519 private key (RFC 7748). To encrypt, its
//! public half is enough.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::fault::Fault;
use crate::seal::{Key, mac};

/// What the text of a recovery key begins with.
const PREFIX: &str = "jrk_";
/// Binds derived keys to their purpose.
const PURPOSE: &[u8] = b"janua backup v1";

/// A text that is no recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a recovery key is jrk_ and 43 characters, as the first backup has printed it")]
pub struct InvalidRecoveryKey;

/// What opens backups. Redacted in `Debug`, wiped on drop.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryKey([u8; 32]);

/// The half of a recovery key that encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryPublicKey(pub [u8; 32]);

impl RecoveryKey {
    /// A key of 32 random bytes.
    pub const fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// Its text, for whoever keeps it.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0)))
    }

    /// The half that encrypts.
    pub fn public(&self) -> Result<RecoveryPublicKey, Fault> {
        let public = self.private()?.compute_public_key().map_err(|_| unusable())?;
        let bytes = public.as_ref().try_into().map_err(|_| unusable())?;
        Ok(RecoveryPublicKey(bytes))
    }

    /// The key of an archive, from what its head says.
    pub(super) fn open(&self, ephemeral: &[u8; 32]) -> Result<Key, Fault> {
        let public = self.public()?;
        derive(&self.private()?, ephemeral, &[*ephemeral, public.0].concat())
    }

    fn private(&self) -> Result<PrivateKey, Fault> {
        PrivateKey::from_private_key(&X25519, &self.0).map_err(|_| unusable())
    }
}

impl RecoveryPublicKey {
    /// By which people tell keys apart.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(self.0);
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A key for one archive, and what its head must say for the recovery key to find it again.
    /// `random` is the private half of a key that nobody keeps.
    pub(super) fn seal(&self, random: &[u8; 32]) -> Result<(Key, [u8; 32]), Fault> {
        let once = RecoveryKey::new(*random);
        let ephemeral = once.public()?;
        let context = [ephemeral.0, self.0].concat();
        Ok((derive(&once.private()?, &self.0, &context)?, ephemeral.0))
    }
}

/// HKDF-SHA-256 (RFC 5869 §2) of the shared secret, for one block.
fn derive(own: &PrivateKey, other: &[u8; 32], salt: &[u8]) -> Result<Key, Fault> {
    agree(own, UnparsedPublicKey::new(&X25519, other), unusable(), |shared| {
        let extracted = Zeroizing::new(mac(salt, shared));
        Ok(Key::new(mac(&*extracted, &[PURPOSE, &[1]].concat())))
    })
}

fn unusable() -> Fault {
    Fault::Damaged("a recovery key that cannot be used".into())
}

impl FromStr for RecoveryKey {
    type Err = InvalidRecoveryKey;

    fn from_str(text: &str) -> Result<Self, InvalidRecoveryKey> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(InvalidRecoveryKey)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| InvalidRecoveryKey)?;
        bytes.as_slice().try_into().map(Self).map_err(|_| InvalidRecoveryKey)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(…)")
    }
}

impl fmt::Display for RecoveryPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for RecoveryPublicKey {
    type Err = InvalidRecoveryKey;

    fn from_str(text: &str) -> Result<Self, InvalidRecoveryKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidRecoveryKey)?;
        bytes.try_into().map(Self).map_err(|_| InvalidRecoveryKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_key_survives_its_text_and_hides_itself() {
        let key = RecoveryKey::new([7; 32]);
        assert_eq!(key.expose().parse(), Ok(key.clone()));
        assert_eq!("jrk_short".parse::<RecoveryKey>(), Err(InvalidRecoveryKey));
        assert!(!format!("{key:?}").contains('7'));
        let public = key.public().expect("a key");
        assert_eq!(public.to_string().parse(), Ok(public));
    }

    #[test]
    fn only_the_recovery_key_finds_the_key_of_an_archive() {
        let key = RecoveryKey::new([7; 32]);
        let (sealed, ephemeral) = key.public().expect("a key").seal(&[9; 32]).expect("sealing");
        assert!(key.open(&ephemeral).expect("opening") == sealed);
        assert!(RecoveryKey::new([8; 32]).open(&ephemeral).expect("opening") != sealed);
    }
}
