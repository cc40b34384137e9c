//! Poison: once the log thread has failed, the node acknowledges nothing and serves nothing more.

use std::sync::OnceLock;

use tokio::sync::Notify;

/// Why a node has stopped for good, if it has.
#[derive(Debug, Default)]
pub struct Poison {
    reason: OnceLock<String>,
    told: Notify,
}

impl Poison {
    /// Stops the node. Only the first reason counts; it is logged and counted once.
    pub fn set(&self, reason: &str) {
        if self.reason.set(reason.into()).is_ok() {
            tracing::error!(reason, "storage stops: no write will be acknowledged any more");
            metrics::counter!("janua_storage_poisoned_total").increment(1);
        }
        self.told.notify_waiters();
    }

    /// The reason, if the node has stopped.
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Returns once the node has stopped.
    pub async fn stopped(&self) {
        let told = self.told.notified();
        if self.reason().is_none() {
            told.await;
        }
    }
}
