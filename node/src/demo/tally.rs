//! What the people at work have counted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counts that go up from many tasks.
#[derive(Debug, Default)]
pub struct Tally {
    answered: AtomicU64,
    unanswered: AtomicU64,
    acknowledged: AtomicU64,
    checked: AtomicU64,
    lost: AtomicU64,
    first_loss: OnceLock<String>,
}

/// The same at one moment.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Requests that were answered with a yes or a no.
    pub answered: u64,
    /// Requests that were not: nobody there, too late, or 503.
    pub unanswered: u64,
    /// Writes that were answered with a yes.
    pub acknowledged: u64,
    /// Those of them that another node was asked about afterwards, and knew.
    pub checked: u64,
    /// Those that the cluster knew nothing of.
    pub lost: u64,
    /// What was lost first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_loss: Option<String>,
}

impl Tally {
    /// A request was answered, or not.
    pub fn asked(&self, answered: bool) {
        increment(if answered { &self.answered } else { &self.unanswered });
    }

    /// A write was answered with a yes.
    pub fn acknowledged(&self) {
        increment(&self.acknowledged);
    }

    /// Another node knows of it.
    pub fn checked(&self) {
        increment(&self.checked);
    }

    /// The cluster has forgotten something; `what` says so in words without secrets.
    pub fn lost(&self, what: String) {
        increment(&self.lost);
        // Only the first one is kept: the rest follows from it more often than not.
        let _ = self.first_loss.set(what);
    }

    /// What has been counted so far. `checked` and `lost` are read first, so that they are never
    /// ahead of `acknowledged`.
    pub fn counts(&self) -> Counts {
        let (checked, lost) = (count(&self.checked), count(&self.lost));
        Counts {
            answered: count(&self.answered),
            unanswered: count(&self.unanswered),
            acknowledged: count(&self.acknowledged),
            checked,
            lost,
            first_loss: self.first_loss.get().cloned(),
        }
    }
}

fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::SeqCst)
}
