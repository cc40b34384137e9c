//! Brings a shard's tree to where Raft can take over: to the snapshot if the tree is older, or to
//! nothing if the log still has everything. Settles before Raft starts what only a backup can
//! mend, so that it becomes a clear error.

use std::fmt::Display;
use std::ops::ControlFlow;

use super::error::OpenError;
use super::raft::LogId;
use super::raft::machine::Core;
use super::snapshot::SnapshotFile;
use super::tree::Haste;
use crate::fault::Fault;

/// Entries read at once.
const CHUNK: u64 = 256;
/// How often a tree gives way to a fresh one before the shard is given up.
const TRIES: u32 = 3;

/// Opens the newest tree of the shard; one that does not check gives way to a fresh one.
pub fn open_tree(core: &Core, verified: bool) -> Result<(), Fault> {
    let tree = core.store.tree(core.shard).or_else(|fault| {
        tracing::error!(%fault, "state damaged, it will be rebuilt");
        core.fresh_tree()
    })?;
    let sound = verified || tree.is_fresh() || tree.audit(|| ControlFlow::Continue(())).is_ok();
    core.exchange(match sound {
        true => tree,
        false => {
            core.store.drop_tree(&tree);
            core.fresh_tree()?
        }
    });
    Ok(())
}

/// What has been tried to get a shard to start.
#[derive(Default)]
pub struct Tries(u32);

impl Tries {
    /// A fresh tree, from the second time on in a fresh database, unless there were enough.
    pub fn renew(&mut self, core: &Core, fault: &Fault) -> Result<(), OpenError> {
        if self.0 == TRIES {
            return Err(failed(core, fault));
        }
        tracing::error!(shard = core.shard.0, %fault, "state fails, it will be rebuilt");
        if self.0 > 0 {
            core.store.replace().map_err(|fault| failed(core, &fault))?;
        }
        self.0 += 1;
        core.exchange(core.fresh_tree().map_err(|fault| failed(core, &fault))?);
        Ok(())
    }
}

/// The shard does not start.
pub fn failed(core: &Core, problem: &dyn Display) -> OpenError {
    OpenError::Raft { shard: core.shard.0, problem: problem.to_string() }
}

/// Restores the shard, on a fresh tree if the present one fails.
pub fn prepare(core: &Core, tries: &mut Tries) -> Result<(), OpenError> {
    loop {
        match restore(core) {
            Ok(()) => return Ok(()),
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::State(fault)) => tries.renew(core, &fault)?,
        }
    }
}

/// Why a shard does not start.
pub enum Trouble {
    /// Its tree failed; another one may do.
    State(Fault),
    /// Nothing here can mend it.
    Final(OpenError),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::State(fault)
    }
}

/// Takes the snapshot if it is needed, and checks that the log has all the rest.
fn restore(core: &Core) -> Result<(), Trouble> {
    let file = core.snapshots.path(core.shard);
    let lost = |problem: String| Trouble::Final(OpenError::SnapshotDamaged { file, problem });
    let applied = core.tree()?.meta().last_applied;
    let needed = applied < core.log.purged();
    let unusable = match newer_snapshot(core, applied) {
        Ok(Some(snapshot)) => load(core, &snapshot)?,
        Ok(None) if needed => return Err(lost("it is missing, or too old".into())),
        Ok(None) => None,
        Err(fault) => Some(fault),
    };
    match unusable {
        Some(fault) if needed => return Err(lost(fault.to_string())),
        Some(fault) => discard(core, &fault)?,
        None => {}
    }
    check_log(core)
}

/// Puts what the snapshot holds in place of the tree, or tells what is wrong with the snapshot.
fn load(core: &Core, snapshot: &SnapshotFile) -> Result<Option<Fault>, Fault> {
    match core.loaded_tree(snapshot, Haste::AllCores) {
        Ok(tree) => {
            core.exchange(tree);
            Ok(None)
        }
        // Which of the two is to blame shows when the snapshot is read alone.
        Err(fault) => match snapshot.verify(core.shard, || ControlFlow::Continue(())) {
            Ok(()) => Err(fault),
            Err(fault) => Ok(Some(fault)),
        },
    }
}

/// The snapshot, if it is newer than what was applied.
fn newer_snapshot(core: &Core, applied: Option<LogId>) -> Result<Option<SnapshotFile>, Fault> {
    let Some(snapshot) = core.snapshots.current(core.shard)? else { return Ok(None) };
    let newer = snapshot.meta(core.shard)?.last_log_id > applied;
    Ok(newer.then_some(snapshot))
}

/// A damaged snapshot that is not needed: tree and log have all that was in it.
pub fn discard(core: &Core, fault: &Fault) -> Result<(), Fault> {
    tracing::error!(shard = core.shard.0, %fault, "a snapshot is damaged, it will be made anew");
    metrics::counter!("janua_storage_damage_total").increment(1);
    Ok(core.snapshots.remove(core.shard)?)
}

fn check_log(core: &Core) -> Result<(), Trouble> {
    let damaged = |problem: String| {
        Trouble::Final(OpenError::LogDamaged { file: core.log.damaged_file(), problem })
    };
    let applied = core.tree()?.meta().last_applied;
    let last = core.log.last();
    let snapshot = core.snapshots.current(core.shard).ok().flatten();
    let covered = snapshot.and_then(|snapshot| snapshot.meta(core.shard).ok()?.last_log_id);
    let is_alone = core.tree()?.is_of_one_voter(core.node);
    // A node without a log that installs a snapshot gives it its name a moment before it notes in the
    // log that this begins behind it. It has accepted the leader's vote, durably, before both.
    let installs = |covered: LogId| !is_alone && core.log.voted_term() >= covered.leader_id.term;
    if last.is_none() && covered.is_some_and(|covered| !installs(covered)) {
        return Err(damaged("it is gone".into()));
    }
    if applied < core.log.purged() {
        return Err(damaged("it was purged beyond the snapshot".into()));
    }
    // A lone voter applies what it has synced to its log; where there are others, what they have
    // synced is enough, and a tree that is ahead of the own log is filled again from theirs.
    if applied > last.max(covered) && !is_alone {
        return Err(Fault::Damaged("the state is ahead of the log".into()).into());
    }
    if applied > last.max(covered) {
        return Err(damaged("it ends before what was already applied".into()));
    }
    // Invariant: whoever appends an entry has voted in its term, durably, before.
    if core.log.voted_term() < last.map_or(0, |last| last.leader_id.term) {
        return Err(damaged("its vote is older than its entries".into()));
    }
    let mut next = applied.map_or(0, |id| id.index + 1);
    while last.is_some_and(|last| next <= last.index) {
        core.log.entries(next, next + CHUNK).map_err(|fault| damaged(fault.to_string()))?;
        next += CHUNK;
    }
    Ok(())
}
