//! openraft's own suite, over our log and state machine.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::{Stream, StreamExt};
use openraft::alias::SnapshotOf;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{EntryPayload, OptionalSend, StorageError};
use parking_lot::{Mutex, RwLock};

use super::*;
use crate::engine::log::store::ShardLog;
use crate::engine::log::{Log, LogOptions};
use crate::engine::poison::Poison;
use crate::engine::raft::machine::{Core, Machine};
use crate::engine::raft::{Entry, LogId, Membership, SnapshotMeta, Types};
use crate::engine::snapshot::{SnapshotFile, Snapshots};
use crate::engine::tree::store::Store;
use crate::ids::ShardId;

/// A store for each test of the suite, in a folder of its own on one disk.
struct Builder {
    dir: tempfile::TempDir,
    disk: MemoryDisk,
    built: AtomicU64,
}

/// The suite leaves out entries, and purges some that were never applied; the machine does not
/// stand for that. So blank ones are put where they are missing.
struct Filled {
    core: Arc<Core>,
    machine: Machine,
}

impl Filled {
    /// Blank entries up to the one before `id`.
    fn blanks(&self, id: LogId) -> impl Iterator<Item = Entry> {
        let next = self.core.tree().expect("a tree").next_index();
        let blank = move |index| Entry {
            log_id: LogId::new(id.leader_id, index),
            payload: EntryPayload::Blank,
        };
        (next..id.index).map(blank)
    }

    async fn apply_one(&mut self, one: EntryResponder<Types>) -> Result<(), io::Error> {
        let blanks = self.blanks(one.0.log_id).map(|blank| Ok((blank, None)));
        let entries: Vec<_> = blanks.chain([Ok(one)]).collect();
        self.machine.apply(futures::stream::iter(entries)).await
    }
}

impl RaftStateMachine<Types> for Filled {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), io::Error> {
        self.machine.applied_state().await
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.next().await {
            self.apply_one(entry?).await?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        if let Some(purged) = self.core.log.purged() {
            let beyond = LogId::new(purged.leader_id, purged.index + 1);
            let blanks: Vec<_> = self.blanks(beyond).map(|blank| Ok((blank, None))).collect();
            self.machine.apply(futures::stream::iter(blanks)).await.expect("blank entries");
        }
        self.machine.get_snapshot_builder().await
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        self.machine.install_snapshot(meta, snapshot).await
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Types, SnapshotFile>>, io::Error> {
        self.machine.get_current_snapshot().await
    }
}

impl StoreBuilder<Types, ShardLog, Filled, ()> for Builder {
    async fn build(&self) -> Result<((), ShardLog, Filled), StorageError<Types>> {
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
            node: 1,
            shard: ShardId(0),
            store: Arc::new(store),
            snapshots: Arc::new(Snapshots::open(&disk, dir.join("snapshots")).expect("a folder")),
            log: ShardLog::open(&log, ShardId(0)).expect("a shard"),
            poison,
            logic: Arc::new(Pairs),
            tree: RwLock::default(),
            observers: RwLock::default(),
            stopped: Mutex::default(),
            snapshotting: Mutex::default(),
            closing: AtomicBool::default(),
            snapshot_bytes: AtomicU64::default(),
            snapshot_pending: AtomicBool::default(),
        };
        core.exchange(core.fresh_tree().expect("a tree"));
        let core = Arc::new(core);
        let machine = Machine::new(core.clone(), None).expect("a tree");
        Ok(((), core.log.clone(), Filled { core, machine }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_and_state_machine_conform() {
    let dir = tempfile::tempdir().expect("a folder");
    let builder = Builder { dir, disk: MemoryDisk::default(), built: AtomicU64::new(0) };
    Suite::test_all(builder).await.expect("conformance");
}
