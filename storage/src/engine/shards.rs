//! All shards of a node: opens and closes the data folder, and holds what the shards share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;

use super::error::OpenError;
use super::folder::Folder;
use super::health::Health;
use super::log::store::ShardLog;
use super::log::{Log, LogOptions};
use super::poison::Poison;
use super::raft::machine::Core;
use super::shard::{Leadership, Phase, Shard};
use super::snapshot::Snapshots;
use super::supervise::{self, Start};
use super::tree::store::Store;
use super::{Options, Parts, raft, restore};
use crate::fault::Fault;
use crate::ids::{ShardId, TenantNumber};

/// Threads that Raft has to itself, so that nothing else delays its timers.
const RAFT_THREADS: usize = 3;
/// How long opening waits for the shards to lead; beyond it `health` says which do not.
const LEAD_DEADLINE: Duration = Duration::from_secs(10);

/// The shards of a node, on an open data folder.
pub struct Shards {
    shards: Vec<Arc<Shard>>,
    log: Arc<Log>,
    store: Arc<Store>,
    poison: Arc<Poison>,
    folder: Mutex<Option<Folder>>,
    runtime: Mutex<Option<Runtime>>,
    founded: bool,
}

struct Opening {
    options: Options,
    parts: Parts,
    folder: Folder,
    log: Arc<Log>,
    store: Arc<Store>,
    snapshots: Arc<Snapshots>,
    poison: Arc<Poison>,
}

impl Shards {
    /// Opens the data folder, or founds a node on an empty one, and waits until this node leads
    /// its shards.
    pub async fn open(options: Options, parts: Parts) -> Result<Self, OpenError> {
        let dir = options.data_dir.clone();
        let failed = move |problem: String| OpenError::Folder { path: dir.clone(), problem };
        let opening = tokio::task::spawn_blocking(move || Opening::begin(options, parts));
        let opening = opening.await.map_err(|error| failed(error.to_string()))??;
        let runtime = Builder::new_multi_thread()
            .worker_threads(RAFT_THREADS)
            .thread_name("raft")
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let config = raft::config(opening.options.kept_entries)
            .map_err(|error| failed(error.to_string()))?;
        let start = Start { node: opening.options.node, config };
        let opening = Arc::new(opening);
        let tasks: Vec<_> = (0..opening.options.shards)
            .map(|id| runtime.spawn(start_shard(opening.clone(), ShardId(id), start.clone())))
            .collect();
        let mut shards = Vec::new();
        let mut founded = false;
        let mut problem = None;
        for task in join_all(tasks).await {
            match task.map_err(|error| failed(error.to_string())).flatten() {
                Ok((shard, new)) => {
                    shards.push(shard);
                    founded |= new;
                }
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        let opening = Arc::into_inner(opening)
            .ok_or_else(|| failed("a shard is still being opened".into()))?;
        let opened = opening.end(shards, runtime, founded);
        if let Some(problem) = problem {
            opened.close().await;
            return Err(problem);
        }
        // What does not lead in time shows in `health`.
        drop(timeout(LEAD_DEADLINE, opened.all_settled()).await);
        Ok(opened)
    }

    /// One shard. Its id must be one of this node's.
    pub fn shard(&self, id: ShardId) -> &Arc<Shard> {
        &self.shards[usize::from(id.0)]
    }

    /// The shard of a tenant.
    pub fn of(&self, tenant: TenantNumber) -> &Arc<Shard> {
        self.shard(tenant.shard(self.shards.len() as u16))
    }

    /// All shards.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Shard>> {
        self.shards.iter()
    }

    /// Whether this opening made the Raft groups. After a crash in between it may be `false`
    /// although nothing was ever proposed: whoever founds must look at the records.
    pub fn founded_now(&self) -> bool {
        self.founded
    }

    /// What keeps storage from serving.
    pub fn health(&self) -> Health {
        if let Some(reason) = self.poison.reason() {
            return Health { reasons: vec![format!("storage has stopped: {reason}")] };
        }
        Health { reasons: self.shards.iter().filter_map(|shard| shard.problem()).collect() }
    }

    /// Bytes on disk: of the log, and of the state.
    pub fn bytes(&self) -> (u64, u64) {
        (self.log.bytes(), self.store.bytes())
    }

    /// Stops serving, writes everything down, and gives the folder back.
    pub async fn close(&self) {
        let Some(runtime) = self.runtime.lock().take() else { return };
        join_all(self.shards.iter().map(stop)).await;
        let (store, log) = (self.store.clone(), self.log.clone());
        let folder = self.folder.lock().take();
        let closing = tokio::task::spawn_blocking(move || {
            runtime.shutdown_timeout(Duration::from_secs(1));
            store.close();
            let clean = log.close();
            match folder {
                Some(folder) if clean => folder.mark_clean(),
                _ => Ok(()),
            }
        });
        match closing.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the next start will take this for a crash"),
            Err(error) => tracing::error!(%error, "closing has failed"),
        }
    }

    /// Returns once each shard leads, or is known not to.
    async fn all_settled(&self) {
        let settled = join_all(self.shards.iter().map(|shard| async {
            let mut leadership = shard.leadership();
            // The sender lives in the shard, so waiting cannot fail.
            drop(leadership.wait_for(|now| now.leads || now.stopped).await);
        }));
        tokio::select! {
            _ = settled => {}
            () = self.poison.stopped() => {}
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.shutdown_background();
        }
    }
}

