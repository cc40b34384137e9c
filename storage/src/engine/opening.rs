//! How a node's shards are opened: the folder, the log, the state, and then each shard by itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use futures::future::join_all;
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::error::OpenError;
use super::folder::{Claim, Folder};
use super::let_go::LetGo;
use super::link::{Identity, IdentityError, Link};
use super::log::store::ShardLog;
use super::log::{Log, LogOptions};
use super::poison::Poison;
use super::pulse::Pulse;
use super::raft::machine::Core;
use super::restore::{self, Tries};
use super::shard::{Confirmation, Leadership, Phase, Shard};
use super::shards::Shards;
use super::snapshot::Snapshots;
use super::supervise::{self, Start};
use super::threads::Threads;
use super::tree::store::Store;
use super::{Door, Options, Parts};
use crate::fault::Fault;
use crate::ids::ShardId;
use crate::version::Speech;

/// A data folder that is being opened, and what its shards will share.
pub struct Opening {
    pub options: Options,
    pub parts: Parts,
    pub folder: Folder,
    pub log: Arc<Log>,
    pub store: Arc<Store>,
    pub snapshots: Arc<Snapshots>,
    pub poison: Arc<Poison>,
    pub changed: Arc<Notify>,
    pub speech: Arc<Speech>,
}

impl Opening {
    /// Takes the folder and opens what lies in it; blocks.
    pub fn begin(options: Options, mut parts: Parts) -> Result<Self, OpenError> {
        let dir = options.data_dir.clone();
        let claim = match parts.claim.take() {
            Some(claim) => claim,
            None => Claim::take(&*parts.disk, &dir)?,
        };
        let folder = claim.open(&parts.disk, options.shards)?;
        let unusable = |path: PathBuf| {
            move |error: std::io::Error| OpenError::Folder { path, problem: error.to_string() }
        };
        let poison = Arc::new(Poison::default());
        let log_options = LogOptions {
            dir: dir.join("log"),
            file_bytes: options.log_file_bytes,
            purge_bytes: options.log_purge_bytes,
            clean: folder.clean_log,
        };
        parts.disk.create_dir(&log_options.dir).map_err(unusable(dir.join("log")))?;
        let log = Arc::new(Log::open(log_options, &parts.disk, &poison)?);
        let snapshots = Snapshots::open(&parts.disk, dir.join("snapshots"));
        let snapshots = Arc::new(snapshots.map_err(unusable(dir.join("snapshots")))?);
        parts.disk.sync_dir(&dir).map_err(unusable(dir.clone()))?;
        folder.begin_state().map_err(unusable(dir.clone()))?;
        let state = dir.join("state");
        let store = Store::open(&state, options.cache_bytes).map_err(unusable(state.clone()))?;
        let (store, changed) = (Arc::new(store), Arc::new(Notify::new()));
        let speech = Arc::new(Speech::up_to(options.speaks));
        speech.learn(options.agreed);
        Ok(Self { options, parts, folder, log, store, snapshots, poison, changed, speech })
    }

    fn core(&self, id: ShardId) -> Result<Arc<Core>, OpenError> {
        let log_damaged = |fault: Fault| OpenError::LogDamaged {
            file: self.log.damaged_file(),
            problem: fault.to_string(),
        };
        Ok(Arc::new(Core {
            node: self.options.node,
            shard: id,
            store: self.store.clone(),
            snapshots: self.snapshots.clone(),
            log: ShardLog::open(&self.log, id).map_err(log_damaged)?,
            poison: self.poison.clone(),
            logic: self.parts.logic.clone(),
            tree: RwLock::default(),
            observers: RwLock::default(),
            stopped: Mutex::default(),
            snapshotting: Mutex::default(),
            closing: AtomicBool::default(),
            snapshot_bytes: AtomicU64::default(),
            snapshot_pending: AtomicBool::default(),
        }))
    }

