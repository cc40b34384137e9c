//! The log: entries and votes of every shard of a node in one raft-engine, written by one thread
//! (`writer`), read from anywhere. `store` is what openraft sees of it.

pub mod files;
pub mod frame;
mod recent;
pub mod store;
pub mod tail;
pub mod writer;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Mutex, RwLock};
use raft_engine::{Config, ReadableSize, RecoveryMode};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use self::files::LogFiles;
use self::frame::Frames;
use self::writer::{LogEngine, Request};
use super::error::OpenError;
use super::files::Disk;
use super::poison::Poison;
use super::raft::Entry;
use crate::fault::Fault;
use crate::ids::ShardId;

/// The log of a node.
pub struct Log {
    /// For reading; `None` once closed. Reads hold the lock, so that closing waits for them.
    engine: RwLock<Option<Arc<LogEngine>>>,
    disk: Arc<dyn Disk>,
    files: Arc<LogFiles>,
    requests: mpsc::Sender<Request>,
    thread: Mutex<Option<JoinHandle<()>>>,
    poison: Arc<Poison>,
    dir: PathBuf,
    on_hold_up: Arc<Mutex<Option<HoldUpHook>>>,
}

type HoldUpHook = Box<dyn Fn(ShardId) + Send + Sync>;

/// How the log is opened.
pub struct LogOptions {
    /// Its folder.
    pub dir: PathBuf,
    /// Bytes after which a further file is started.
    pub file_bytes: u64,
    /// Bytes above which files that nothing needs are freed.
    pub purge_bytes: u64,
    /// The last stop was clean: a file that does not decode to its end is damaged, not torn.
    pub clean: bool,
}

impl Log {
    /// Opens the log, or makes it.
    pub fn open(
        options: LogOptions,
        disk: &Arc<dyn Disk>,
        poison: &Arc<Poison>,
    ) -> Result<Self, OpenError> {
        let LogOptions { dir, file_bytes, purge_bytes, clean } = options;
        let mode = match clean {
            true => RecoveryMode::AbsoluteConsistency,
            false => RecoveryMode::TolerateTailCorruption,
        };
        let config = Config {
            dir: dir.display().to_string(),
            recovery_mode: mode,
            recovery_threads: 2,
            // Sealed and hashed values do not compress, and `tail` reads batches as they are.
            batch_compression_threshold: ReadableSize(0),
            target_file_size: ReadableSize(file_bytes),
            purge_threshold: ReadableSize(purge_bytes.max(file_bytes)),
            enable_log_recycle: false,
            prefill_for_recycle: false,
            ..Config::default()
        };
        let files = Arc::new(LogFiles::new(disk.clone()));
        let opened = catch_unwind(AssertUnwindSafe(|| {
            LogEngine::open_with_file_system(config, files.clone())
        }));
        let problem = match opened {
            Ok(Ok(engine)) => return Self::start(engine, (disk.clone(), files), dir, poison),
            Ok(Err(raft_engine::Error::Io(error))) if files.damaged().is_none() => {
                return Err(OpenError::Folder { path: dir, problem: error.to_string() });
            }
            Ok(Err(error)) => error.to_string(),
            Err(panic) => writer::panic_text(&*panic).to_owned(),
        };
        let damaged = files.damaged().or_else(|| tail::first_damaged(&**disk, &dir));
        let file = damaged.unwrap_or(dir);
        Err(OpenError::LogDamaged { file, problem })
    }

    fn start(
        engine: LogEngine,
        (disk, files): (Arc<dyn Disk>, Arc<LogFiles>),
        dir: PathBuf,
        poison: &Arc<Poison>,
    ) -> Result<Self, OpenError> {
        let engine = Arc::new(engine);
        let failed = |error| OpenError::Folder { path: dir.clone(), problem: error };
        let (requests, thread) = writer::spawn(engine.clone(), files.clone(), poison.clone())
            .map_err(|error: io::Error| failed(error.to_string()))?;
        let (engine, thread) = (RwLock::new(Some(engine)), Mutex::new(thread));
        Ok(Self {
            engine,
            disk,
            files,
            requests,
            thread,
            poison: poison.clone(),
            dir,
            on_hold_up: Arc::default(),
        })
    }

    /// The file to name when an entry turns out to be damaged.
    pub fn damaged_file(&self) -> PathBuf {
        tail::first_damaged(&*self.disk, &self.dir).unwrap_or_else(|| self.dir.clone())
    }

