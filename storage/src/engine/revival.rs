//! Makes the data folder of a new, lone node out of what shards of another cluster hold: a snapshot
//! and a log each, from a backup or from the folder of a node whose peers are lost.
//!
//! Invariant: the new node is the only member of each shard, so that no node of the old cluster has
//! a say in it; and its vote is of a later term than any that the old one gave.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use openraft::EntryPayload;
use openraft::storage::RaftLogStorage;

use super::backup::{position, proposed, time_of};
use super::error::OpenError;
use super::files::{Disk, RealDisk};
use super::folder::Folder;
use super::log::store::ShardLog;
use super::log::{Log, LogOptions};
use super::poison::Poison;
use super::raft::{Entry, LogId, Membership, Proposed, Vote};
use super::snapshot::{SnapshotFile, Snapshots};
use super::tree::store::Store;
use super::tree::{Haste, Tree};
use super::{Logic, Options, StateMachine};
use crate::backup::archive::Position;
use crate::codec;
use crate::fault::Fault;
use crate::ids::{ShardId, TenantNumber};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::records::Records;
use crate::transaction::Transaction;

/// Entries that go into one batch at most.
const RUN: usize = 512;

/// Where the log of a shard is left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// At its end.
    End,
    /// Before the first entry that is later.
    Time(Moment),
    /// Behind the entry of this index.
    Index(u64),
}

/// A data folder in the making.
pub struct Revival {
    node: u64,
    disk: Arc<dyn Disk>,
    folder: Folder,
    log: Arc<Log>,
    store: Arc<Store>,
    snapshots: Arc<Snapshots>,
}

impl Revival {
    /// Begins in a folder, which must be empty.
    pub fn begin(options: &Options) -> Result<Self, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let dir = &options.data_dir;
        let unusable = |path: PathBuf| {
            move |error: io::Error| OpenError::Folder { path, problem: error.to_string() }
        };
        let folder = Folder::open(&disk, dir, options.shards)?;
        let log = open_log(&disk, options, &Arc::default())?;
        let snapshots = Snapshots::open(&disk, dir.join("snapshots"));
        let snapshots = Arc::new(snapshots.map_err(unusable(dir.join("snapshots")))?);
        let state = dir.join("state");
        let store = Store::open(&state, options.cache_bytes).map_err(unusable(state.clone()))?;
        Ok(Self { node: options.node, disk, folder, log, store: Arc::new(store), snapshots })
    }

    /// Begins with a shard, on its snapshot if it has one.
    pub fn shard(&self, shard: ShardId, snapshot: Option<&Path>) -> Result<ShardRevival, Fault> {
        let tree = self.store.fresh(shard)?;
        if let Some(path) = snapshot {
            SnapshotFile::open(&*self.disk, path)?.load(shard, &tree, Haste::AllCores)?;
        }
        let clock = tree.get(&keys::single(TenantNumber::CLUSTER, Kind::Clock))?;
        let time = clock.map(|bytes| codec::decode(&bytes)).transpose()?.unwrap_or_default();
        Ok(ShardRevival { shard, tree, time, run: Vec::new(), left_off: false })
    }

    /// Ends a shard: its only member is the new node, its log begins behind what it holds.
    pub async fn finish(&self, mut revival: ShardRevival) -> Result<Reached, Fault> {
        revival.apply_run()?;
        let (shard, tree) = (revival.shard, revival.tree);
        let last = tree.meta().last_applied;
        let last = last.ok_or_else(|| Fault::Damaged(format!("shard {shard} is empty")))?;
        let voters = vec![BTreeSet::from([self.node])];
        let alone = openraft::Membership::new_with_defaults(voters, []);
        tree.commit(&BTreeMap::new(), None, Some(Membership::new(Some(last), alone)))?;
        self.snapshots.take(shard, &tree, None, &AtomicBool::new(false), || true)?;
        let mut log = ShardLog::open(&self.log, shard)?;
        log.save_vote(&Vote::new(last.leader_id.term + 1, self.node)).await?;
        log.purge(last).await?;
        Ok(Reached { shard, last: position(&last), time: revival.time })
    }

    /// Writes everything down and gives the folder back.
    pub fn close(self) -> io::Result<()> {
        self.store.close()?;
        let whole = self.log.close();
        drop(self.folder);
        match whole {
            true => Ok(()),
            false => Err(io::Error::other("the log could not be written")),
        }
    }
}

/// Where a revived shard has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Which one.
    pub shard: ShardId,
    /// Its last entry.
    pub last: Position,
    /// Its time.
    pub time: Moment,
}

/// A shard in the making.
pub struct ShardRevival {
    shard: ShardId,
    tree: Arc<Tree>,
    time: Moment,
    run: Vec<Entry>,
    left_off: bool,
}

impl ShardRevival {
    /// Takes the next entry of the log, unless it is beyond `until`.
    pub fn entry(&mut self, bytes: &[u8], until: Until) -> Result<(), Fault> {
        self.take(codec::decode(bytes)?, until)
    }

    fn take(&mut self, entry: Entry, until: Until) -> Result<(), Fault> {
        let time = proposed(&entry).map_or(self.time, |time| time.max(self.time));
        self.left_off |= match until {
            Until::End => false,
            Until::Time(latest) => time > latest,
            Until::Index(last) => entry.log_id.index() > last,
        };
        if self.left_off {
            return Ok(());
        }
        self.time = time;
        self.run.push(entry);
        if self.run.len() == RUN { self.apply_run() } else { Ok(()) }
    }

