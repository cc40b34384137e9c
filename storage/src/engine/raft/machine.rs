//! The state machine as openraft sees it: runs of entries go through the logic into one batch of
//! the tree; snapshots are files.
//!
//! Invariant: the batch is in place before the observers hear of its effects, and they have heard of
//! them before any caller gets a reply.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use openraft::alias::SnapshotOf;
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use parking_lot::{Mutex, RwLock};

use super::{Entry, LogId, Membership, Proposed, SnapshotMeta, Types};
use crate::command::Outcome;
use crate::effect::Effect;
use crate::engine::backup::proposed;
use crate::engine::link::Link;
use crate::engine::log::store::ShardLog;
use crate::engine::log::writer::panic_text;
use crate::engine::poison::Poison;
use crate::engine::snapshot::{SnapshotFile, Snapshots};
use crate::engine::tree::store::Store;
use crate::engine::tree::{Haste, Tree};
use crate::engine::{Logic, Observer, blocking};
use crate::fault::Fault;
use crate::ids::ShardId;
use crate::transaction::Transaction;

/// Entries that go into one batch at most.
const RUN: usize = 512;
/// How old entries are that a node without them has missed.
const MISSED: Duration = Duration::from_secs(10);

/// What the state machine of a shard works on; it outlives the Raft instance.
pub struct Core {
    /// Raft's id of this node.
    pub node: u64,
    /// Which shard.
    pub shard: ShardId,
    /// The node's database.
    pub store: Arc<Store>,
    /// The node's snapshots.
    pub snapshots: Arc<Snapshots>,
    /// The shard's log.
    pub log: ShardLog,
    /// Whether the node has stopped for good.
    pub poison: Arc<Poison>,
    /// What entries do.
    pub logic: Arc<dyn Logic>,
    /// The shard's present tree; `None` once it is closed.
    pub tree: RwLock<Option<Arc<Tree>>>,
    /// Who hears of effects.
    pub observers: RwLock<Vec<Observer>>,
    /// Why the shard has stopped, if a fault in applying has stopped it.
    pub stopped: Mutex<Option<String>>,
    /// One snapshot is written at a time.
    pub snapshotting: Mutex<()>,
    /// The shard is closing: snapshots under way may end early.
    pub closing: AtomicBool,
    /// Bytes of the last snapshot.
    pub snapshot_bytes: AtomicU64,
    /// A snapshot was asked for and is not there yet.
    pub snapshot_pending: AtomicBool,
}

impl Core {
    /// The present tree.
    pub fn tree(&self) -> Result<Arc<Tree>, Fault> {
        self.tree.read().clone().ok_or_else(|| Fault::Io("the shard is closed".into()))
    }

    /// Puts another tree in the place of the present one, which is dropped.
    pub fn exchange(&self, tree: Arc<Tree>) {
        let old = self.tree.write().replace(tree);
        if let Some(old) = old {
            self.store.drop_tree(&old);
        }
    }

    /// Whether a tree is the present one.
    fn is_present(&self, tree: &Tree) -> bool {
        self.tree.read().as_ref().is_some_and(|present| std::ptr::eq(&**present, tree))
    }

    /// The same, if the present tree is still this one, which is left to the caller to drop.
    fn exchange_from(&self, own: &Arc<Tree>, tree: &Arc<Tree>) -> Result<(), Fault> {
        let mut present = self.tree.write();
        if present.as_ref().is_some_and(|present| Arc::ptr_eq(present, own)) {
            *present = Some(tree.clone());
            return Ok(());
        }
        drop(present);
        self.store.drop_tree(tree);
        Err(Fault::Damaged("another tree is in place already".into()))
    }

    /// A fresh tree; if the database gives none, a fresh database.
    pub fn fresh_tree(&self) -> Result<Arc<Tree>, Fault> {
        self.store.fresh(self.shard).or_else(|fault| {
            tracing::error!(%fault, "the whole state is given up, it will be rebuilt");
            self.store.replace()?;
            self.store.fresh(self.shard)
        })
    }

    /// Bytes of the last snapshot.
    pub fn snapshot_bytes(&self) -> u64 {
        self.snapshot_bytes.load(Ordering::Relaxed)
    }

    /// Whether a log grown by so many bytes since the last snapshot wants the next one; says so
    /// once for each.
    pub fn wants_snapshot(&self, grown: u64, least: u64) -> bool {
        grown >= least.max(self.snapshot_bytes())
            && !self.snapshot_pending.swap(true, Ordering::SeqCst)
    }

