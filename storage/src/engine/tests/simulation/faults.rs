//! What goes wrong, and when, and how it is made good again.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::operator::Order;
use super::told;
use super::world::World;
use crate::engine::tests::Dice;

/// Between one fault and the next, in milliseconds: at least, and how much more at most.
const REST: (u64, u64) = (100, 1_100);
/// How much may be wrong at a time.
const AT_ONCE: usize = 3;
/// What a way takes that works well, in milliseconds.
const USUAL: (u64, u64) = (1, 2);

/// The trouble of one seed.
pub struct Faults {
    /// Who is to vote.
    pub voters: BTreeSet<u64>,
    /// How many faults there were.
    pub count: usize,
    next: u64,
    repairs: Vec<(u64, Repair)>,
}

/// How something is made good again.
#[derive(Debug, Clone)]
enum Repair {
    /// These ways are opened, and are as quick as usual.
    Ways(Vec<(u64, u64)>),
    /// A machine is switched on.
    Boot(u64),
    /// A machine gets a sound disk, for which it has to be switched off.
    Replace(u64),
    /// The disk of a machine is as quick as usual.
    Disk(u64),
    /// The clock of a machine is right again.
    Clock(u64),
    /// It has passed by itself.
    Nothing,
}

impl Faults {
    /// None so far.
    pub fn new(voters: BTreeSet<u64>) -> Self {
        Self { voters, count: 0, next: 0, repairs: Vec::new() }
    }

    /// Lets go wrong what is to go wrong now, and makes good what is to be made good.
    pub fn act(&mut self, world: &mut World) {
        let now = world.now;
        let (due, rest) =
            std::mem::take(&mut self.repairs).into_iter().partition(|(at, _)| *at <= now);
        self.repairs = rest;
        let due: Vec<(u64, Repair)> = due;
        due.into_iter().for_each(|(_, repair)| self.repair(world, &repair));
        self.see_to_the_dark(world);
        if now < self.next {
            return;
        }
        self.next = now + REST.0 + world.dice.roll(REST.1);
        if self.repairs.len() < AT_ONCE {
            self.count += 1;
            self.go_wrong(world);
        }
    }

    /// Makes good all that is wrong.
    pub fn end(&mut self, world: &mut World) {
        for (_, repair) in std::mem::take(&mut self.repairs) {
            self.repair(world, &repair);
        }
        self.see_to_the_dark(world);
        let ids: Vec<u64> = world.machines.iter().map(|machine| machine.id).collect();
        for id in ids.iter().copied() {
            self.repair(world, &Repair::Disk(id));
            self.repair(world, &Repair::Clock(id));
            let machine = world.machine(id);
            machine.hung_until = 0;
            if !machine.disk.is_dark() {
                machine.disk.cut_power_after(u64::MAX);
            }
            if machine.disk.is_troubled() {
                self.repair(world, &Repair::Replace(id));
            }
            self.repair(world, &Repair::Boot(id));
        }
    }

    /// A machine whose power has failed is switched on after a while.
    fn see_to_the_dark(&mut self, world: &mut World) {
        for at in 0..world.machines.len() {
            let machine = &mut world.machines[at];
            if machine.is_on() && machine.disk.is_dark() {
                machine.kill(true, &mut world.dice);
                let repair = Repair::Boot(machine.id);
                self.later(world, (50, 3_000), repair);
            }
        }
    }

    fn later(&mut self, world: &mut World, (least, more): (u64, u64), repair: Repair) {
        let at = world.now + least + world.dice.roll(more);
        told::tell(format_args!("- until {at}: {repair:?}"));
        self.repairs.push((at, repair));
    }

    fn repair(&mut self, world: &mut World, repair: &Repair) {
        let now = world.now;
        match repair {
            Repair::Ways(ways) => {
                for (from, to) in ways {
                    world.network.close(*from, *to, false);
                    world.network.delay(*from, *to, USUAL);
                }
            }
            Repair::Boot(id) => {
                let machine = world.machine(*id);
                if !machine.is_on() {
                    machine.boot(now);
                }
            }
            Repair::Replace(id) => {
                world.kill(*id, false);
                world.machine(*id).boot(now);
            }
            Repair::Disk(id) => world.machine(*id).host.slow_ms.store(0, Ordering::Relaxed),
            Repair::Clock(id) => world.machine(*id).ahead_ms.store(0, Ordering::Relaxed),
            Repair::Nothing => {}
        }
    }

