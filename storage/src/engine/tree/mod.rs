//! The records of one shard in a sled tree: the materialized state, never the only copy of
//! anything. What does not check is never served: it is reported, and the tree is rebuilt from
//! snapshot and log.
//!
//! Invariant: records, `last_applied`, membership and digest reach sled in one batch, whose runs of
//! entries (`pending`) readers have seen before. What a snapshot begins with is there already.
//!
//! Invariant: a tree carries the mark of its damage or retirement before anything of it is removed,
//! and what is read counts only if the mark is not there afterwards.

mod audit;
pub mod digest;
mod pending;
pub mod store;
mod visit;
mod walk;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::thread::{self, ScopedJoinHandle};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use self::audit::Audit;
use self::digest::Digest;
use self::pending::Pending;
pub use self::walk::Walk;
use super::log::writer::panic_text;
use super::raft::{LogId, Membership, SnapshotMeta};
use crate::codec;
use crate::fault::Fault;
use crate::ids::ShardId;
use crate::records::{Records, Visit};

/// Where the tree keeps what it knows of itself; no record may have this key.
const META: &[u8] = b"\0";

/// What a tree knows of itself.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// The last entry whose effect is in the records.
    pub last_applied: Option<LogId>,
    /// The members as of then.
    pub membership: Membership,
    /// The sum over all records.
    pub digest: Digest,
}

#[derive(Serialize, Deserialize)]
struct StoredMeta {
    last_applied: Option<LogId>,
    membership: Membership,
    digest: u128,
}

/// How a tree is filled from a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// By several threads: nobody is answered before it is whole.
    AllCores,
    /// By one, beside shards that serve.
    Beside,
}

impl Haste {
    /// Those that fill while another reads; none if the one that reads fills as well.
    fn fillers(self) -> usize {
        match self {
            Self::AllCores => 3,
            Self::Beside => 0,
        }
    }
}

/// Key and value.
pub type Record = (Vec<u8>, Vec<u8>);

/// New value under each key; `None` removes it.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

struct Progress {
    meta: Meta,
    /// Whether sled has an older one.
    ahead: bool,
    walk: Option<Walk>,
    audit: Option<Audit>,
}

/// One generation of a shard's tree.
pub struct Tree {
    shard: ShardId,
    records: sled::Tree,
    pending: Pending,
    progress: Mutex<Progress>,
    damage: OnceLock<String>,
    damaged: Notify,
}

impl Tree {
    /// The tree as it was left, or an empty one.
    pub fn open(shard: ShardId, records: sled::Tree) -> Result<Self, Fault> {
        let stored = guarded(|| records.get(META))?;
        let meta = match stored {
            Some(stored) => read_meta(shard, &stored)?,
            None if guarded(|| Ok(records.is_empty()))? => Meta::default(),
            None => return Err(Fault::Damaged(format!("tree of shard {shard} has lost its head"))),
        };
        let progress = Mutex::new(Progress { meta, ahead: false, walk: None, audit: None });
        let (pending, damage, damaged) = Default::default();
        Ok(Self { shard, records, pending, progress, damage, damaged })
    }

    /// The name of the sled tree.
    pub fn name(&self) -> sled::IVec {
        self.records.name()
    }

    /// What the tree knows of itself.
    pub fn meta(&self) -> Meta {
        self.progress.lock().meta.clone()
    }

    /// Whether a node is the only voter, as of what was applied.
    pub fn is_of_one_voter(&self, node: u64) -> bool {
        self.progress.lock().meta.membership.voter_ids().eq([node])
    }

    /// Returns once damage has been met.
    pub async fn damaged(&self) {
        loop {
            let notified = self.damaged.notified();
            if self.damage.get().is_some() {
                return;
            }
            notified.await;
        }
    }

    /// The damage that was met, if any was.
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Nothing is read from the tree any more, or put into it. Returns once no commit is under way.
    pub fn retire(&self, why: &str) {
        let _no_commit = self.progress.lock();
        // Damage that was met before says as much.
        drop(self.damage.set(format!("tree of shard {}: {why}", self.shard)));
        self.damaged.notify_waiters();
    }