    /// The links to other nodes.
    pub fn link(&self, door: &Door, runtime: &Handle) -> Result<Arc<Link>, OpenError> {
        let node = self.options.node;
        let unmade = |error: IdentityError| OpenError::Folder {
            path: self.options.data_dir.clone(),
            problem: error.to_string(),
        };
        let identity = Identity::new(&door.secrets, node, door.now).map_err(unmade)?;
        let (address, handle) = (door.address.clone(), runtime.clone());
        let (changed, speech) = (self.changed.clone(), self.speech.clone());
        Ok(Link::new(node, address, identity, handle, changed, speech))
    }

    /// The node, with its shards as far as they got.
    pub fn end(self, shards: Vec<Arc<Shard>>, link: Option<Arc<Link>>, threads: Threads) -> Shards {
        for shard in &shards {
            watch_growth(shard, self.options.snapshot_log_bytes);
        }
        watch_hold_ups(&shards, &self.log, self.options.snapshot_log_bytes);
        Shards {
            node: self.options.node,
            founds: self.options.founds,
            shards,
            log: self.log,
            store: self.store,
            poison: self.poison,
            speech: self.speech,
            folder: Mutex::new(Some(self.folder)),
            link,
            unmet: Mutex::default(),
            pace: Mutex::default(),
            runtime: Mutex::new(Some(threads)),
        }
    }
}

/// A shard that is restored and can start.
pub struct Prepared {
    /// The shard.
    pub shard: Arc<Shard>,
    waiting: mpsc::Receiver<Confirmation>,
    asked: mpsc::Receiver<LetGo>,
    tries: Tries,
}

/// What the tasks came to, and the first problem if there was one.
pub async fn gather<T>(
    tasks: Vec<JoinHandle<Result<T, OpenError>>>,
    failed: &impl Fn(String) -> OpenError,
) -> (Vec<T>, Option<OpenError>) {
    let mut problem = None;
    let mut done = Vec::new();
    for task in join_all(tasks).await {
        match task.map_err(|error| failed(error.to_string())).flatten() {
            Ok(result) => done.push(result),
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    (done, problem)
}

/// Restores a shard, without a write to its log.
pub async fn prepare_shard(opening: Arc<Opening>, id: ShardId) -> Result<Prepared, OpenError> {
    let core = opening.core(id)?;
    let state_failed = |fault: Fault| OpenError::Folder {
        path: opening.options.data_dir.join("state"),
        problem: fault.to_string(),
    };
    restore::open_tree(&core, opening.folder.clean_state).map_err(state_failed)?;
    if core.log.is_forgotten() {
        core.snapshots.forget(id).map_err(|error| state_failed(error.into()))?;
    }
    let (letting_go, asked) = mpsc::channel(1);
    let (confirmations, waiting) = mpsc::channel(supervise::WAITING_READS);
    let shard = Arc::new(Shard {
        core,
        running: RwLock::default(),
        phase: Mutex::new(Phase::Starting),
        leadership: watch::Sender::new(Leadership::default()),
        confirmations,
        snapshot_wanted: Arc::new(Notify::new()),
        stop: Notify::new(),
        pulse: Pulse::default(),
        changed: opening.changed.clone(),
        handed_over: AtomicU64::default(),
        placed_here: AtomicBool::new(true),
        claimed_ms: AtomicU64::default(),
        letting_go,
        speech: opening.speech.clone(),
    });
    let mut tries = Tries::default();
    restore::prepare(&shard.core, &mut tries)?;
    Ok(Prepared { shard, waiting, asked, tries })
}

/// Starts a shard, and the tasks that look after it.
pub async fn start_shard(prepared: Prepared, start: Start) -> Result<(), OpenError> {
    let Prepared { shard, waiting, asked, tries } = prepared;
    let forgotten = shard.core.log.has_forgotten().await;
    forgotten.map_err(|error| restore::failed(&shard.core, &error))?;
    start.raft(&shard, tries).await?;
    let runtime = tokio::runtime::Handle::current();
    runtime.spawn(supervise::supervise(shard.clone(), start, asked));
    runtime.spawn(supervise::confirm_reads(shard, waiting));
    Ok(())
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