impl Opening {
    fn begin(options: Options, parts: Parts) -> Result<Self, OpenError> {
        let dir = options.data_dir.clone();
        let folder = Folder::open(&parts.disk, &dir, options.shards)?;
        let unusable = |path: PathBuf| {
            move |error: std::io::Error| OpenError::Folder { path, problem: error.to_string() }
        };
        let poison = Arc::new(Poison::default());
        let log_options = LogOptions {
            dir: dir.join("log"),
            file_bytes: options.log_file_bytes,
            purge_bytes: options.log_purge_bytes,
            clean: folder.clean,
        };
        parts.disk.create_dir(&log_options.dir).map_err(unusable(dir.join("log")))?;
        let log = Arc::new(Log::open(log_options, &parts.disk, &poison)?);
        let snapshots = Snapshots::open(&parts.disk, dir.join("snapshots"));
        let snapshots = Arc::new(snapshots.map_err(unusable(dir.join("snapshots")))?);
        parts.disk.sync_dir(&dir).map_err(unusable(dir.clone()))?;
        let state = dir.join("state");
        let store = Store::open(&state, options.cache_bytes).map_err(unusable(state.clone()))?;
        Ok(Self { options, parts, folder, log, store: Arc::new(store), snapshots, poison })
    }

    fn core(&self, id: ShardId) -> Result<Arc<Core>, OpenError> {
        let log_damaged = |fault: Fault| OpenError::LogDamaged {
            file: self.log.damaged_file(),
            problem: fault.to_string(),
        };
        Ok(Arc::new(Core {
            shard: id,
            store: self.store.clone(),
            snapshots: self.snapshots.clone(),
            log: ShardLog::open(&self.log, id).map_err(log_damaged)?,
            poison: self.poison.clone(),
            logic: self.parts.logic.clone(),
            tree: RwLock::default(),
            observer: RwLock::default(),
            stopped: Mutex::default(),
            snapshotting: Mutex::default(),
            closing: AtomicBool::default(),
            snapshot_bytes: AtomicU64::default(),
            snapshot_pending: AtomicBool::default(),
        }))
    }

    fn end(self, shards: Vec<Arc<Shard>>, runtime: Runtime, founded: bool) -> Shards {
        for shard in &shards {
            watch_growth(shard, self.options.snapshot_log_bytes);
        }
        watch_hold_ups(&shards, &self.log, self.options.snapshot_log_bytes);
        Shards {
            shards,
            log: self.log,
            store: self.store,
            poison: self.poison,
            folder: Mutex::new(Some(self.folder)),
            runtime: Mutex::new(Some(runtime)),
            founded,
        }
    }
}

async fn start_shard(
    opening: Arc<Opening>,
    id: ShardId,
    start: Start,
) -> Result<(Arc<Shard>, bool), OpenError> {
    let core = opening.core(id)?;
    let state_failed = |fault: Fault| OpenError::Folder {
        path: opening.options.data_dir.join("state"),
        problem: fault.to_string(),
    };
    restore::open_tree(&core, opening.folder.clean).map_err(state_failed)?;
    let (confirmations, waiting) = mpsc::channel(supervise::WAITING_READS);
    let shard = Arc::new(Shard {
        core,
        running: RwLock::default(),
        phase: Mutex::new(Phase::Starting),
        leadership: watch::Sender::new(Leadership::default()),
        confirmations,
        snapshot_wanted: Arc::new(Notify::new()),
        stop: Notify::new(),
    });
    let founded = start.raft(&shard).await?;
    let runtime = tokio::runtime::Handle::current();
    runtime.spawn(supervise::supervise(shard.clone(), start));
    runtime.spawn(supervise::confirm_reads(shard.clone(), waiting));
    Ok((shard, founded))
}

/// Wants a snapshot once the log has outgrown the last one, so that no more is written for
/// snapshots than for the log.
fn watch_growth(shard: &Arc<Shard>, least: u64) {
    let (core, wanted) = (Arc::downgrade(&shard.core), shard.snapshot_wanted.clone());
    shard.core.log.on_growth(move |grown| {
        if core.upgrade().is_some_and(|core| core.wants_snapshot(grown, least)) {
            wanted.notify_one();
        }
    });
}

/// Wants snapshots of the shards whose old entries keep files of the log from being freed, where
/// that is cheap; a large shard comes to its snapshot by its own growth.
fn watch_hold_ups(shards: &[Arc<Shard>], log: &Log, cheap: u64) {
    let shards: Vec<_> = shards.iter().map(Arc::downgrade).collect();
    log.on_hold_up(move |id| {
        let shard = shards.get(usize::from(id.0)).and_then(std::sync::Weak::upgrade);
        if let Some(shard) = shard.filter(|shard| shard.core.snapshot_bytes() <= cheap) {
            shard.snapshot_wanted.notify_one();
        }
    });
}

/// Ends a shard: no further leadership, Raft stopped, tree let go.
async fn stop(shard: &Arc<Shard>) {
    shard.begin_close();
    let running = shard.running.write().take();
    // A poisoned log refuses, and then there is nothing worth keeping.
    drop(shard.core.log.flush_committed().await);
    if let Some(running) = running {
        drop(running.raft.shutdown().await);
    }
    let core = shard.core.clone();
    // A snapshot under way has heard that it may end.
    let waited = tokio::task::spawn_blocking(move || drop(core.snapshotting.lock())).await;
    drop(waited);
    let tree = shard.core.tree.write().take();
    if let Some(tree) = tree {
        tree.retire("the shard is closed");
    }
}
