//! Tokens whose signature has been checked, by SHA-256 of their text: the token itself is not kept.

use janua_storage::ids::{SessionId, TenantNumber, UserId};
use janua_storage::moment::Moment;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

/// What a good signature vouches for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The tenant that signed it.
    pub tenant: TenantNumber,
    /// `sub`
    pub user: UserId,
    /// `sid`
    pub session: SessionId,
    /// `exp`
    pub expires: Moment,
}

/// Bounded; the least useful go first. Holds no verdict on the session: that is asked each time.
pub struct TokenCache(Cache<[u8; 32], VerifiedToken>);

impl TokenCache {
    /// Room for so many tokens.
    pub fn new(most: usize) -> Self {
        Self(Cache::new(most))
    }

    /// What was verified of this token before; otherwise where to put what will be.
    pub fn get(&self, token: &str) -> Result<VerifiedToken, [u8; 32]> {
        let digest = Sha256::digest(token.as_bytes()).into();
        self.0.get(&digest).ok_or(digest)
    }

    /// Remembers a token by the digest that `get` gave.
    pub fn put(&self, digest: [u8; 32], token: VerifiedToken) {
        self.0.insert(digest, token);
    }
}
