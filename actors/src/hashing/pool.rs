//! The threads that hash, and the queue before them.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use janua_storage::capability::passwords::Password;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{Cost, HashingError, Memory, Plaintext, Verified};
use crate::clock::SharedClock;
use crate::gateway::Origin;
use crate::refusal::Refusal;

/// Work that would wait longer than this is refused at once.
const PATIENCE: Duration = Duration::from_millis(800);

/// A no waits no longer than this for the sake of others: what an imported hash may cost.
const SLOWEST: Duration = Duration::from_secs(1);

/// An idle thread gives its memory back after this.
const IDLE: Duration = Duration::from_secs(2);

/// What a pass over a MiB is thought to cost, before any hash was measured.
const FIRST_GUESS_US: u64 = 750;

/// How much less than the rest of the server a hash may have of a core (POSIX nice).
const NICE: i32 = 10;

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

/// Threads that hash passwords. What a request is worked on for that another node received is hashed
/// by that node's. Cloning gives another handle on the same ones.
#[derive(Clone)]
pub struct HashingPool {
    shared: Arc<Shared>,
    clock: SharedClock,
    cost: Cost,
}

struct Shared {
    queue: Mutex<VecDeque<Work>>,
    wake: Condvar,
    threads: usize,
    cost_us: AtomicU64,
    /// What the slowest hash took of late that is not of ours. It falls with other such hashes that are
    /// faster, and with nothing else: were it forgotten in between, the next no of one would stand out.
    slowest_us: AtomicU64,
}

impl HashingPool {
    /// One thread a core.
    pub fn start(cost: Cost, clock: SharedClock) -> std::io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let shared = Arc::new(Shared {
            queue: Mutex::new(VecDeque::new()),
            wake: Condvar::new(),
            threads,
            cost_us: AtomicU64::new(first_guess(cost)),
            slowest_us: AtomicU64::new(0),
        });
        for number in 0..threads {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(Self { shared, clock, cost })
    }

    /// The PHC string of a new password, once `check` has let it pass. The check runs here too: to
    /// judge a password takes long enough to hold up other requests.
    pub async fn hash(
        &self,
        password: Plaintext,
        check: impl FnOnce(&Plaintext) -> Result<(), Refusal> + Send + 'static,
    ) -> Result<String, Refusal> {
        if let Some(origin) = Origin::current() {
            let judge = move |_: &mut Memory| {
                let verdict = check(&password);
                Ok(verdict.map(|()| password))
            };
            let password = self.run(judge).await??;
            return origin.hash(&password).await;
        }
        let (cost, salt) = (self.cost, self.clock.random());
        self.run(move |memory| {
            Ok(match check(&password) {
                Ok(()) => Ok(cost.hash(&password, &salt, memory)?),
                Err(refusal) => Err(refusal),
            })
        })
        .await?
    }

    /// Whether `password` is the stored one; without a stored one: no, after the same work.
    ///
    /// Decision: hashes of other systems, and of an older cost, take their own time. A no that comes of
    /// one is not given before ours would be, and no other no is given before the slowest of them that
    /// was met of late: else an answer would tell which addresses have such a hash.
    pub async fn verify(
        &self,
        password: Plaintext,
        stored: Option<Password>,
    ) -> Result<Verified, Refusal> {
        if let Some(origin) = Origin::current() {
            return origin.verify(&password, stored).await;
        }
        let (cost, salt) = (self.cost, self.clock.random());
        let is_foreign = stored.as_ref().is_some_and(|stored| !cost.wrote(stored));
        let work = move |memory: &mut Memory| {
            let begun = Instant::now();
            let verified = cost.verify(&password, stored.as_ref(), &salt, memory)?;
            Ok((verified, begun.elapsed()))
        };
        let (verified, took) = self.run(work).await?;
        if !verified.matches {
            let pace = self.shared.pace(is_foreign.then_some(took));
            tokio::time::sleep(pace.saturating_sub(took)).await;
        }
        Ok(verified)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (sender, answer) = oneshot::channel();
        self.shared.enqueue(Box::new(move |memory| {
            // A client that has gone is not worked for.
            if !sender.is_closed() {
                let _ = sender.send(work(memory));
            }
        }))?;
        match answer.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(Refusal::unavailable(error.to_string())),
            Err(_) => Err(Refusal::unavailable("a hashing thread failed")),
        }
    }
}

/// Microseconds; never none.
fn first_guess(cost: Cost) -> u64 {
    1 + u64::from(cost.memory_kib) * u64::from(cost.iterations) * FIRST_GUESS_US / 1024
}

impl Shared {
    fn enqueue(&self, work: Work) -> Result<(), Refusal> {
        let mut queue = self.queue.lock();
        let wait = self.wait_of(queue.len() + 1);
        if wait > PATIENCE && queue.len() >= 2 * self.threads {
            metrics::counter!("janua_hashing_refused_total").increment(1);
            return Err(Refusal::Overloaded { retry_after: Duration::from_secs(1) });
        }
        queue.push_back(work);
        self.wake.notify_one();
        Ok(())
    }

    fn wait_of(&self, ahead: usize) -> Duration {
        let cost = self.cost_us.load(Ordering::Relaxed);
        Duration::from_micros(cost.saturating_mul(ahead as u64) / self.threads as u64)
    }

    /// How long a no takes; `foreign` is what a hash took that is not of ours.
    fn pace(&self, foreign: Option<Duration>) -> Duration {
        let slowest = self.slowest_us.load(Ordering::Relaxed);
        let Some(took) = foreign else { return Duration::from_micros(slowest) };
        let took = u64::try_from(took.min(SLOWEST).as_micros()).unwrap_or(u64::MAX);
        self.slowest_us.store(took.max(slowest - slowest / 64), Ordering::Relaxed);
        Duration::from_micros(slowest.max(self.cost_us.load(Ordering::Relaxed)))
    }

    fn work(&self) {
        // Without the right to be nicer (no system call for it) hashing competes as equal.
        let _ = rustix::process::nice(NICE);
        let mut memory = Memory::default();
        loop {
            let work = self.next(&mut memory);
            let (begun, filled) = (Instant::now(), memory.fills);
            let outcome =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut memory)));
            if outcome.is_err() {
                tracing::error!("a password hash panicked");
                memory.release();
            }
            // What was skipped or refused says nothing of what a hash costs.
            if memory.fills == filled + 1 {
                self.learn(begun.elapsed());
            }
        }
    }

    fn next(&self, memory: &mut Memory) -> Work {
        let mut queue = self.queue.lock();
        loop {
            if let Some(work) = queue.pop_front() {
                return work;
            }
            if memory.is_held() {
                if self.wake.wait_for(&mut queue, IDLE).timed_out() && queue.is_empty() {
                    memory.release();
                }
            } else {
                self.wake.wait(&mut queue);
            }
        }
    }

    /// Moves the estimate an eighth of the way to what was measured.
    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let old = self.cost_us.load(Ordering::Relaxed);
        self.cost_us.store(old - old / 8 + took / 8, Ordering::Relaxed);
    }
}
