//! What must hold all the time, and what must hold at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;

use super::clients::operation;
use super::history::History;
use super::logic::{MARKS, mark};
use super::machine::{Directory, Node};
use crate::codec;
use crate::engine::Shard;
use crate::engine::raft::LogId;
use crate::records::Records;

/// What was seen so far.
#[derive(Default)]
pub struct Judge {
    /// Who has led each term.
    leaders: BTreeMap<u64, u64>,
    /// Which entry was applied at each index, and the digest of the tree behind it.
    applied: BTreeMap<u64, (LogId, u128)>,
}

impl Judge {
    /// Looks at all that run: no two lead one term, and no two trees differ at one index.
    pub fn look(&mut self, directory: &Directory) {
        for (id, node) in directory.lock().iter() {
            self.look_at_leadership(*id, node.shard());
            self.look_at_tree(*id, node.shard());
        }
    }

    fn look_at_leadership(&mut self, id: u64, shard: &Shard) {
        let Some(running) = shard.running() else { return };
        let metrics = running.metrics.borrow_watched();
        if metrics.state == ServerState::Leader {
            let term = metrics.current_term;
            let leader = *self.leaders.entry(term).or_insert(id);
            assert_eq!(leader, id, "two leaders of term {term}");
        }
    }

    fn look_at_tree(&mut self, id: u64, shard: &Shard) {
        let Ok(tree) = shard.core.tree() else { return };
        let meta = tree.meta();
        let Some(applied) = meta.last_applied else { return };
        let present = (applied, meta.digest.0);
        let seen = *self.applied.entry(applied.index).or_insert(present);
        assert_eq!(seen, present, "the tree of node {id} differs at {}", applied.index);
    }

    /// How many terms were led.
    pub fn terms(&self) -> usize {
        self.leaders.len()
    }
}

/// Whether all of these have the same, and nobody has anything to do.
pub fn have_converged(nodes: &[Node]) -> bool {
    let ends: BTreeSet<_> = nodes.iter().map(|node| end(node.shard())).collect();
    let runs = |node: &Node| node.shard().running().is_some() && node.shards.health().is_ready();
    ends.len() == 1 && nodes.iter().all(runs)
}

fn end(shard: &Shard) -> (Option<u64>, Option<u64>, u128) {
    let meta = shard.core.tree().map(|tree| tree.meta()).unwrap_or_default();
    let last = shard.core.log.last().map(|last| last.index);
    (last, meta.last_applied.map(|applied| applied.index), meta.digest.0)
}

/// What must hold at the end of these nodes, which are all that vote.
pub fn judge(nodes: &[Node], history: &History) {
    let shards: Vec<&Arc<Shard>> = nodes.iter().map(Node::shard).collect();
    same_voters(&shards);
    same_logs(&shards);
    for shard in &shards {
        marked_once(shard, history);
    }
    if let Some(key) = history.unexplained() {
        panic!("no truth explains what was heard of key {key}:\n{}", history.told(Some(key)));
    }
}

fn same_voters(shards: &[&Arc<Shard>]) {
    let voters = |shard: &&Arc<Shard>| -> BTreeSet<u64> {
        let running = shard.running().expect("a shard that runs");
        running.metrics.borrow_watched().membership_config.voter_ids().collect()
    };
    let sets: BTreeSet<_> = shards.iter().map(voters).collect();
    assert_eq!(sets.len(), 1, "more than one voter set: {sets:?}");
}

/// Wherever two logs both have an entry, it is the same.
fn same_logs(shards: &[&Arc<Shard>]) {
    let mut seen: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for shard in shards {
        for entry in shard.core.log.entries(0, u64::MAX).expect("a whole log") {
            let bytes = codec::encode(&entry).expect("an encoding");
            let index = entry.log_id.index;
            let first = seen.entry(index).or_insert_with(|| bytes.clone());
            assert_eq!(*first, bytes, "two logs differ at {index}");
        }
    }
}

/// Every acknowledged write was made, and none was made twice.
fn marked_once(shard: &Shard, history: &History) {
    let tree = shard.core.tree().expect("a tree");
    for value in history.written() {
        let marked = tree.get(&mark(&operation(value))).expect("a read");
        assert!(marked.is_some(), "write {value} was acknowledged, and is lost");
    }
    let visited = tree.scan(MARKS, None, &mut |key, times| {
        let times: u32 = codec::decode(times).expect("a number");
        assert_eq!(times, 1, "an operation was carried out {times} times: {key:?}");
        ControlFlow::Continue(())
    });
    visited.expect("a scan");
}
