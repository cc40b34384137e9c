//! Where a request came in, while it is worked on at another node. The work that costs the most,
//! hashing, goes back there: each node pays for its own clients, and no leader is starved by them.
//!
//! The plaintext came from there, and over the same link. It is the task that knows, so that whatever
//! hashes need not.

use std::time::{Duration, Instant};

use super::{Gateway, Lost};
use crate::refusal::Refusal;

tokio::task_local! {
    static ORIGIN: Origin;
}

/// The node that received a request, and until when its client waits.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(super) gateway: Gateway,
    pub(super) peer: u64,
    deadline: Instant,
}

impl Origin {
    pub(super) fn new(gateway: Gateway, peer: u64, within: Duration) -> Self {
        Self { gateway, peer, deadline: Instant::now() + within }
    }

    /// Works on what came from there.
    pub(super) async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        ORIGIN.scope(self, work).await
    }

    /// Where the request of this task came in, if at another node.
    pub fn current() -> Option<Self> {
        ORIGIN.try_with(Self::clone).ok()
    }

    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// What it means that the node does not answer: nothing was proposed.
    pub(super) fn gone(lost: Lost) -> Refusal {
        match lost {
            Lost::Busy => Refusal::Overloaded { retry_after: Duration::from_secs(1) },
            Lost::Unreachable | Lost::Unknown => {
                Refusal::unavailable("the node that received the request does not answer")
            }
        }
    }
}
