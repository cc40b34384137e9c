//! openraft's own suite, over our log and state machine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use parking_lot::{Mutex, RwLock};

use super::*;
use crate::engine::log::store::ShardLog;
use crate::engine::log::{Log, LogOptions};
use crate::engine::poison::Poison;
use crate::engine::raft::Types;
use crate::engine::raft::machine::{Core, Machine};
use crate::engine::snapshot::Snapshots;
use crate::engine::tree::store::Store;
use crate::ids::ShardId;

/// A store for each test of the suite, in a folder of its own on one disk.
struct Builder {
    dir: tempfile::TempDir,
    disk: MemoryDisk,
    built: AtomicU64,
}

impl StoreBuilder<Types, ShardLog, Machine, ()> for Builder {
    async fn build(&self) -> Result<((), ShardLog, Machine), StorageError<Types>> {
        let number = self.built.fetch_add(1, Ordering::SeqCst);
        let dir = self.dir.path().join(number.to_string());
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let poison = Arc::new(Poison::default());
        fs::create_dir_all(dir.join("log")).expect("a folder");
        let options = LogOptions {
            dir: dir.join("log"),
            file_bytes: 64 * 1024,
            purge_bytes: 128 * 1024,
            clean: false,
        };
        let log = Arc::new(Log::open(options, &disk, &poison).expect("a log"));
        let store = Store::open(&dir.join("state"), 1024 * 1024).expect("a state");
        let core = Core {
            shard: ShardId(0),
            store: Arc::new(store),
            snapshots: Arc::new(Snapshots::open(&disk, dir.join("snapshots")).expect("a folder")),
            log: ShardLog::open(&log, ShardId(0)).expect("a shard"),
            poison,
            logic: Arc::new(Pairs),
            tree: RwLock::default(),
            observer: RwLock::default(),
            stopped: Mutex::default(),
            snapshotting: Mutex::default(),
            closing: AtomicBool::default(),
            snapshot_bytes: AtomicU64::default(),
            snapshot_pending: AtomicBool::default(),
        };
        core.exchange(core.fresh_tree().expect("a tree"));
        Ok(((), core.log.clone(), Machine(Arc::new(core))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_state_machine_conform() {
    let dir = tempfile::tempdir().expect("a folder");
    let builder = Builder { dir, disk: MemoryDisk::default(), built: AtomicU64::new(0) };
    Suite::test_all(builder).await.expect("conformance");
}
