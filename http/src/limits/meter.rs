//! One bucket's counts: governor does the arithmetic (GCRA), this file keeps its cells, reads them
//! for the headers, and bounds their number.
//!
//! Decision: the cells are ours, shared with governor, because it can charge a cell but not read
//! one, and every response shows the state of a bucket, charged or not.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use super::key::Key;
use super::rate::Rate;
use super::ticks::Ticks;

/// The state of one client's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The burst, in requests.
    pub limit: u32,
    /// What is left of it.
    pub remaining: u32,
    /// How long until all of it is back.
    pub full_in: Duration,
}

/// A refusal: how long until one request fits again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted(pub Duration);

#[derive(Clone, Default)]
struct Cells(Arc<DashMap<Key, InMemoryState>>);

impl StateStore for Cells {
    type Key = Key;

    fn measure_and_replace<T, F, E>(&self, key: &Key, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, decide)
    }
}

impl Cells {
    /// When the key's bucket is full again, on governor's scale.
    fn full_at(&self, key: &Key) -> Duration {
        self.0.get(key).map_or(Duration::ZERO, |cell| full_at(&cell))
    }
}

/// Reads a cell through the only way there is: a change that is then refused.
fn full_at(cell: &InMemoryState) -> Duration {
    let refuse = |full_at: Option<Nanos>| Err::<((), Nanos), _>(full_at);
    let full_at = cell.measure_and_replace(&NotKeyed::NonKey, refuse).err().flatten();
    Duration::from_nanos(full_at.map_or(0, |full_at| full_at.as_u64()))
}

/// The counts of one bucket at one rate.
pub struct Meter {
    rate: Rate,
    interval: Duration,
    cells: Cells,
    ticks: Ticks,
    started: Duration,
    limiter: RateLimiter<Key, Cells, Ticks, NoOpMiddleware<Duration>>,
}

impl Meter {
    /// A meter of full buckets; none when the rate is off.
    pub fn new(rate: Rate, ticks: Ticks) -> Option<Self> {
        let count = NonZeroU32::new(rate.count())?;
        let interval = (rate.per() / count.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval)?.allow_burst(count);
        let cells = Cells::default();
        let started = ticks.now();
        let limiter = RateLimiter::new(quota, cells.clone(), ticks.clone());
        Some(Self { rate, interval, cells, ticks, started, limiter })
    }

    /// Counts one request.
    pub fn take(&self, key: &Key) -> Result<(), Exhausted> {
        self.limiter
            .check_key(key)
            .map_err(|refused| Exhausted(refused.wait_time_from(self.ticks.now())))
    }

    /// The state of a bucket, without charging it.
    pub fn level(&self, key: &Key) -> Level {
        let now = self.ticks.now().saturating_sub(self.started);
        let full_in = self.cells.full_at(key).saturating_sub(now);
        let used = full_in.as_nanos().div_ceil(self.interval.as_nanos());
        let used = u32::try_from(used).unwrap_or(u32::MAX);
        let limit = self.rate.count();
        Level { limit, remaining: limit.saturating_sub(used), full_in }
    }

    /// Forgets buckets that are full again, and, should more than `most` be left, those that are
    /// more than half full: a flood of addresses costs memory no more than it costs accuracy.
    pub fn tidy(&self, most: usize) {
        let now = self.ticks.now().saturating_sub(self.started);
        let cells = &self.cells.0;
        cells.retain(|_, cell| full_at(cell) > now);
        if cells.len() > most {
            cells.retain(|_, cell| full_at(cell) > now + self.rate.per() / 2);
        }
        if cells.len() > most {
            tracing::warn!(keys = cells.len(), "too many rate limit buckets, starting over");
            cells.clear();
        }
        cells.shrink_to_fit();
    }

    /// The number of buckets that are not full.
    pub fn len(&self) -> usize {
        self.cells.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::key::Network;
    use crate::limits::ticks::manual;

    fn key(last: u8) -> Key {
        Key::of_network(1, Network::of([10, 0, 0, last].into()))
    }

    #[test]
    fn a_burst_then_a_steady_refill() {
        let (ticks, advance) = manual();
        let meter = Meter::new("10/min".parse().unwrap(), ticks).unwrap();
        for taken in 1..=10 {
            assert_eq!(meter.take(&key(1)), Ok(()));
            let level = meter.level(&key(1));
            assert_eq!(level.remaining, 10 - taken);
            assert_eq!(level.full_in, Duration::from_secs(6 * u64::from(taken)));
        }
        assert_eq!(meter.take(&key(1)), Err(Exhausted(Duration::from_secs(6))));
        assert_eq!(meter.take(&key(2)), Ok(()), "another client has a bucket of its own");
        advance(Duration::from_secs(6));
        assert_eq!(meter.take(&key(1)), Ok(()));
        assert!(meter.take(&key(1)).is_err());
        advance(Duration::from_secs(60));
        assert_eq!(meter.level(&key(1)).remaining, 10);
        assert_eq!(meter.level(&key(1)).full_in, Duration::ZERO);
    }

    #[test]
    fn looking_charges_nothing() {
        let (ticks, _) = manual();
        let meter = Meter::new("2/min".parse().unwrap(), ticks).unwrap();
        for _ in 0..5 {
            assert_eq!(meter.level(&key(1)).remaining, 2);
        }
        assert_eq!(meter.len(), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let (ticks, advance) = manual();
        let meter = Meter::new("2/min".parse().unwrap(), ticks).unwrap();
        (0..100).for_each(|last| meter.take(&key(last)).unwrap());
        meter.take(&key(0)).unwrap();
        advance(Duration::from_secs(1));
        meter.tidy(100);
        assert_eq!(meter.len(), 100, "nothing is full yet and the bound holds");
        meter.tidy(10);
        assert_eq!(meter.len(), 1, "only the client that spent most is remembered");
        advance(Duration::from_secs(120));
        meter.tidy(10);
        assert_eq!(meter.len(), 0);
    }

    #[test]
    fn zero_switches_off() {
        assert!(Meter::new(Rate::OFF, manual().0).is_none());
    }
}
