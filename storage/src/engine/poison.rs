//! Poison: once the log thread has failed, the node acknowledges nothing and serves nothing more.

use std::sync::OnceLock;

/// Why a node has stopped for good, if it has.
#[derive(Debug, Default)]
pub struct Poison(OnceLock<String>);

impl Poison {
    /// Stops the node. Only the first reason counts; it is logged and counted once.
    pub fn set(&self, reason: &str) {
        if self.0.set(reason.into()).is_ok() {
            tracing::error!(reason, "storage stops: no write will be acknowledged any more");
            metrics::counter!("janua_storage_poisoned_total").increment(1);
        }
    }

    /// The reason, if the node has stopped.
    pub fn reason(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}
