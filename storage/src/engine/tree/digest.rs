//! Checksums of records. A record's hash covers its key, so that a value that moved shows; its low
//! half lies behind each value, and the sum of all hashes beside `last_applied`, so that a record
//! that is missing, or older than it should be, shows as well.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

/// Bytes of checksum behind each value.
pub const CHECKSUM: usize = 8;

/// The hash of a record.
pub fn hash(key: &[u8], value: &[u8]) -> u128 {
    xxh3_128_with_seed(value, xxh3_64(key))
}

/// A value as it is stored.
pub fn seal(value: &[u8], hash: u128) -> Vec<u8> {
    let mut stored = Vec::with_capacity(value.len() + CHECKSUM);
    stored.extend_from_slice(value);
    stored.extend_from_slice(&(hash as u64).to_be_bytes());
    stored
}

/// The value and its hash, unless it is not what was stored under this key.
pub fn open<'a>(key: &[u8], stored: &'a [u8]) -> Option<(&'a [u8], u128)> {
    let (value, checksum) = stored.split_last_chunk::<CHECKSUM>()?;
    let hash = hash(key, value);
    (u64::from_be_bytes(*checksum) == hash as u64).then_some((value, hash))
}

/// The sum over a set of records, in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest(pub u128);

impl Digest {
    /// With one more record.
    pub fn add(&mut self, hash: u128) {
        self.0 = self.0.wrapping_add(hash);
    }

    /// With one record less.
    pub fn remove(&mut self, hash: u128) {
        self.0 = self.0.wrapping_sub(hash);
    }
}
