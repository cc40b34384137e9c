//! Faults: something broke. A fault is never an answer to a client; it stops what met it and is
//! reported to the operator.

/// What went wrong below the state machine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// A record, snapshot or log entry does not carry what was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The disk refused: full, read-only, failed fsync.
    #[error("storage failed: {0}")]
    Io(String),
    /// Data written by a newer version of the program.
    #[error("{what} has version {found}, this program reads up to {known}")]
    Newer {
        /// What was read.
        what: &'static str,
        /// The version found in it.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}
