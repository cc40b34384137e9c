//! The world of one seed: machines, the network between them, clients, and time, of which there is a
//! millisecond for everybody in turn. Everything runs in one thread.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::clients::{CLIENTS, Client, Shared};
use super::faults::Faults;
use super::history::History;
use super::judge::{self, Judge};
use super::machine::{Directory, Machine, Node};
use super::network::Network;
use super::operator::{self, Order};
use super::told;
use crate::engine::tests::Dice;

/// How long anything may take once nothing is wrong, in milliseconds.
const PATIENCE: u64 = 60_000;
/// How long there is trouble: at least, and how much longer at most.
const TROUBLE: (u64, u64) = (8_000, 8_000);
/// How often the judge looks.
const LOOK: u64 = 3;

/// What a seed came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of all that clients heard, in its order.
    pub digest: u64,
    /// Questions that were answered.
    pub answers: usize,
    /// Terms that had a leader.
    pub terms: usize,
    /// Faults that there were.
    pub faults: usize,
    /// Milliseconds of simulated time.
    pub time: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digest, answers, terms, faults, time } = self;
        let seconds = *time as f64 / 1_000.0;
        write!(
            f,
            "{digest:016x}: {answers} answers, {terms} terms, {faults} faults, {seconds:.1} s"
        )
    }
}

/// The world.
pub struct World {
    /// Milliseconds since its beginning.
    pub now: u64,
    /// Its machines, in the order of their ids.
    pub machines: Vec<Machine>,
    /// What lies between them.
    pub network: Network,
    /// What it draws from.
    pub dice: Dice,
    /// What the operator is asked.
    pub orders: mpsc::UnboundedSender<Order>,
    time: Arc<AtomicU64>,
    directory: Directory,
    outside: Runtime,
    shared: Shared,
    judge: Judge,
}

impl World {
    /// Of so many machines, all of which have just been switched on.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice(seed << 32);
        let count = if dice.roll(2) == 0 { 3 } else { 5 };
        let network = Network::new(seed);
        let (time, directory) = (Arc::<AtomicU64>::default(), Directory::default());
        let machines = (1..=count).map(|id| {
            let others = (1..=count).filter(|other| *other != id).collect();
            Machine::new(id, others, (&network, &directory), &time, (seed << 32) + (id << 16))
        });
        let mut machines: Vec<Machine> = machines.collect();
        machines.iter_mut().for_each(|machine| machine.boot(0));
        let outside = Builder::new_current_thread().enable_time().start_paused(true).build();
        let outside = outside.expect("a runtime");
        let (orders, ordered) = mpsc::unbounded_channel();
        outside.spawn(operator::carry_out(directory.clone(), ordered));
        outside.spawn(operator::let_go(directory.clone()));
        let shared = Shared {
            directory: directory.clone(),
            history: History::default(),
            over: Arc::new(AtomicBool::new(false)),
            questions: Arc::default(),
        };
        let judge = Judge::default();
        Self { now: 0, machines, network, dice, orders, time, directory, outside, shared, judge }
    }

    /// Founds the cluster, lets clients work while there is trouble, makes an end of it, and judges.
    pub fn run(mut self) -> Report {
        let founders: BTreeSet<u64> = [1, 2, 3].into();
        let (directory, mut client) = (self.directory.clone(), self.client());
        let voters = founders.clone();
        self.finish("the cluster is founded", async move {
            operator::settle(&directory, &voters).await;
            client.prepare().await;
        });
        let clients: Vec<JoinHandle<()>> = (0..CLIENTS)
            .map(|_| {
                let client = self.client();
                self.outside.spawn(client.work())
            })
            .collect();
        let end = self.now + TROUBLE.0 + self.dice.roll(TROUBLE.1);
        let mut faults = Faults::new(founders);
        while self.now < end {
            faults.act(&mut self);
            self.step();
        }
        told::tell("- all is made good again");
        faults.end(&mut self);
        self.shared.over.store(true, Ordering::Relaxed);
        let (directory, mut client) = (self.directory.clone(), self.client());
        let voters = faults.voters.clone();
        self.finish("all is well again", async move {
            for client in clients {
                client.await.expect("a client");
            }
            operator::settle(&directory, &voters).await;
            client.read_all().await;
        });
        self.converge(&faults.voters);
        judge::judge(&self.nodes(&faults.voters), &self.shared.history);
        Report {
            digest: self.shared.history.digest(),
            answers: self.shared.history.answers(),
            terms: self.judge.terms(),
            faults: faults.count,
            time: self.now,
        }
    }

    /// A machine.
    pub fn machine(&mut self, id: u64) -> &mut Machine {
        &mut self.machines[id as usize - 1]
    }

    /// Who leads, as it believes.
    pub fn leader(&self) -> Option<u64> {
        let nodes = self.directory.lock();
        nodes.iter().find(|(_, node)| node.shard().is_leader()).map(|(id, _)| *id)
    }

    fn client(&mut self) -> Client {
        Client::new(&self.shared, Dice(self.dice.roll(u64::MAX)))
    }

    fn nodes(&self, ids: &BTreeSet<u64>) -> Vec<Node> {
        let nodes = self.directory.lock();
        ids.iter().filter_map(|id| nodes.get(id).cloned()).collect()
    }

    /// Lets time go on until some work is done.
    fn finish(&mut self, what: &str, work: impl Future<Output = ()> + Send + 'static) {
        let work = self.outside.spawn(work);
        let late = self.now + PATIENCE;
        while !work.is_finished() {
            assert!(self.now < late, "still waiting until {what}: {}", self.standing());
            self.step();
        }
        self.outside.block_on(work).expect("work that is done");
    }

    fn converge(&mut self, voters: &BTreeSet<u64>) {
        let late = self.now + PATIENCE;
        while !judge::have_converged(&self.nodes(voters)) {
            assert!(self.now < late, "the replicas do not converge: {}", self.standing());
            self.step();
        }
    }

    /// A millisecond for everybody.
    fn step(&mut self) {
        self.now += 1;
        self.time.store(self.now, Ordering::Relaxed);
        told::NOW.store(self.now, Ordering::Relaxed);
        self.network.deliver(self.now);
        let (count, first) = (self.machines.len(), self.now as usize);
        for turn in 0..count {
            self.machines[(first + turn) % count].run(self.now);
        }
        self.outside.block_on(sleep_a_moment());
        if self.now.is_multiple_of(LOOK) {
            self.judge.look(&self.directory);
        }
    }

    /// How all stand, for whoever looks for a fault.
    fn standing(&self) -> String {
        let nodes = self.directory.lock();
        let line = |(id, node): (&u64, &Node)| {
            let shard = node.shard();
            let last = shard.core.log.last();
            format!(
                "\n{id}: {:?} {:?} {last:?}",
                *shard.leadership().borrow(),
                node.shards.health()
            )
        };
        nodes.iter().map(line).collect()
    }
}

async fn sleep_a_moment() {
    sleep(Duration::from_millis(1)).await;
}

impl Drop for World {
    fn drop(&mut self) {
        for machine in &mut self.machines {
            machine.switch_off();
        }
    }
}
