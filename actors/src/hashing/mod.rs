//! Password hashing, on threads of its own: as many as cores, of lower priority than everything
//! else, behind a queue that is as short as a client is patient.

mod pool;
mod stored;
#[cfg(test)]
mod stored_tests;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use janua_storage::capability::passwords::Password;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use self::stored::Stored;

pub use pool::HashingPool;
pub use stored::{Unusable, check};

/// Cost of Argon2id (RFC 9106 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Default for Cost {
    /// OWASP's recommendation, and the contract's.
    fn default() -> Self {
        Self { memory_kib: 19456, iterations: 2, parallelism: 1 }
    }
}

/// A password as a client sent it, NFC-normalised. Wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Plaintext(Zeroizing<String>);

impl Plaintext {
    /// Normalises what a client sent (NIST SP 800-63B-4 §3.1.1.2).
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.nfc().collect()))
    }

    /// The normalised text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Plaintext(…)")
    }
}

/// What a check of a password came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whether it is the password.
    pub matches: bool,
    /// The same password under the cost of today, when it was stored under another.
    pub rehashed: Option<String>,
}

/// The memory that Argon2 fills; reused, because mapping it anew costs a tenth of a hash.
#[derive(Default)]
pub(crate) struct Memory {
    blocks: Vec<argon2::Block>,
    /// How often it has been filled.
    pub fills: u64,
}

impl Memory {
    fn blocks(&mut self, params: &Params) -> &mut [argon2::Block] {
        let wanted = params.block_count();
        if self.blocks.len() < wanted {
            self.blocks.resize(wanted, argon2::Block::default());
        }
        self.fills += 1;
        &mut self.blocks[..wanted]
    }

    /// Gives the memory back.
    pub fn release(&mut self) {
        self.blocks = Vec::new();
    }

    /// Whether any is held.
    pub fn is_held(&self) -> bool {
        !self.blocks.is_empty()
    }
}

/// A hash that could not be made or read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("password hash: {0}")]
pub struct HashingError(String);

impl HashingError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl Cost {
    /// The parameters, or what is wrong with them.
    pub fn params(&self) -> Result<Params, HashingError> {
        Params::new(self.memory_kib, self.iterations, self.parallelism, None)
            .map_err(HashingError::new)
    }

    /// The PHC string of a password under this cost.
    pub(crate) fn hash(
        &self,
        password: &Plaintext,
        salt: &[u8; 16],
        memory: &mut Memory,
    ) -> Result<String, HashingError> {
        let params = self.params()?;
        let mut output = Zeroizing::new([0; 32]);
        let kind = (Algorithm::Argon2id, Version::V0x13);
        fill(&params, kind, password, salt, &mut *output, memory)?;
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: (&params).try_into().map_err(HashingError::new)?,
            salt: Some(Salt::new(salt).map_err(HashingError::new)?),
            hash: Some(Output::new(&*output).map_err(HashingError::new)?),
        };
        Ok(hash.to_string())
    }

    /// Whether a stored password is as it would be written today.
    pub(crate) fn wrote(&self, stored: &Password) -> bool {
        let hash = Stored::parse(&stored.phc);
        hash.zip(self.params().ok()).is_some_and(|(hash, params)| hash.is_current(&params))
    }

    /// Whether `password` is the one that was stored. Without a stored one the same work is done,
    /// and the answer is no.
    pub(crate) fn verify(
        &self,
        password: &Plaintext,
        stored: Option<&Password>,
        salt: &[u8; 16],
        memory: &mut Memory,
    ) -> Result<Verified, HashingError> {
        let Some(stored) = stored else {
            self.hash(password, salt, memory)?;
            return Ok(Verified { matches: false, rehashed: None });
        };
        let hash = Stored::parse(&stored.phc);
        let hash = hash.ok_or_else(|| HashingError::new("a stored hash of no known form"))?;
        let matches = hash.is(password, memory)?;
        if hash.is_current(&self.params()?) {
            return Ok(Verified { matches, rehashed: None });
        }
        // What another hash took says nothing of what ours take.
        memory.fills += 2;
        let rehashed = matches.then(|| self.hash(password, salt, memory)).transpose()?;
        Ok(Verified { matches, rehashed })
    }
}

fn fill(
    params: &Params,
    (algorithm, version): (Algorithm, Version),
    password: &Plaintext,
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Memory,
) -> Result<(), HashingError> {
    Argon2::new(algorithm, version, params.clone())
        .hash_password_into_with_memory(
            password.expose().as_bytes(),
            salt,
            output,
            memory.blocks(params),
        )
        .map_err(HashingError::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::PasswordVerifier;
    use janua_storage::moment::Moment;

    const QUICK: Cost = Cost { memory_kib: 32, iterations: 1, parallelism: 1 };

    fn stored(phc: String) -> Password {
        Password { phc, generation: 1, changed: Moment(0) }
    }

    #[test]
    fn a_hash_is_what_the_argon2_crate_verifies() {
        let mut memory = Memory::default();
        let password = Plaintext::new("Pa\u{308}ssword 1");
        let phc = QUICK.hash(&password, &[3; 16], &mut memory).expect("a hash");
        assert!(phc.starts_with("$argon2id$v=19$m=32,t=1,p=1$"), "{phc}");
        let parsed = PasswordHash::new(&phc).expect("a PHC string");
        Argon2::default()
            .verify_password("P\u{e4}ssword 1".as_bytes(), &parsed)
            .expect("the password");
    }

    #[test]
    fn an_old_cost_is_brought_up_to_date_by_the_right_password_alone() {
        let mut memory = Memory::default();
        let dearer = Cost { iterations: 2, ..QUICK };
        let right = Plaintext::new("right");
        let old = stored(QUICK.hash(&right, &[3; 16], &mut memory).expect("a hash"));
        let verified = dearer.verify(&right, Some(&old), &[4; 16], &mut memory).expect("a check");
        assert!(verified.matches && verified.rehashed.is_some_and(|phc| phc.contains("t=2")));
        let wrong = Plaintext::new("wrong");
        let refused = dearer.verify(&wrong, Some(&old), &[4; 16], &mut memory).expect("a check");
        assert_eq!(refused, Verified { matches: false, rehashed: None });
        let unknown = dearer.verify(&right, None, &[4; 16], &mut memory).expect("a check");
        assert_eq!(unknown, Verified { matches: false, rehashed: None });
    }
}
