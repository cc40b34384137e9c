//! The sleep of the machine: the clock by which leases are measured stands still meanwhile, and those
//! of the other nodes go on.
//!
//! Invariant: no lease from before a sleep is used after it. Whoever asks learns of a sleep by its own
//! question, so that there is no moment between waking up and noticing it. A hypervisor that stops
//! every clock of its guest cannot be noticed from within.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::TokioInstant;
use openraft::async_runtime::Instant as _;
use parking_lot::RwLock;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// There is one machine.
static MACHINE: Sleep = Sleep::new();

/// What is known of a machine's sleep.
struct Sleep {
    /// How long it has slept in all since it was started.
    slept_ms: AtomicU64,
    /// When it was first seen awake again.
    woke: RwLock<Option<TokioInstant>>,
}

/// Whether the machine has slept since then.
pub fn has_slept_since(then: TokioInstant) -> bool {
    MACHINE.woke(slept()).is_some_and(|woke| then <= woke)
}

impl Sleep {
    const fn new() -> Self {
        Self { slept_ms: AtomicU64::new(0), woke: RwLock::new(None) }
    }

    fn woke(&self, slept: Duration) -> Option<TokioInstant> {
        let slept_ms = u64::try_from(slept.as_millis()).unwrap_or(u64::MAX);
        let known_ms = self.slept_ms.load(Ordering::Acquire);
        if slept_ms == 0 {
            return None;
        }
        if slept_ms > known_ms {
            let mut woke = self.woke.write();
            *woke = Some(TokioInstant::now());
            // After the moment is in place: whoever sees the number must see the moment.
            self.slept_ms.fetch_max(slept_ms, Ordering::Release);
            return *woke;
        }
        *self.woke.read()
    }
}

/// How long the machine has slept since it was started. The clock that goes on is read first: a
/// thread that is held up between the two must not take that for a sleep.
fn slept() -> Duration {
    let all = since_start(clock_gettime(ClockId::Boottime));
    all.saturating_sub(since_start(clock_gettime(ClockId::Monotonic)))
}

fn since_start(time: Timespec) -> Duration {
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHT: Duration = Duration::from_secs(8 * 3600);

    #[tokio::test(start_paused = true)]
    async fn what_was_before_a_sleep_is_known_to_be_before_it() {
        let sleep = Sleep::new();
        let moment = Duration::from_millis(1);
        assert_eq!(sleep.woke(Duration::ZERO), None);
        let before = TokioInstant::now();
        tokio::time::advance(moment).await;
        let woke = sleep.woke(NIGHT).expect("it has slept");
        assert!(before <= woke);
        tokio::time::advance(moment).await;
        assert_eq!(sleep.woke(NIGHT), Some(woke), "the same sleep");
        assert!(TokioInstant::now() > woke);
        let second = sleep.woke(NIGHT * 2).expect("it has slept again");
        assert!(second > woke);
    }

    #[test]
    fn a_machine_that_is_awake_does_not_sleep() {
        let slept = slept();
        assert!(super::slept() <= slept + Duration::from_millis(1));
    }
}