    fn go_wrong(&mut self, world: &mut World) {
        let victim = world.victim();
        let kind = world.dice.roll(17);
        told::tell(format_args!("- fault {kind} hits {victim}"));
        match kind {
            0 | 1 => self.partition(world),
            2 => {
                let ways = pairs(world, |from, _| from == victim);
                self.close(world, ways);
            }
            3 => {
                let ways = pairs(world, |_, to| to == victim);
                self.close(world, ways);
            }
            4 => {
                let other = world.other(victim);
                let both = world.dice.roll(2) == 0;
                let ways = pairs(world, |from, to| {
                    (from, to) == (victim, other) || both && (from, to) == (other, victim)
                });
                self.close(world, ways);
            }
            5 => {
                let delay = (world.dice.roll(150), world.dice.roll(150));
                let ways = pairs(world, |from, to| from == victim || to == victim);
                ways.iter().for_each(|(from, to)| world.network.delay(*from, *to, delay));
                self.later(world, (500, 4_000), Repair::Ways(ways));
            }
            6 => {
                let other = world.other(victim);
                world.network.reset(victim, other);
                self.later(world, (0, 1), Repair::Nothing);
            }
            7 | 8 => {
                let power = world.dice.roll(2) == 0;
                world.kill(victim, power);
                self.later(world, (20, 4_000), Repair::Boot(victim));
            }
            9 => {
                let operations = world.dice.roll(60);
                world.machine(victim).disk.cut_power_after(operations);
            }
            10 | 11 => {
                let longest = [800, 3_000, 8_000][world.dice.roll(3) as usize];
                let until = world.now + 50 + world.dice.roll(longest);
                world.machine(victim).hung_until = until;
                self.later(world, (0, 1_000), Repair::Nothing);
            }
            12 => {
                let slow = 20 + world.dice.roll(400);
                world.machine(victim).host.slow_ms.store(slow, Ordering::Relaxed);
                self.later(world, (500, 4_000), Repair::Disk(victim));
            }
            13 => {
                let full = world.dice.roll(2) == 0;
                let faults = world.machine(victim).disk.faults();
                let fault = if full { &faults.full } else { &faults.failing_sync };
                fault.store(true, Ordering::SeqCst);
                self.later(world, (100, 2_500), Repair::Replace(victim));
            }
            14 => {
                let ahead = world.dice.roll(6_000).cast_signed() - 3_000;
                world.machine(victim).ahead_ms.store(ahead, Ordering::Relaxed);
                self.later(world, (500, 5_000), Repair::Clock(victim));
            }
            15 => {
                let heir = world.other(victim);
                drop(world.orders.send(Order::Lead(heir)));
            }
            _ => self.change_members(world),
        }
    }

    fn partition(&mut self, world: &mut World) {
        let count = world.machines.len() as u64;
        let side = 1 + world.dice.roll((1 << count) - 2);
        let ways = pairs(world, |from, to| (side >> (from - 1)) & 1 != (side >> (to - 1)) & 1);
        self.close(world, ways);
    }

    fn close(&mut self, world: &mut World, ways: Vec<(u64, u64)>) {
        ways.iter().for_each(|(from, to)| world.network.close(*from, *to, true));
        self.later(world, (200, 4_000), Repair::Ways(ways));
    }

    fn change_members(&mut self, world: &mut World) {
        let all = world.machines.len() as u64;
        let count = (2 + world.dice.roll(3)).min(all);
        let mut voters = BTreeSet::new();
        while (voters.len() as u64) < count {
            voters.insert(1 + world.dice.roll(all));
        }
        told::tell(format_args!("- {voters:?} are to vote"));
        self.voters = voters.clone();
        drop(world.orders.send(Order::Vote(voters)));
    }
}

fn pairs(world: &World, which: impl Fn(u64, u64) -> bool) -> Vec<(u64, u64)> {
    let ids = || world.machines.iter().map(|machine| machine.id);
    let pairs = ids().flat_map(|from| ids().map(move |to| (from, to)));
    pairs.filter(|(from, to)| from != to && which(*from, *to)).collect()
}

impl World {
    /// Whom it hits: whoever leads, every other time.
    fn victim(&mut self) -> u64 {
        let leader = self.leader().filter(|_| self.dice.roll(2) == 0);
        leader.unwrap_or_else(|| 1 + self.dice.roll(self.machines.len() as u64))
    }

    fn other(&mut self, than: u64) -> u64 {
        let count = self.machines.len() as u64;
        1 + (than + self.dice.roll(count - 1)) % count
    }

    fn kill(&mut self, id: u64, power: bool) {
        let dice = &mut Dice(self.dice.roll(u64::MAX));
        self.machine(id).kill(power, dice);
    }
}