    /// Writes a snapshot of a tree, while entries are being applied to it.
    pub fn take_snapshot(&self, tree: &Tree) -> Result<(SnapshotMeta, SnapshotFile), Fault> {
        let _one_at_a_time = self.snapshotting.lock();
        let grown = self.log.grown();
        let (purged, wanted) = (self.log.purged(), || self.is_present(tree));
        let taken = self.snapshots.take(self.shard, tree, purged, &self.closing, wanted);
        match &taken {
            Ok((_, snapshot)) => {
                self.snapshot_bytes.store(snapshot.bytes(), Ordering::Relaxed);
                self.log.snapshot_taken(grown);
                metrics::counter!("janua_storage_snapshots_total").increment(1);
            }
            // A disk that fails here fails the log as well; what a failed sync covered is unknown.
            Err(Fault::Io(reason)) if !self.closing.load(Ordering::SeqCst) => {
                self.poison.set(&format!("a snapshot cannot be written: {reason}"));
            }
            Err(_) => {}
        }
        self.snapshot_pending.store(false, Ordering::SeqCst);
        taken
    }

    /// A fresh tree with what a snapshot holds.
    pub fn loaded_tree(&self, snapshot: &SnapshotFile, haste: Haste) -> Result<Arc<Tree>, Fault> {
        let tree = self.fresh_tree()?;
        match snapshot.load(self.shard, &tree, haste) {
            Ok(()) => Ok(tree),
            Err(fault) => {
                self.store.drop_tree(&tree);
                Err(fault)
            }
        }
    }

    fn apply_run(&self, tree: &Tree, run: Vec<EntryResponder<Types>>) -> Result<(), Fault> {
        let mut replies = Vec::with_capacity(run.len());
        let mut transaction = Transaction::new(tree);
        let mut last = None;
        let mut membership = None;
        for ((entry, responder), index) in run.into_iter().zip(tree.next_index()..) {
            if entry.log_id.index() != index {
                return Err(Fault::Damaged("an entry out of its place".into()));
            }
            last = Some(entry.log_id);
            let outcome = self.apply_entry(&mut transaction, entry, &mut membership)?;
            replies.push((responder, outcome));
        }
        let changes = transaction.finish();
        tree.commit(&changes.writes, last, membership)?;
        self.report(&changes.effects);
        answer(replies);
        Ok(())
    }

    fn apply_entry(
        &self,
        transaction: &mut Transaction<'_>,
        entry: Entry,
        membership: &mut Option<Membership>,
    ) -> Result<Option<Outcome>, Fault> {
        match entry.payload {
            EntryPayload::Blank => Ok(None),
            EntryPayload::Normal(Proposed(proposal)) => {
                self.logic.apply(transaction, proposal).map(Some)
            }
            EntryPayload::Membership(members) => {
                *membership = Some(Membership::new(Some(entry.log_id), members));
                Ok(None)
            }
        }
    }

    fn report(&self, effects: &[Effect]) {
        if !effects.is_empty() {
            self.observers.read().iter().for_each(|observer| observer(effects));
        }
    }

    /// Notes why no further entry can be applied. Damage of the tree is not a reason: it heals.
    fn stop(&self, tree: &Tree, fault: &Fault) {
        if let Fault::Io(_) = fault {
            self.poison.set(&format!("the state cannot be written: {fault}"));
        }
        if tree.damage().is_none() {
            let reason = format!("shard {} has stopped: {fault}", self.shard);
            tracing::error!(shard = self.shard.0, %fault, "an entry cannot be applied");
            metrics::counter!("janua_storage_stopped_total").increment(1);
            *self.stopped.lock() = Some(reason);
        }
    }
}

fn answer(replies: Vec<(Option<ApplyResponder<Types>>, Option<Outcome>)>) {
    for (responder, outcome) in replies {
        if let Some(responder) = responder {
            responder.send(outcome);
        }
    }
}

/// The state machine of a shard, as one Raft instance has it. Clones share it.
///
/// Invariant: it works on the tree that its instance was started on, or has filled from a snapshot
/// since, and on no other. openraft's shutdown waits neither for entries that are queued to be
/// applied nor for snapshots under way: they come to nothing once another tree is in place, and no
/// snapshot takes its name any more.
#[derive(Clone)]
pub struct Machine {
    core: Arc<Core>,
    tree: Arc<RwLock<Arc<Tree>>>,
    link: Option<Arc<Link>>,
}

impl Machine {
    /// On the present tree of the shard, in a node with such links.
    pub fn new(core: Arc<Core>, link: Option<Arc<Link>>) -> Result<Self, Fault> {
        let tree = Arc::new(RwLock::new(core.tree()?));
        Ok(Self { core, tree, link })
    }

