//! Brings a shard's tree to where Raft can take over: to the snapshot if the tree is older, or to
//! nothing if the log still has everything. Settles before Raft starts what only a backup can
//! mend, so that it becomes a clear error.

use super::error::OpenError;
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

/// Takes the snapshot if it is needed, and checks that the log has all the rest.
pub fn restore(core: &Core, log_dir: &std::path::Path) -> Result<(), OpenError> {
    let path = core.snapshots.path(core.shard);
    let snapshot_damaged =
        |problem: String| OpenError::SnapshotDamaged { file: path.clone(), problem };
    let folder = |fault: Fault| OpenError::Folder {
        path: log_dir.to_path_buf(),
        problem: fault.to_string(),
    };
    let applied = core.tree().map_err(folder)?.meta().last_applied;
    let needed = applied < core.log.purged();
    match core.snapshots.current(core.shard) {
        Ok(Some(snapshot)) => match take(core, &snapshot, applied) {
            Ok(()) => {}
            Err(fault) if needed => return Err(snapshot_damaged(fault.to_string())),
            Err(fault) => discard(core, &fault).map_err(folder)?,
        },
        Ok(None) if needed => return Err(snapshot_damaged("it is missing".into())),
        Ok(None) => {}
        Err(error) => return Err(snapshot_damaged(error.to_string())),
    }
    check_log(core, log_dir)
}

fn take(
    core: &Core,
    snapshot: &SnapshotFile,
    applied: Option<super::raft::LogId>,
) -> Result<(), Fault> {
    if snapshot.meta(core.shard)?.last_log_id > applied {
        core.load_snapshot(snapshot)?;
    }
    Ok(())
}

/// A damaged snapshot that is not needed: tree and log have all that was in it.
fn discard(core: &Core, fault: &Fault) -> Result<(), Fault> {
    tracing::error!(shard = core.shard.0, %fault, "a snapshot is damaged, it will be made anew");
    metrics::counter!("janua_storage_damage_total").increment(1);
    Ok(core.snapshots.remove(core.shard)?)
}

fn check_log(core: &Core, dir: &std::path::Path) -> Result<(), OpenError> {
    let damaged = |problem: String| OpenError::LogDamaged { file: dir.to_path_buf(), problem };
    let applied = core.tree().map_err(|fault| damaged(fault.to_string()))?.meta().last_applied;
    let last = core.log.last();
    let snapshot = core.snapshots.current(core.shard).ok().flatten();
    let covered = snapshot.and_then(|snapshot| snapshot.meta(core.shard).ok()?.last_log_id);
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
