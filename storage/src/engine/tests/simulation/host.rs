//! Which simulated machine is at work in this thread. There is one at a time, so what it runs asks here
//! for the network, and for how long what blocks takes.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::network::Network;
use crate::engine::tests::Dice;

/// The longest time that a healthy disk takes for a sync, or for another piece of work, in
/// milliseconds.
const USUAL: u64 = 3;

/// A machine, as what runs on it sees it.
pub struct Host {
    /// The node on it.
    pub node: u64,
    /// Where it meets others.
    pub network: Network,
    /// Milliseconds that each piece of work takes longer than usual.
    pub slow_ms: AtomicU64,
    /// What it draws from.
    pub dice: Mutex<Dice>,
}

thread_local! {
    static AT_WORK: RefCell<Option<Arc<Host>>> = const { RefCell::new(None) };
}

impl Host {
    /// Does something on this machine.
    pub fn work<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        AT_WORK.with(|at_work| at_work.replace(Some(self.clone())));
        let done = work();
        AT_WORK.with(|at_work| at_work.take());
        done
    }

    fn pause(&self) -> Duration {
        let usual = self.dice.lock().roll(USUAL);
        let slow = self.slow_ms.load(Ordering::Relaxed);
        let more = if slow > 0 { self.dice.lock().roll(slow) } else { 0 };
        Duration::from_millis(usual + more)
    }
}

fn at_work<T>(ask: impl FnOnce(&Host) -> T) -> Option<T> {
    AT_WORK.with(|at_work| at_work.borrow().as_deref().map(ask))
}

/// Whether the calling thread runs a simulated machine.
pub fn is_simulated() -> bool {
    at_work(|_| ()).is_some()
}

/// The node at work and its network.
pub fn network() -> Option<(u64, Network)> {
    at_work(|host| (host.node, host.network.clone()))
}

/// How long the next piece of blocking work takes; nothing outside of a simulation.
pub fn pause() -> Option<Duration> {
    at_work(Host::pause)
}

/// How long the next sync of the log takes.
pub fn sync_pause() -> Duration {
    pause().unwrap_or_default()
}