    fn check_usable(&self) -> Result<(), Fault> {
        self.damage().map_or(Ok(()), |damage| Err(Fault::Damaged(damage.into())))
    }

    /// Whether anything was ever applied.
    pub fn is_fresh(&self) -> bool {
        self.progress.lock().meta.last_applied.is_none()
    }

    /// The index of the entry that comes next.
    pub fn next_index(&self) -> u64 {
        self.progress.lock().meta.last_applied.map_or(0, |id| id.index + 1)
    }

    /// Takes the writes of a run of entries, with the position after it; once there are enough, sled
    /// gets them first that have come before.
    pub fn commit(
        &self,
        writes: &Writes,
        last_applied: Option<LogId>,
        membership: Option<Membership>,
    ) -> Result<(), Fault> {
        let mut progress = self.progress.lock();
        self.check_usable()?;
        if self.pending.is_full() {
            self.write_down(&mut progress)?;
        }
        let mut digest = progress.meta.digest;
        let mut audited = progress.audit.as_ref().map_or_else(Digest::default, |audit| audit.sum);
        let mut run = Vec::with_capacity(writes.len());
        for (key, value) in writes {
            if key.as_slice() == META {
                return Err(Fault::Damaged("a record under the tree's own key".into()));
            }
            let before = self.stored(key)?;
            let before = before.as_deref().map(|stored| self.check(key, stored)).transpose()?;
            if let Some((_, hash)) = before {
                digest.remove(hash);
            }
            if let Some(walk) = &mut progress.walk {
                walk.keep(key, before.map(|(value, _)| value));
            }
            let now = value.as_ref().map(|value| digest::hash(key, value));
            if let Some(audit) = &progress.audit {
                audit.follow(&mut audited, key, before.map(|(_, hash)| hash), now);
            }
            let sealed = value.as_ref().zip(now).map(|(value, hash)| {
                digest.add(hash);
                digest::seal(value, hash).into()
            });
            run.push((key.as_slice().into(), sealed));
        }
        self.pending.add(run);
        let meta = &mut progress.meta;
        meta.digest = digest;
        meta.last_applied = last_applied.or(meta.last_applied);
        if let Some(membership) = membership {
            meta.membership = membership;
        }
        progress.ahead = true;
        if let Some(audit) = &mut progress.audit {
            audit.sum = audited;
        }
        match self.pending.is_overfull() {
            true => self.write_down(&mut progress),
            false => Ok(()),
        }
    }

    /// Gives sled what it has not got yet.
    pub fn settle(&self) -> Result<(), Fault> {
        let mut progress = self.progress.lock();
        self.check_usable()?;
        self.write_down(&mut progress)
    }

    fn write_down(&self, progress: &mut Progress) -> Result<(), Fault> {
        if !progress.ahead {
            return Ok(());
        }
        let mut batch = self.pending.batch();
        batch.insert(META, write_meta(&progress.meta)?);
        self.guard(|| self.records.apply_batch(batch))?;
        // Readers look here first, and find it there now.
        self.pending.clear();
        progress.ahead = false;
        Ok(())
    }

    /// Fills an empty tree with records that were checked elsewhere, without a position. Each is
    /// written for itself: a batch would keep the other threads waiting.
    fn fill(&self, records: Vec<Record>) -> Result<(), Fault> {
        for (key, value) in records {
            let stored = digest::seal(&value, digest::hash(&key, &value));
            self.guard(|| self.records.insert(key, stored))?;
        }
        Ok(())
    }

    /// Ends the filling of a tree: gives it its position.
    fn finish(&self, meta: Meta) -> Result<(), Fault> {
        let stored = write_meta(&meta)?;
        self.guard(|| self.records.insert(META, stored))?;
        self.progress.lock().meta = meta;
        Ok(())
    }

