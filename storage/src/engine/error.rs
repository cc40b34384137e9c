//! What the engine says when it cannot open or cannot answer: one line each, for the operator.

use std::path::PathBuf;

use crate::version::TooNew;

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

/// The shard gives no answer now. Of a write the outcome is unknown (it may have been made), unless
/// the cause says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unavailable: {reason}")]
pub struct Unavailable {
    /// For the operator.
    pub reason: String,
    /// What it means for whoever asked.
    pub cause: Cause,
}

/// What an `Unavailable` means for whoever asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cause {
    /// Nothing more is known. A write may have been made: ask again with the same operation id.
    #[default]
    Unknown,
    /// This node does not lead the shard. Nothing was read or proposed here, so whoever leads may
    /// be asked without further ado.
    NotLeader {
        /// The leader, if this node knows of one.
        leader: Option<u64>,
    },
    /// Not every node understands it yet. Nothing was proposed.
    TooNew(TooNew),
}

impl Unavailable {
    /// With this reason; of a write the outcome is unknown.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), cause: Cause::Unknown }
    }

    /// Another node leads, or none. Nothing was read or proposed.
    pub fn not_leader(leader: Option<u64>) -> Self {
        let reason = match leader {
            Some(leader) => format!("node {leader} leads the shard"),
            None => "the shard has no leader".into(),
        };
        Self { reason, cause: Cause::NotLeader { leader } }
    }

    /// Whether it was certainly neither read nor proposed here, because this node does not lead.
    pub fn is_not_leader(&self) -> bool {
        matches!(self.cause, Cause::NotLeader { .. })
    }

    /// The node that leads, if it was asked of one that does not and that knows.
    pub fn leader(&self) -> Option<u64> {
        match self.cause {
            Cause::NotLeader { leader } => leader,
            Cause::Unknown | Cause::TooNew(_) => None,
        }
    }
}

impl From<TooNew> for Unavailable {
    fn from(problem: TooNew) -> Self {
        Self { reason: problem.to_string(), cause: Cause::TooNew(problem) }
    }
}