    /// Bytes in its files.
    pub fn bytes(&self) -> u64 {
        self.read_engine(|engine| engine.get_used_size() as u64).unwrap_or(0)
    }

    /// Calls `hook` with each shard whose old entries keep files from being freed.
    pub fn on_hold_up(&self, hook: impl Fn(ShardId) + Send + Sync + 'static) {
        *self.on_hold_up.lock() = Some(Box::new(hook));
    }

    /// Frees the files that no shard needs, after what was asked before.
    fn free_files(&self) {
        let hook = self.on_hold_up.clone();
        let report = move |regions: Vec<u64>| {
            if let Some(hook) = &*hook.lock() {
                regions.into_iter().for_each(|region| hook(shard_of(region)));
            }
        };
        // A full queue means that appends wait; files can be freed after the next snapshot.
        drop(self.requests.try_send(Request::Free(Box::new(report))));
    }

    /// Ends the log thread after what it was asked before, and closes the files. `false` if they
    /// could not be closed well. Blocks.
    pub fn close(&self) -> bool {
        while let Err(TrySendError::Full(_)) = self.requests.try_send(Request::Close) {
            std::thread::yield_now();
        }
        let ended = self.thread.lock().take().is_none_or(|thread| thread.join().is_ok());
        let engine = self.engine.write().take().and_then(Arc::into_inner);
        let closed = catch_unwind(AssertUnwindSafe(|| engine.map(drop).is_some()));
        let closed = closed.unwrap_or(false) && self.files.failed_sync().is_none();
        ended && closed && self.poison.reason().is_none()
    }

    fn read_engine<T>(&self, read: impl FnOnce(&LogEngine) -> T) -> Option<T> {
        self.engine.read().as_deref().map(read)
    }

    fn value(&self, shard: ShardId, key: &[u8]) -> Option<Vec<u8>> {
        self.read_engine(|engine| engine.get(region(shard), key)).flatten()
    }

    fn first_index(&self, shard: ShardId) -> u64 {
        self.read_engine(|engine| engine.first_index(region(shard))).flatten().unwrap_or(0)
    }

    fn last_index(&self, shard: ShardId) -> Option<u64> {
        self.read_engine(|engine| engine.last_index(region(shard))).flatten()
    }

    /// Entries `from..until` of a shard, which the files must have.
    fn read(&self, shard: ShardId, from: u64, until: u64) -> Result<Vec<Entry>, Fault> {
        #[cfg(test)]
        super::tests::simulation::blocks::forget();
        let mut frames = Vec::with_capacity((until - from) as usize);
        let fetched = catch_unwind(AssertUnwindSafe(|| {
            self.read_engine(|engine| {
                engine.fetch_entries_to::<Frames>(region(shard), from, until, None, &mut frames)
            })
        }));
        let problem = match fetched {
            Ok(Some(Ok(_))) => None,
            Ok(Some(Err(error))) => Some(error.to_string()),
            Ok(None) => return Err(Fault::Io("the log is closed".into())),
            Err(panic) => Some(writer::panic_text(&*panic).to_owned()),
        };
        if let Some(problem) = problem {
            let what = format!("log entries {from} to {until} of shard {shard}: {problem}");
            return Err(Fault::Damaged(what));
        }
        (from..).zip(&frames).map(|(index, frame)| frame::decode(shard, index, frame)).collect()
    }

    async fn send(&self, request: Request) -> io::Result<()> {
        if self.requests.send(request).await.is_err() {
            return Err(self.failure());
        }
        Ok(())
    }

    async fn write(&self, shard: ShardId, items: Vec<writer::Item>) -> io::Result<()> {
        let (sender, written) = oneshot::channel();
        let waiting = writer::Waiting::Told(sender);
        self.send(Request::Write { region: region(shard), items, waiting }).await?;
        written.await.unwrap_or_else(|_| Err(self.failure()))
    }

    fn failure(&self) -> io::Error {
        io::Error::other(self.poison.reason().unwrap_or("the log is closed").to_owned())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

/// raft-engine's id of a shard; it keeps 0 for itself.
fn region(shard: ShardId) -> u64 {
    u64::from(shard.0) + 1
}

/// The shard of a region.
fn shard_of(region: u64) -> ShardId {
    ShardId(region.saturating_sub(1) as u16)
}
