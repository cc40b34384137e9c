//! Backups: what an archive is (`archive`), how it is encrypted (`stream`) and to whom
//! (`recovery_key`). What goes into one, and how a data folder is made of one, the engine knows
//! (`engine::backup`, `engine::revival`).
//!
//! Decision: an archive is encrypted to the public half of the recovery key. A node keeps that half
//! alone, so that whoever takes a node over can read no backup by it.

pub mod archive;
pub mod recovery_key;
pub mod restore;
pub mod stream;

use sha2::{Digest, Sha256};

use crate::fault::Fault;

/// SHA-256 of a file while it is written, for whoever stores it.
#[derive(Debug, Clone, Default)]
pub struct Checksum(Sha256);

impl Checksum {
    /// With further bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In hexadecimal digits.
    pub fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Why an archive cannot be used: one line each, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file begins with something else.
    #[error("it is no backup of Janua")]
    Foreign,
    /// A newer version of the program wrote it.
    #[error("it has version {found}, this program reads up to {known}: use a newer version of it")]
    Newer {
        /// The version found in it.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// It was encrypted to another recovery key.
    #[error("it was encrypted to the recovery key {wanted}, and the one that was given is {given}")]
    WrongKey {
        /// Fingerprint of the key that opens it.
        wanted: String,
        /// Fingerprint of the key that was given.
        given: String,
    },
    /// It ends before its end.
    #[error("it is cut short after {at} bytes")]
    CutShort {
        /// Bytes that are there.
        at: u64,
    },
    /// A part of it was changed, moved, left out, or is of another archive.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

impl From<Fault> for ArchiveError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Newer { found, known, .. } => Self::Newer { found, known },
            fault => Self::Damaged(fault.to_string()),
        }
    }
}