    /// Fills an empty tree from a snapshot: `next` gives runs of records until an empty one.
    pub fn load(
        &self,
        meta: &SnapshotMeta,
        digest: Digest,
        haste: Haste,
        mut next: impl FnMut() -> Result<Vec<Record>, Fault>,
    ) -> Result<(), Fault> {
        thread::scope(|scope| {
            let mut fillers = Vec::new();
            loop {
                let records = next()?;
                if records.is_empty() {
                    break;
                }
                if haste.fillers() == 0 {
                    self.fill(records)?;
                    continue;
                }
                fillers.push(scope.spawn(|| self.fill(records)));
                // The first to begin has most likely ended first.
                if fillers.len() == haste.fillers() {
                    join(fillers.remove(0))?;
                }
            }
            fillers.into_iter().try_for_each(join)
        })?;
        let (last_applied, membership) = (meta.last_log_id, meta.last_membership.clone());
        self.finish(Meta { last_applied, membership, digest })
    }

    /// What sled has.
    #[cfg(test)]
    pub fn sled(&self) -> sled::Tree {
        self.records.clone()
    }

    /// Puts down something that does not match its checksum.
    #[cfg(test)]
    pub fn spoil(&self, key: &[u8]) {
        self.settle().expect("sled takes it");
        self.records.insert(key, b"not what was written").expect("sled takes it");
    }

    fn stored(&self, key: &[u8]) -> Result<Option<sled::IVec>, Fault> {
        match self.pending.get(key) {
            Some(write) => Ok(write),
            None => self.guard(|| self.records.get(key)),
        }
    }

    fn check<'a>(&self, key: &[u8], stored: &'a [u8]) -> Result<(&'a [u8], u128), Fault> {
        digest::open(key, stored).ok_or_else(|| self.met("a record does not match its checksum"))
    }

    fn guard<T>(&self, work: impl FnOnce() -> sled::Result<T>) -> Result<T, Fault> {
        guarded(work).map_err(|fault| match fault {
            Fault::Io(_) => fault,
            fault => self.met(&fault.to_string()),
        })
    }

    /// Notes damage, and wakes whoever rebuilds.
    fn met(&self, what: &str) -> Fault {
        let text = format!("tree of shard {}: {what}", self.shard);
        if self.damage.set(text.clone()).is_ok() {
            tracing::error!(shard = self.shard.0, what, "state damaged, it will be rebuilt");
            metrics::counter!("janua_storage_damage_total").increment(1);
        }
        self.damaged.notify_waiters();
        Fault::Damaged(text)
    }
}

impl Records for Tree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let stored = self.stored(key)?;
        self.check_usable()?;
        let Some(stored) = stored else { return Ok(None) };
        Ok(Some(self.check(key, &stored)?.0.to_vec()))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), Fault> {
        let start = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        self.visit(start, prefix, &mut |key, value, _| visit(key, value))
    }
}

fn join(filler: ScopedJoinHandle<'_, Result<(), Fault>>) -> Result<(), Fault> {
    filler.join().unwrap_or_else(|panic| Err(Fault::Damaged(panic_text(&*panic).into())))
}

/// Runs sled, which may panic on damaged files. Whatever it reports is damage, which heals by a
/// rebuild, but for a disk that takes no more writes: that one would take no rebuilt state either.
pub fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(sled::Error::Io(error))) if refuses_writes(error.kind()) => {
            Err(Fault::Io(format!("sled: {error}")))
        }
        Ok(Err(error)) => Err(Fault::Damaged(format!("sled: {error}"))),
        Err(panic) => Err(Fault::Damaged(format!("sled: {}", panic_text(&*panic)))),
    }
}

fn refuses_writes(kind: ErrorKind) -> bool {
    use ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied)
}

fn write_meta(meta: &Meta) -> Result<Vec<u8>, Fault> {
    let content = codec::encode(&StoredMeta {
        last_applied: meta.last_applied,
        membership: meta.membership.clone(),
        digest: meta.digest.0,
    })?;
    Ok(digest::seal(&content, digest::hash(META, &content)))
}

fn read_meta(shard: ShardId, stored: &[u8]) -> Result<Meta, Fault> {
    let damaged = || Fault::Damaged(format!("head of the tree of shard {shard}"));
    let (content, _) = digest::open(META, stored).ok_or_else(damaged)?;
    let StoredMeta { last_applied, membership, digest } = codec::decode(content)?;
    Ok(Meta { last_applied, membership, digest: Digest(digest) })
}
