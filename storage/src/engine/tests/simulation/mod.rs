//! A deterministic simulation of Raft, log and state machine: several nodes in one thread, each the
//! real thing from `Shards` down, under virtual time, over a simulated network, on disks in memory.
//! What goes wrong is drawn from a seed; what clients hear is judged.

mod clients;
mod faults;
mod history;
pub mod host;
mod judge;
mod logic;
mod machine;
pub mod network;
mod operator;
mod told;
mod world;

use self::world::World;

#[test]
fn seeds_come_to_a_good_end() {
    let from: u64 = std::env::var("JANUA_SEED_FROM").ok().and_then(|t| t.parse().ok()).unwrap_or(1);
    let seeds: u64 = std::env::var("JANUA_SEEDS").ok().and_then(|t| t.parse().ok()).unwrap_or(1);
    let _told = told::listen();
    for seed in from..from + seeds {
        let start = std::time::Instant::now();
        let report = World::new(seed).run();
        println!("seed {seed}: {report} ({:?})", start.elapsed());
    }
}
