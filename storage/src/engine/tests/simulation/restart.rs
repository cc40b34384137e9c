//! A Raft instance that takes the place of another one on a machine that goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;

use super::machine::{Directory, Machine, Node};
use super::network::Network;
use crate::engine::Shard;
use crate::engine::tests::proposal;

/// One machine, and its time.
struct Alone {
    machine: Machine,
    directory: Directory,
    now: u64,
}

impl Alone {
    fn new() -> Self {
        let (network, directory) = (Network::new(1), Directory::default());
        let time = Arc::<AtomicU64>::default();
        let mut machine = Machine::new(1, Vec::new(), (&network, &directory), &time, 1);
        machine.boot(0);
        Self { machine, directory, now: 0 }
    }

    fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += 1;
            self.machine.run(self.now);
        }
    }

    #[track_caller]
    fn run_until(&mut self, holds: impl Fn(&Shard) -> bool) {
        let late = self.now + 20_000;
        while !self.node().is_some_and(|node| holds(node.shard())) {
            assert!(self.now < late, "it takes too long");
            self.run(1);
        }
    }

    fn node(&self) -> Option<Node> {
        self.directory.lock().get(&1).cloned()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.machine.switch_off();
    }
}

#[test]
fn the_next_instance_waits_for_what_the_last_one_has_appended() {
    let mut alone = Alone::new();
    alone.run_until(Shard::is_leader);
    let node = alone.node().expect("a node");
    let shard = node.shard().clone();
    let last = shard.core.log.last();
    alone.machine.host.slow_ms.store(4_000, Ordering::Relaxed);
    let (writer, asked) = (shard.clone(), shard.clone());
    node.handle.spawn(async move { writer.write(proposal(1)).await });
    alone.run_until(|shard| shard.core.log.last() > last);
    node.handle.spawn(async move { asked.let_go(async { false }.boxed()).await });
    alone.run_until(|shard| shard.running().is_none());
    // All that it does besides takes no time.
    alone.run(500);
    assert!(shard.running().is_none());
    alone.machine.host.slow_ms.store(0, Ordering::Relaxed);
    alone.run_until(Shard::is_leader);
}
