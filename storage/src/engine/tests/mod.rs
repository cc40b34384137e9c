//! Tests of the engine, with a logic of their own: a proposal of tenant `t` at time `n` writes the
//! same value under two keys, so that a half-applied entry shows.

use std::path::Path;
use std::sync::Arc;

use super::files::{Disk, RealDisk};
use super::*;
use crate::command::{Command, Reply};
use crate::event::Origin;
use crate::ids::TenantNumber;
use crate::moment::Moment;
use crate::records::Records;
use crate::sweep;

mod durability;

/// Writes `proposed` under two keys.
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

fn options(dir: &Path, shards: u16) -> Options {
    Options { shards, ..Options::new(dir) }
}

fn parts(disk: Arc<dyn Disk>) -> Parts {
    Parts { disk, logic: Arc::new(Pairs) }
}

fn real() -> Parts {
    parts(Arc::new(RealDisk))
}

async fn open(dir: &Path, shards: u16) -> Shards {
    Shards::open(options(dir, shards), real()).await.expect("an open data folder")
}

/// Whether both halves are there; they must agree.
fn has(view: &View, number: u64) -> bool {
    let found = [left(number), right(number)].map(|key| view.get(&key).expect("a read"));
    assert_eq!(found[0], found[1], "half of write {number}");
    found[0].is_some()
}
