//! Brings a shard's tree to where Raft can take over: to the snapshot if the tree is older, or to
//! nothing if the log still has everything. Settles before Raft starts what only a backup can
//! mend, so that it becomes a clear error.

use super::error::OpenError;
use super::raft::LogId;
use super::raft::machine::Core;
use super::snapshot::SnapshotFile;
use crate::fault::Fault;

/// Entries read at once.
const CHUNK: u64 = 256;

/// Opens the newest tree of the shard; one that does not check gives way to a fresh one.
pub fn open_tree(core: &Core, verified: bool) -> Result<(), Fault> {
    let tree = core.store.tree(core.shard).or_else(|fault| {
        tracing::error!(%fault, "state damaged, it will be rebuilt");
        core.fresh_tree()
    })?;
    let sound = verified || tree.is_fresh() || tree.verify().is_ok();
    core.exchange(match sound {
        true => tree,
        false => {
            core.store.drop_tree(&tree);
            core.fresh_tree()?
        }
    });
    Ok(())
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
pub fn restore(core: &Core) -> Result<(), Trouble> {
    let file = core.snapshots.path(core.shard);
    let lost = |problem: String| Trouble::Final(OpenError::SnapshotDamaged { file, problem });
    let applied = core.tree()?.meta().last_applied;
    let needed = applied < core.log.purged();
    match newer_snapshot(core, applied) {
        Ok(Some(snapshot)) => core.exchange(core.loaded_tree(&snapshot)?),
        Ok(None) if needed => return Err(lost("it is missing, or too old".into())),
        Ok(None) => {}
        Err(fault) if needed => return Err(lost(fault.to_string())),
        Err(fault) => discard(core, &fault)?,
    }
    check_log(core)
}

/// The snapshot, if it is newer than what was applied; then every byte of it has been checked.
fn newer_snapshot(core: &Core, applied: Option<LogId>) -> Result<Option<SnapshotFile>, Fault> {
    let Some(snapshot) = core.snapshots.current(core.shard)? else { return Ok(None) };
    if snapshot.meta(core.shard)?.last_log_id <= applied {
        return Ok(None);
    }
    snapshot.verify(core.shard)?;
    Ok(Some(snapshot))
}

/// A damaged snapshot that is not needed: tree and log have all that was in it.
fn discard(core: &Core, fault: &Fault) -> Result<(), Fault> {
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
    if last.is_none() && covered.is_some() {
        return Err(damaged("it is gone".into()));
    }
    if applied < core.log.purged() {
        return Err(damaged("it was purged beyond the snapshot".into()));
    }
    // Invariant: what was applied had been synced to the log before.
    if applied > last.max(covered) {
        return Err(damaged("it ends before what was already applied".into()));
    }
    let mut next = applied.map_or(0, |id| id.index + 1);
    while last.is_some_and(|last| next <= last.index) {
        core.log.entries(next, next + CHUNK).map_err(|fault| damaged(fault.to_string()))?;
        next += CHUNK;
    }
    Ok(())
}
