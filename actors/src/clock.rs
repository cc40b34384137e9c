//! The only source of time and randomness: what is decided from them can be replayed in a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use janua_storage::moment::Moment;

/// Time and randomness.
pub trait Clock: Send + Sync + 'static {
    /// The present, UTC.
    fn now(&self) -> Moment;

    /// Fills `bytes` from a cryptographically secure source.
    fn fill(&self, bytes: &mut [u8]);
}

/// A clock that is handed around.
pub type SharedClock = Arc<dyn Clock>;

impl dyn Clock {
    /// `N` random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Random bits for an id of this moment.
    pub fn id_bits(&self) -> (u64, u128) {
        (self.now().0, u128::from_be_bytes(self.random()))
    }
}

/// The operating system's clock, and a generator that it seeds (AWS-LC's CTR_DRBG, one a thread: a
/// request needs random bytes several times, and a system call each would show).
///
/// Set back while the program runs, it does not go back: what had expired stays so. It stands still
/// until the time that it has shown is there again, unless the time since the start is beyond that.
#[derive(Debug)]
pub struct SystemClock {
    started: Moment,
    since: Instant,
    /// The greatest that it has shown, in milliseconds.
    shown: AtomicU64,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: wall_clock(), since: Instant::now(), shown: AtomicU64::default() }
    }
}

impl SystemClock {
    fn shows(&self, wall: Moment) -> Moment {
        let now = wall.max(self.started.after(self.since.elapsed()));
        Moment(self.shown.fetch_max(now.0, Ordering::Relaxed).max(now.0))
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        self.shows(wall_clock())
    }

    #[expect(clippy::disallowed_methods, reason = "this is where randomness enters")]
    #[expect(clippy::expect_used, reason = "a server without randomness must not go on")]
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the generator is seeded by the operating system");
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where time enters")]
fn wall_clock() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_does_not_go_back() {
        let clock = SystemClock::default();
        let ahead = Moment(clock.started.0 + 3_600_000);
        assert_eq!(clock.shows(ahead), ahead);
        assert_eq!(clock.shows(clock.started), ahead);
        let later = Moment(ahead.0 + 1);
        assert_eq!(clock.shows(later), later);
        assert_eq!(clock.shows(Moment(0)), later);
    }
}
