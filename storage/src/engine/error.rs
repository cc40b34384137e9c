//! What the engine says when it cannot open or cannot answer: one line each, for the operator.

use std::path::PathBuf;

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be made, read or written.
    #[error("data folder {path} cannot be used: {problem}", path = path.display())]
    Folder {
        /// The data folder, or what in it refused.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// Another process has it.
    #[error("data folder {path} is in use by another process", path = .0.display())]
    Locked(PathBuf),
    /// A newer version of the program wrote it.
    #[error(
        "data folder {path} has data version {found}, this program reads up to {known}: start a \
         newer version of it",
        path = path.display()
    )]
    Newer {
        /// The data folder.
        path: PathBuf,
        /// The version in its `format` file.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// It was founded with another number of shards.
    #[error(
        "data folder {path} was founded with {found} shards, not {configured}: the number is \
         fixed when a cluster is founded",
        path = path.display()
    )]
    Shards {
        /// The data folder.
        path: PathBuf,
        /// The number in its `format` file.
        found: u32,
        /// The number that was asked for.
        configured: u16,
    },
    /// It is not a data folder of this program, or has lost its `format` file.
    #[error("{path} is no Janua data folder: {problem}", path = path.display())]
    Foreign {
        /// The data folder.
        path: PathBuf,
        /// What is wrong about it.
        problem: String,
    },
    /// The log is damaged, and no other replica can heal it.
    #[error(
        "log file {file} is damaged ({problem}): restore the data folder from a backup",
        file = file.display()
    )]
    LogDamaged {
        /// The file.
        file: PathBuf,
        /// What is wrong about it.
        problem: String,
    },
    /// A snapshot that is needed is damaged, and no other replica can heal it.
    #[error(
        "snapshot {file} is damaged ({problem}): restore the data folder from a backup",
        file = file.display()
    )]
    SnapshotDamaged {
        /// The file.
        file: PathBuf,
        /// What is wrong about it.
        problem: String,
    },
    /// Raft did not start.
    #[error("shard {shard} does not start: {problem}")]
    Raft {
        /// Which one.
        shard: u16,
        /// What it said.
        problem: String,
    },
}

/// The shard gives no answer now. Of a write the outcome is unknown: it may have been made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unavailable: {reason}")]
pub struct Unavailable {
    /// For the operator.
    pub reason: String,
}

impl Unavailable {
    /// With this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}