    fn tree(&self) -> Arc<Tree> {
        self.tree.read().clone()
    }

    /// Applies a run of entries. A node that has been away, or is new, may miss so many that those
    /// who are answered meanwhile would wait for it: such a run gives way to them.
    ///
    /// Decision: by age, not by number. A node that is merely busy has long runs as well, and one that
    /// gave way with them would fall back further.
    async fn apply_in_turn(&self, run: Vec<EntryResponder<Types>>) -> io::Result<()> {
        if self.was_missed(&run) {
            let own = self.clone();
            return blocking::run(move || own.apply_guarded(run)).await?;
        }
        self.apply_guarded(run)
    }

    /// Whether nobody waits for a run, and all of it is old. Where this node is alone, everybody waits
    /// until it has rebuilt the shard.
    pub fn was_missed(&self, run: &[EntryResponder<Types>]) -> bool {
        let Some(now) = self.link.as_ref().and_then(|link| link.now()) else { return false };
        let proposed = run.iter().rev().find_map(|(entry, _)| proposed(entry));
        proposed.is_some_and(|proposed| now.since(proposed) > MISSED)
            && run.iter().all(|(_, responder)| responder.is_none())
            && !self.tree().is_of_one_voter(self.core.node)
    }

    fn apply_guarded(&self, run: Vec<EntryResponder<Types>>) -> io::Result<()> {
        let tree = self.tree();
        let applied = catch_unwind(AssertUnwindSafe(|| self.core.apply_run(&tree, run)));
        let fault = match applied {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(fault)) => fault,
            Err(panic) => Fault::Damaged(format!("a panic: {}", panic_text(&*panic))),
        };
        self.core.stop(&tree, &fault);
        Err(io::Error::other(fault))
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), io::Error> {
        let meta = self.tree().meta();
        Ok((meta.last_applied, meta.membership))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut run = Vec::new();
        while let Some(entry) = entries.next().await {
            run.push(entry?);
            if run.len() == RUN {
                self.apply_in_turn(std::mem::take(&mut run)).await?;
            }
        }
        match run.is_empty() {
            true => Ok(()),
            false => self.apply_in_turn(run).await,
        }
    }

    /// Of nothing there is no snapshot, and its failure would end the instance.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Machine> {
        if force || !self.tree().is_fresh() {
            return Some(self.clone());
        }
        self.core.snapshot_pending.store(false, Ordering::SeqCst);
        None
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    /// Nothing of this shard can go on before the tree is filled, and all others can. The snapshot
    /// takes its place first, since the log need not have what is in the tree then.
    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let (core, own) = (&self.core, self.tree());
        let (filling, source) = (core.clone(), snapshot.clone());
        let filled = blocking::run(move || filling.loaded_tree(&source, Haste::Beside)).await;
        let tree = filled?.map_err(io::Error::other)?;
        let adopted = core.snapshots.adopt(core.shard, &snapshot, || core.is_present(&own));
        if let Err(fault) = adopted {
            core.store.drop_tree(&tree);
            return Err(io::Error::other(fault));
        }
        core.exchange_from(&own, &tree).map_err(io::Error::other)?;
        *self.tree.write() = tree;
        core.store.drop_tree(&own);
        core.report(&[Effect::Everything]);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Types, SnapshotFile>>, io::Error> {
        let core = &self.core;
        let Some(snapshot) = core.snapshots.current(core.shard)? else { return Ok(None) };
        let meta = snapshot.meta(core.shard).map_err(io::Error::other)?;
        Ok(Some(SnapshotOf::<Types, SnapshotFile> { meta, snapshot }))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = SnapshotFile;

    /// A snapshot that was installed meanwhile has replaced the tree that was being written; it is
    /// as good, and a failure would end the instance.
    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, SnapshotFile>, io::Error> {
        let (core, tree) = (self.core.clone(), self.tree());
        let written = tree.clone();
        let taken = blocking::run(move || core.take_snapshot(&written)).await;
        let fault = match taken? {
            Ok((meta, snapshot)) => {
                return Ok(SnapshotOf::<Types, SnapshotFile> { meta, snapshot });
            }
            Err(fault) => fault,
        };
        // It is in place before the tree is exchanged; one of this tree's own is never beyond it.
        let current = self.get_current_snapshot().await?;
        let installed = current.filter(|found| found.meta.last_log_id > tree.meta().last_applied);
        installed.ok_or_else(|| io::Error::other(fault))
    }
}
