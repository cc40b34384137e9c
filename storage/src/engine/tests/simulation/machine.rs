//! A simulated machine: a node with a disk, a clock and a runtime of its own. The runtime's time is
//! virtual and goes on only when the machine is given some, so that it can be hung as by SIGSTOP, and
//! killed at any moment.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{advance, sleep};

use super::host::Host;
use super::logic::Marked;
use super::network::Network;
use crate::engine::files::Disk;
use crate::engine::files::memory::MemoryDisk;
use crate::engine::link::Tell;
use crate::engine::tests::{Dice, options};
use crate::engine::{Door, Options, Parts, Shard, Shards};
use crate::ids::ShardId;
use crate::moment::Moment;
use crate::secret::Secret;

/// What the time is when a simulation begins.
const BEGIN: u64 = 1_736_937_000_000;
/// The shard that everything is about.
pub const SHARD: ShardId = ShardId(0);

/// A node that runs.
#[derive(Clone)]
pub struct Node {
    /// Where its tasks run.
    pub handle: Handle,
    /// Its shards.
    pub shards: Arc<Shards>,
    /// Its clock.
    pub clock: Tell,
}

impl Node {
    /// The shard that everything is about.
    pub fn shard(&self) -> &Arc<Shard> {
        self.shards.shard(SHARD)
    }
}

/// The nodes that run, by their ids, for whoever asks them something.
pub type Directory = Arc<Mutex<BTreeMap<u64, Node>>>;

type Opened = Arc<Mutex<Option<Result<Arc<Shards>, String>>>>;

/// A machine.
pub struct Machine {
    /// The id of its node.
    pub id: u64,
    /// Its disk.
    pub disk: MemoryDisk,
    /// What its node sees of it.
    pub host: Arc<Host>,
    /// By how many milliseconds its clock is ahead.
    pub ahead_ms: Arc<AtomicI64>,
    /// Nothing of it runs before then.
    pub hung_until: u64,
    dir: TempDir,
    time: Arc<AtomicU64>,
    others: Vec<u64>,
    directory: Directory,
    running: Option<Running>,
}

struct Running {
    runtime: Runtime,
    opened: Opened,
    listed: bool,
    /// Up to where its time has come.
    time: u64,
}

fn address(node: u64) -> String {
    format!("simulated:{node}")
}

impl Machine {
    /// A machine without power.
    pub fn new(
        id: u64,
        others: Vec<u64>,
        (network, directory): (&Network, &Directory),
        time: &Arc<AtomicU64>,
        seed: u64,
    ) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self {
            id,
            disk: MemoryDisk::default(),
            host: Arc::new(Host {
                node: id,
                network: network.clone(),
                slow_ms: AtomicU64::new(0),
                dice: Mutex::new(Dice(seed)),
            }),
            ahead_ms: Arc::default(),
            hung_until: 0,
            dir: dir.expect("a folder"),
            time: time.clone(),
            others,
            directory: directory.clone(),
            running: None,
        }
    }

    /// Whether its program runs, be it hung.
    pub fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it is hung.
    pub fn is_hung(&self, now: u64) -> bool {
        self.hung_until > now
    }

    /// Starts the program.
    pub fn boot(&mut self, now: u64) {
        assert!(self.running.is_none(), "machine {} runs already", self.id);
        self.host.network.power_on(self.id);
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let opened = Opened::default();
        let (opening, door) = (opened.clone(), self.door());
        let options =
            Options { node: self.id, founds: self.id == 1, ..options(self.dir.path(), 1) };
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let parts = Parts { claim: None, disk, logic: Arc::new(Marked), door: Some(door) };
        let clock = self.clock();
        runtime.spawn(async move {
            let shards = Shards::open(options, parts).await;
            let shards = shards.map(Arc::new).map_err(|error| error.to_string());
            if let Some(link) = shards.as_ref().ok().and_then(|shards| shards.link()) {
                link.go_by(clock);
            }
            *opening.lock() = Some(shards);
        });
        self.hung_until = 0;
        self.running = Some(Running { runtime, opened, listed: false, time: now });
    }

    fn door(&self) -> Door {
        let peers = self.others.iter().map(|other| (*other, address(*other))).collect();
        Door {
            // Nobody knocks there.
            listener: TcpListener::bind("127.0.0.1:0").expect("a port"),
            address: address(self.id),
            secrets: Secret::given("what the members of a cluster know").into(),
            now: Moment(BEGIN),
            cluster: Some([1; 16]),
            peers,
        }
    }

    /// Its clock.
    pub fn clock(&self) -> Tell {
        let (time, ahead) = (self.time.clone(), self.ahead_ms.clone());
        Arc::new(move || {
            let now = BEGIN + time.load(Ordering::Relaxed);
            Moment(now.saturating_add_signed(ahead.load(Ordering::Relaxed)))
        })
    }

    /// Lets it run until now, unless it is off or hung. If it was hung, its time leaps.
    pub fn run(&mut self, now: u64) {
        let hung = self.is_hung(now);
        let Some(running) = self.running.as_mut().filter(|_| !hung) else { return };
        let behind = now.saturating_sub(running.time);
        running.time = now;
        let runtime = &running.runtime;
        self.host.work(|| {
            runtime.block_on(async {
                if behind > 1 {
                    advance(Duration::from_millis(behind - 1)).await;
                }
                sleep(Duration::from_millis(1)).await;
            });
        });
        self.list();
    }

    fn list(&mut self) {
        let clock = self.clock();
        let Some(running) = self.running.as_mut().filter(|running| !running.listed) else { return };
        match &*running.opened.lock() {
            None => return,
            Some(Ok(shards)) => {
                let handle = running.runtime.handle().clone();
                let node = Node { handle, shards: shards.clone(), clock };
                self.directory.lock().insert(self.id, node);
            }
            // The disk says why, and the machine is seen to.
            Some(Err(error)) => assert!(self.disk.is_troubled(), "node {}: {error}", self.id),
        }
        running.listed = true;
    }

    /// Ends the program, and nothing comes after it.
    pub fn switch_off(&mut self) {
        let Some(running) = self.running.take() else { return };
        self.disk.cut_power_after(0);
        let node = self.directory.lock().remove(&self.id);
        self.host.work(|| {
            drop(node);
            drop(running);
        });
    }

    /// Ends the program at once, and takes the power away if it is to be so: then nobody hears of it.
    /// What no sync had covered is lost, but for a part of what was added last.
    pub fn kill(&mut self, power: bool, dice: &mut Dice) {
        let Some(running) = self.running.take() else { return };
        let network = &self.host.network;
        if power {
            network.power_off(self.id);
        } else {
            network.end(self.id);
        }
        // Whatever the program does in its last moment reaches no disk.
        self.disk.cut_power_after(0);
        let node = self.directory.lock().remove(&self.id);
        self.host.work(|| {
            drop(node);
            drop(running.opened);
            drop(running.runtime);
        });
        self.disk.mend();
        self.disk.restart(|added| dice.roll(added as u64 + 1) as usize).expect("power");
        if dice.roll(4) == 0 {
            // There is none if it has not come so far.
            drop(fs::remove_dir_all(self.dir.path().join("state")));
        }
    }
}
