//! The log thread: the only one that writes the log. It takes all that waits, writes it as one
//! batch with one sync, and only then tells those who wait.
//!
//! Invariant: nothing is acknowledged before the sync that covers it has returned. An error or a
//! panic poisons the node; whatever was or will be waiting hears that error, never success.
//!
//! Invariant: every batch is synced before the next one is written, so at most the last batch of
//! the newest file can be torn by a crash. `tail` relies on it to tell a torn tail from damage.

use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::IOFlushed;
use protobuf::well_known_types::BytesValue;
use raft_engine::{Command, Engine, LogBatch};
use tokio::sync::{mpsc, oneshot};

use super::files::LogFiles;
use super::frame::Frames;
use crate::engine::poison::Poison;
use crate::engine::raft::Types;
#[cfg(test)]
use crate::engine::tests::simulation::host as simulated;
use crate::engine::threads::go_first;

/// Bytes after which a batch takes no more requests.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Requests that may wait.
pub const QUEUE: usize = 4_096;

/// raft-engine over our files.
pub type LogEngine = Engine<LogFiles>;

/// One change to the log of one shard.
pub enum Item {
    /// Entries, from the first new or overwritten index on.
    Append(Vec<BytesValue>),
    /// A value of the shard.
    Put(&'static [u8], Vec<u8>),
    /// No value any more.
    Delete(&'static [u8]),
    /// No entries below this index any more.
    Compact(u64),
}

/// Whom to tell once it is durable.
pub enum Waiting {
    /// openraft's callback of an append.
    Flushed {
        /// Hears of success or failure.
        callback: IOFlushed<Types>,
        /// Where to note that the shard's entries are written.
        durable: Arc<AtomicU64>,
        /// Up to this one.
        last: u64,
    },
    /// A task.
    Told(oneshot::Sender<io::Result<()>>),
}

/// What is asked of the log thread.
pub enum Request {
    /// Changes to one shard, atomic together.
    Write {
        /// raft-engine's id of the shard.
        region: u64,
        /// In this order.
        items: Vec<Item>,
        /// Heard after the sync.
        waiting: Waiting,
    },
    /// Frees the files that no shard needs, and names the regions that hold files up.
    Free(Box<dyn FnOnce(Vec<u64>) + Send>),
    /// Ends the thread.
    Close,
}

/// Starts the log thread.
pub fn spawn(
    engine: Arc<LogEngine>,
    files: Arc<LogFiles>,
    poison: Arc<Poison>,
) -> io::Result<(mpsc::Sender<Request>, Option<std::thread::JoinHandle<()>>)> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let writer = Writer { engine, files, poison };
    #[cfg(test)]
    if simulated::is_simulated() {
        tokio::runtime::Handle::current().spawn(writer.run_simulated(receiver));
        return Ok((sender, None));
    }
    let thread = std::thread::Builder::new().name("log".into()).spawn(move || {
        go_first();
        writer.run(receiver);
    })?;
    Ok((sender, Some(thread)))
}

struct Writer {
    engine: Arc<LogEngine>,
    files: Arc<LogFiles>,
    poison: Arc<Poison>,
}

impl Writer {
    fn run(self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            if self.write(first, &mut requests).is_break() {
                return;
            }
        }
    }

    /// A task in the place of the thread, whose syncs take as long as the simulation says.
    #[cfg(test)]
    async fn run_simulated(self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.recv().await {
            tokio::time::sleep(simulated::sync_pause()).await;
            if self.write(first, &mut requests).is_break() {
                return;
            }
        }
    }

    /// Writes one batch: this request, and what waits behind it.
    fn write(&self, first: Request, requests: &mut mpsc::Receiver<Request>) -> ControlFlow<()> {
        let mut waiting = Vec::new();
        let mut next = Some(first);
        let mut batch = LogBatch::default();
        let mut control = None;
        while let Some(request) = next.take() {
            match request {
                Request::Write { region, items, waiting: who } => {
                    waiting.push(who);
                    if let Err(error) = fill(&mut batch, region, items) {
                        self.poison.set(&format!("the log cannot be written: {error}"));
                    }
                    if batch.approximate_size() < BATCH_BYTES {
                        next = requests.try_recv().ok();
                    }
                }
                other => control = Some(other),
            }
        }
        let written = self.guarded(|| self.engine.write(&mut batch, true).map(|_| ()));
        metrics::histogram!("janua_log_batch_writes").record(waiting.len() as f64);
        for who in waiting {
            tell(who, &written);
        }
        match control {
            Some(Request::Free(report)) => self.free(report),
            Some(Request::Close) => return ControlFlow::Break(()),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn free(&self, report: Box<dyn FnOnce(Vec<u64>) + Send>) {
        #[cfg(test)]
        crate::engine::tests::simulation::blocks::forget();
        let mut held_up = Vec::new();
        let freed = self.guarded(|| {
            held_up = self.engine.purge_expired_files()?;
            Ok(())
        });
        if freed.is_ok() {
            report(held_up);
        }
    }

    /// Runs a piece of work of the engine, unless an earlier one failed. An error, a panic or a
    /// failed sync poisons.
    fn guarded(&self, work: impl FnOnce() -> raft_engine::Result<()>) -> Result<(), String> {
        if let Some(reason) = self.poison.reason() {
            return Err(reason.into());
        }
        let done = catch_unwind(AssertUnwindSafe(work));
        let problem = match (done, self.files.failed_sync()) {
            (Ok(Ok(())), None) => return Ok(()),
            (_, Some(failed)) => failed.to_owned(),
            (Ok(Err(error)), None) => error.to_string(),
            (Err(panic), None) => panic_text(&*panic).to_owned(),
        };
        let reason = format!("the log cannot be written: {problem}");
        self.poison.set(&reason);
        Err(reason)
    }
}

fn fill(batch: &mut LogBatch, region: u64, items: Vec<Item>) -> raft_engine::Result<()> {
    for item in items {
        match item {
            Item::Append(frames) => batch.add_entries::<Frames>(region, &frames)?,
            Item::Put(key, value) => batch.put(region, key.to_vec(), value)?,
            Item::Delete(key) => batch.delete(region, key.to_vec()),
            Item::Compact(index) => batch.add_command(region, Command::Compact { index }),
        }
    }
    Ok(())
}

fn tell(who: Waiting, written: &Result<(), String>) {
    let result = written.clone().map_err(io::Error::other);
    match who {
        Waiting::Flushed { callback, durable, last } => {
            if result.is_ok() {
                durable.store(last, Ordering::Release);
            }
            callback.io_completed(result);
        }
        // Whoever asked may have gone; the write stands nevertheless.
        Waiting::Told(sender) => drop(sender.send(result)),
    }
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}
