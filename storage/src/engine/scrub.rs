//! Reads in the background, after the start, what the start took on trust: the trees after a clean
//! stop, and the snapshots that were not needed. One at a time, with pauses, so that requests do
//! not feel it. Damage is found while there is still something to make good from.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::raft::machine::Core;
use super::restore;
use super::shard::Shard;
use crate::fault::Fault;

/// Rest after each step, which takes a fraction of it.
const PAUSE: Duration = Duration::from_millis(2);

/// Reads all of it, unless the node is closed meanwhile. Blocks.
pub fn run(shards: &[Arc<Shard>], trees_too: bool) {
    for shard in shards {
        if trees_too {
            read_tree(&shard.core);
        }
        if !snapshot_is_sound(&shard.core) {
            shard.snapshot();
        }
    }
}

/// Damage is noted by the tree itself, and wakes whoever rebuilds it.
fn read_tree(core: &Core) {
    if let Ok(tree) = core.tree() {
        drop(tree.audit(|| pause(core)));
    }
}

/// `false` if it was not, and is gone: tree and log have all that was in it, for now.
fn snapshot_is_sound(core: &Core) -> bool {
    // No other may take its place while it is judged.
    let _one_at_a_time = core.snapshotting.lock();
    let Ok(Some(snapshot)) = core.snapshots.current(core.shard) else { return true };
    match snapshot.verify(core.shard, || pause(core)) {
        // A disk that does not read may read again.
        Ok(()) | Err(Fault::Io(_)) => true,
        Err(fault) => restore::discard(core, &fault).is_err(),
    }
}

fn pause(core: &Core) -> ControlFlow<()> {
    std::thread::sleep(PAUSE);
    match core.closing.load(Ordering::SeqCst) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}
