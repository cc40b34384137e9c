//! Tests of the engine, with a logic of their own: a proposal writes its number under two keys, so
//! that a half-applied entry shows.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::files::memory::MemoryDisk;
use super::files::{Disk, RealDisk};
use super::*;
use crate::command::{Command, Reply};
use crate::event::Origin;
use crate::ids::TenantNumber;
use crate::moment::Moment;
use crate::records::Records;
use crate::sweep;

mod cluster;
mod conformance;
mod damage;
mod durability;
mod faults;
mod folder;
mod power_cuts;
mod rebuild;
pub(super) mod simulation;
mod snapshots;
mod tree;
mod truncation;

/// Writes the number of a proposal under two keys.
struct Pairs;

fn left(number: u64) -> Vec<u8> {
    [b"a/".as_slice(), &number.to_be_bytes()].concat()
}

fn right(number: u64) -> Vec<u8> {
    [b"z/".as_slice(), &number.to_be_bytes()].concat()
}

impl Logic for Pairs {
    fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        proposal: Proposal,
    ) -> Result<Outcome, Fault> {
        let number = proposal.proposed.0;
        transaction.put(left(number), &number)?;
        transaction.put(right(number), &number)?;
        transaction.accept();
        Ok(Ok(Reply::Done))
    }
}

fn proposal(number: u64) -> Proposal {
    Proposal {
        tenant: TenantNumber(1),
        proposed: Moment(number),
        seed: [0; 32],
        origin: Origin::default(),
        idempotency: None,
        command: Command::Sweep(sweep::Command { keys: Vec::new() }),
    }
}

/// Small files and frequent snapshots, so that few writes meet everything.
fn options(dir: &Path, shards: u16) -> Options {
    Options {
        shards,
        snapshot_log_bytes: 4 * 1024,
        log_file_bytes: 8 * 1024,
        log_purge_bytes: 16 * 1024,
        kept_entries: 10,
        ..Options::new(dir)
    }
}

fn parts(disk: &Arc<dyn Disk>) -> Parts {
    Parts { disk: disk.clone(), logic: Arc::new(Pairs), ..Parts::default() }
}

/// A node on the real disk.
async fn open(dir: &Path, shards: u16) -> Shards {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    Shards::open(options(dir, shards), parts(&disk)).await.expect("an open data folder")
}

/// A node on a disk that misbehaves on request.
async fn open_on(disk: &MemoryDisk, dir: &Path) -> Shards {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Shards::open(options(dir, 2), parts(&disk)).await.expect("an open data folder")
}

/// The shard that the tests write to.
fn shard(shards: &Shards) -> &Arc<Shard> {
    shards.of(TenantNumber(1))
}

async fn write(shards: &Shards, numbers: std::ops::Range<u64>) {
    let shard = shard(shards);
    let writes = numbers.map(|number| shard.write(proposal(number)));
    for written in futures::future::join_all(writes).await {
        written.expect("a write").expect("a reply");
    }
}

/// Writes these numbers and on, until a snapshot lets the log before it go: when one is taken depends
/// on how many writes are applied at once. Answers the number after the last.
async fn write_until_purged(shards: &Shards, mut next: u64) -> u64 {
    while shard(shards).core.log.purged().is_none() {
        assert!(next < 20_000, "no snapshot is ever taken");
        write(shards, next..next + 50).await;
        next += 50;
    }
    next
}

async fn view(shards: &Shards) -> View {
    shard(shards).read().await.expect("a read")
}

/// Every number that is there; both halves must agree.
fn numbers(view: &View) -> BTreeSet<u64> {
    let [left, right] = [b"a/", b"z/"].map(|prefix| {
        let mut found = BTreeSet::new();
        let visited = view.scan(prefix, None, &mut |key, _| {
            found.insert(u64::from_be_bytes(*key[2..].first_chunk().expect("a number")));
            ControlFlow::Continue(())
        });
        visited.expect("a scan");
        found
    });
    assert_eq!(left, right, "half of a write");
    left
}

/// Closes the node and lets it look like a crash.
async fn crash(shards: Shards, dir: &Path) {
    shards.close().await;
    drop(shards);
    fs::remove_file(dir.join("clean")).expect("the mark of a clean stop");
}

async fn wait_until_it_leads(shard: &Shard) {
    let mut leadership = shard.leadership();
    leadership.wait_for(|now| now.leads).await.expect("a leader");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).expect("a copy")),
        }
    }
}

/// A few random bits: what a seed makes of itself.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        xxhash_rust::xxh3::xxh3_64(&self.0.to_be_bytes()) % sides.max(1)
    }
}

/// What may have become of sled's files after a crash.
fn harm_state(dir: &Path, older: &Path, dice: &mut Dice) {
    let state = dir.join("state");
    let db = state.join("db");
    match dice.roll(5) {
        0 => {}
        1 => fs::remove_dir_all(&state).expect("a removed state"),
        2 if older.exists() => {
            fs::remove_dir_all(&state).expect("a removed state");
            copy(older, &state);
        }
        3 => {
            let file = fs::File::options().write(true).open(&db).expect("the state");
            let length = file.metadata().expect("a length").len();
            file.set_len(dice.roll(length)).expect("a cut state");
        }
        _ => {
            let mut bytes = fs::read(&db).expect("the state");
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            for _ in 0..1 + dice.roll(8) {
                let at = dice.roll(used as u64) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.roll(8);
                }
            }
            fs::write(&db, bytes).expect("a flipped state");
        }
    }
}
