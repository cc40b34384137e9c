//! What is wrong with a configuration: the key, where its value came from, and what is allowed.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Where a value came from, later ones beating earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The program itself.
    Default,
    /// The file of `--config`.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `section.key`; empty when the file cannot be read at all.
    pub key: String,
    /// The file, variable or flag to mend it in.
    pub source: String,
    /// What is wrong; never the value of a secret.
    pub message: String,
}

impl Problem {
    /// A problem with the value that `source` gives `key`.
    pub fn new(key: impl Into<String>, source: &Source, message: impl Into<String>) -> Self {
        Self { key: key.into(), source: source.to_string(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return write!(f, "{}: {}", self.source, self.message);
        }
        write!(f, "{} ({}): {}", self.key, self.source, self.message)
    }
}
