//! When a shard was last told that its leader lives, and whether this node may vote in it yet.
//!
//! Invariant: a voter that has just started votes for nobody, itself included, until every lease
//! that it may have granted in its former life has run out. A vote that the leader itself asks for
//! on another's behalf is no breach: it has given up its lease.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::raft::ELECTION_MAX;

/// The pulse of one shard on this node. Times count from its making.
#[derive(Debug)]
pub struct Pulse {
    origin: Instant,
    heard_ms: AtomicU64,
    started_ms: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self { origin: Instant::now(), heard_ms: zero(), started_ms: zero() }
    }
}

impl Pulse {
    /// The present.
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// A moment, as timers have it.
    pub fn instant(&self, at: Duration) -> Instant {
        self.origin + at
    }

    /// The leader, or one who was given a vote, was heard then.
    pub fn heard(&self, at: Duration) {
        self.heard_ms.fetch_max(ms(at), Ordering::Relaxed);
    }

    /// When the leader was last heard.
    pub fn last_heard(&self) -> Instant {
        self.instant(Duration::from_millis(self.heard_ms.load(Ordering::Relaxed)))
    }

    /// For how long no leader was heard.
    pub fn silent_for(&self) -> Duration {
        let heard = self.heard_ms.load(Ordering::Relaxed);
        self.now().saturating_sub(Duration::from_millis(heard))
    }

    /// The Raft instance starts anew.
    pub fn started(&self) {
        self.started_ms.store(ms(self.now()), Ordering::Relaxed);
    }

    /// From when on there may be another leader.
    pub fn free_from(&self) -> Duration {
        let heard = self.heard_ms.load(Ordering::Relaxed);
        // A millisecond more, since both are rounded down.
        let last = heard.max(self.started_ms.load(Ordering::Relaxed)) + 1;
        Duration::from_millis(last) + ELECTION_MAX
    }

    /// Whether a vote may be given.
    pub fn may_vote(&self, transfer: bool) -> Result<(), String> {
        let started = Duration::from_millis(self.started_ms.load(Ordering::Relaxed) + 1);
        match transfer || self.now() >= started + ELECTION_MAX {
            true => Ok(()),
            false => Err("it has just started, and votes for nobody yet".into()),
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_just_started_votes_for_nobody() {
        let pulse = Pulse::default();
        pulse.started();
        assert!(pulse.may_vote(false).is_err());
        assert!(pulse.may_vote(true).is_ok());
        tokio::time::advance(ELECTION_MAX + Duration::from_millis(2)).await;
        assert!(pulse.may_vote(false).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_was_heard_has_its_lease() {
        let pulse = Pulse::default();
        tokio::time::advance(Duration::from_secs(1)).await;
        pulse.heard(pulse.now());
        assert!(pulse.free_from() > pulse.now() + ELECTION_MAX);
        tokio::time::advance(ELECTION_MAX + Duration::from_millis(2)).await;
        assert!(pulse.free_from() <= pulse.now());
    }
}