    fn apply_run(&mut self) -> Result<(), Fault> {
        let Some(last) = self.run.last().map(|entry| entry.log_id) else { return Ok(()) };
        let next = self.tree.next_index();
        if self.run[0].log_id.index() != next {
            let shard = self.shard;
            return Err(Fault::Damaged(format!("log entry {next} of shard {shard} is missing")));
        }
        let mut transaction = Transaction::new(&*self.tree);
        for entry in self.run.drain(..) {
            if let EntryPayload::Normal(Proposed(proposal)) = entry.payload {
                // What it answered is of no interest any more.
                drop(StateMachine.apply(&mut transaction, proposal)?);
            }
        }
        self.tree.commit(&transaction.finish().writes, Some(last), None)
    }
}

/// What a node that does not run has of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survived {
    /// Which one.
    pub shard: ShardId,
    /// The last entry that this node knew to be acknowledged by a quorum.
    pub committed: Option<Position>,
    /// The last entry that it has.
    pub last: Position,
    /// The time of the shard by then.
    pub time: Moment,
    /// The last entry that it had before the group let it go, unless it has come as far again.
    pub held: Option<Position>,
    /// Who votes, as this node knows it; in the middle of a change, those before it and after it.
    pub voters: Vec<BTreeSet<u64>>,
}

impl Survived {
    /// Whether a node votes.
    pub fn has_voter(&self, node: u64) -> bool {
        self.voters.iter().any(|voters| voters.contains(&node))
    }
}

/// The data folder of a node that does not run, read only.
pub struct Survivor {
    log: Arc<Log>,
    snapshots: Snapshots,
    _folder: Folder,
}

impl Survivor {
    /// Takes the folder. What a torn last write left in its log is cut off, as any start does.
    pub fn open(options: &Options) -> Result<Self, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let folder = Folder::open_present(&disk, &options.data_dir, options.shards)?;
        let log = open_log(&disk, options, &Arc::default())?;
        let dir = options.data_dir.join("snapshots");
        let snapshots = Snapshots::open(&disk, dir.clone())
            .map_err(|error| OpenError::Folder { path: dir, problem: error.to_string() })?;
        Ok(Self { log, snapshots, _folder: folder })
    }

    /// What there is of a shard; none if this node has no part in it.
    pub async fn survived(&self, shard: ShardId) -> Result<Option<Survived>, Fault> {
        let mut log = ShardLog::open(&self.log, shard)?;
        // Giving it up was begun, and any start would go on with that.
        if log.is_forgotten() {
            return Ok(None);
        }
        let (mut covered, mut told) = (None, Told::default());
        if let Some(snapshot) = self.snapshots.current(shard)? {
            let meta = snapshot.meta(shard)?;
            covered = meta.last_log_id;
            told.time = time_of(shard, &snapshot)?;
            told.voters = meta.last_membership.membership().get_joint_config().clone();
        }
        let committed = log.read_committed().await?.max(covered);
        let Some(last) = log.last().max(covered) else { return Ok(None) };
        told.listen(&log, covered.map_or(0, |covered| covered.index() + 1))?;
        let Told { time, voters } = told;
        let held = log.held().filter(|held| *held > last);
        let (committed, held) = (committed.as_ref().map(position), held.as_ref().map(position));
        Ok(Some(Survived { shard, committed, last: position(&last), time, held, voters }))
    }

    /// Revives a shard with everything that this node has of it: its last entries may not have been
    /// acknowledged, but nobody can tell any more which were.
    pub fn revive(&self, shard: ShardId, revival: &Revival) -> Result<ShardRevival, Fault> {
        let log = ShardLog::open(&self.log, shard)?;
        let snapshot = self.snapshots.current(shard)?.map(|_| self.snapshots.path(shard));
        let mut revived = revival.shard(shard, snapshot.as_deref())?;
        let mut next = revived.tree.next_index();
        let last = log.last().map_or(0, |last: LogId| last.index());
        while next <= last {
            let entries = log.entries(next, next + RUN as u64)?;
            if entries.is_empty() {
                return Err(Fault::Damaged(format!("log entry {next} of shard {shard} is gone")));
            }
            next += entries.len() as u64;
            for entry in entries {
                revived.take(entry, Until::End)?;
            }
        }
        Ok(revived)
    }
}

/// What snapshot and log tell of a shard.
#[derive(Default)]
struct Told {
    time: Moment,
    voters: Vec<BTreeSet<u64>>,
}

impl Told {
    /// Goes by what a log says from an entry on.
    fn listen(&mut self, log: &ShardLog, from: u64) -> Result<(), Fault> {
        let mut next = from;
        let last = log.last().map_or(0, |last: LogId| last.index());
        while next <= last {
            let entries = log.entries(next, next + RUN as u64)?;
            if entries.is_empty() {
                break;
            }
            next += entries.len() as u64;
            for entry in entries {
                self.time = proposed(&entry).map_or(self.time, |time| time.max(self.time));
                if let EntryPayload::Membership(members) = entry.payload {
                    self.voters = members.get_joint_config().clone();
                }
            }
        }
        Ok(())
    }
}

fn open_log(
    disk: &Arc<dyn Disk>,
    options: &Options,
    poison: &Arc<Poison>,
) -> Result<Arc<Log>, OpenError> {
    let dir = options.data_dir.join("log");
    let unusable =
        |error: io::Error| OpenError::Folder { path: dir.clone(), problem: error.to_string() };
    disk.create_dir(&dir).map_err(unusable)?;
    let options = LogOptions {
        dir,
        file_bytes: options.log_file_bytes,
        purge_bytes: options.log_purge_bytes,
        clean: false,
    };
    Log::open(options, disk, poison).map(Arc::new)
}
