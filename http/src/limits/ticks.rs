//! Time for the limits, as the program's clock tells it.

use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use janua_actors::clock::SharedClock;

/// Unix time from the program's clock, in the form that governor asks for.
#[derive(Clone)]
pub struct Ticks(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Ticks {
    /// Time as the program's clock tells it.
    pub fn of(clock: SharedClock) -> Self {
        Self::new(move || Duration::from_millis(clock.now().0))
    }

    /// Time as `unix_time` tells it.
    pub fn new(unix_time: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(unix_time))
    }
}

impl Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}

/// A clock that moves when told to.
#[cfg(test)]
pub fn manual() -> (Ticks, impl Fn(Duration) + Send + Sync + 'static) {
    use std::sync::atomic::{AtomicU64, Ordering};

    let millis = Arc::new(AtomicU64::new(1_736_937_000_000));
    let read = Arc::clone(&millis);
    let ticks = Ticks::new(move || Duration::from_millis(read.load(Ordering::Relaxed)));
    let advance = move |by: Duration| {
        millis.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    };
    (ticks, advance)
}
