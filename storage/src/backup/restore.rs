//! From an archive to the data folder of a new, lone node. An archive is read twice: once to its end
//! before anything is written, so that one that cannot be used leaves no trace, and once to unpack.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::Path;

use super::ArchiveError;
use super::archive::{ClusterHead, Item, Position, Reader, ShardEnd, ShardHead};
use super::recovery_key::RecoveryKey;
use super::stream::Opener;
use crate::engine::revival::{Reached, Revival, ShardRevival, Until};
use crate::engine::{DATA_VERSION, OpenError, Options};
use crate::fault::Fault;
use crate::ids::ShardId;
use crate::moment::Moment;

/// Bytes handed on at once.
const BLOCK: usize = 256 * 1024;

/// Why a restore ends early: one line each, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It does not reach to where it was asked for.
    #[error("{0}")]
    OutOfReach(String),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] OpenError),
    /// The folder cannot be written, or the archive does not make sense.
    #[error("{0}")]
    Broken(#[from] Fault),
}

/// What an archive was found to hold.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The cluster.
    pub cluster: ClusterHead,
    /// Its shards.
    pub shards: Vec<Extent>,
    /// Bytes in the file.
    pub bytes: u64,
}

/// How far a shard can be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Which one.
    pub shard: ShardId,
    /// The earliest position; none if all of its log is there.
    pub first: Option<Position>,
    /// The shard's time then.
    pub first_time: Moment,
    /// The latest position.
    pub last: Position,
    /// The shard's time then.
    pub last_time: Moment,
}

/// Where the logs are left off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cut {
    /// At their ends.
    End,
    /// Before the first entry that is later.
    Time(Moment),
    /// Each behind the entry of this index; at their ends those that are not named.
    Positions(BTreeMap<ShardId, u64>),
}

impl Cut {
    fn of(&self, shard: ShardId) -> Until {
        match self {
            Self::End => Until::End,
            Self::Time(latest) => Until::Time(*latest),
            Self::Positions(last) => {
                last.get(&shard).map_or(Until::End, |last| Until::Index(*last))
            }
        }
    }
}

impl Contents {
    /// The earliest time that all shards can be restored to.
    pub fn earliest(&self) -> Moment {
        let times = self.shards.iter().filter(|extent| extent.first.is_some());
        times.map(|extent| extent.first_time).max().unwrap_or_default()
    }

    /// Whether the archive reaches to where it is to be cut.
    pub fn check(&self, cut: &Cut) -> Result<(), RestoreError> {
        match cut {
            Cut::End => Ok(()),
            Cut::Time(latest) if *latest >= self.earliest() => Ok(()),
            Cut::Time(_) => Err(RestoreError::OutOfReach(format!(
                "it reaches back to {} (Unix milliseconds {}), and not further",
                self.earliest(),
                self.earliest().0
            ))),
            Cut::Positions(last) => last.iter().try_for_each(|(shard, index)| {
                let extent = self.shards.iter().find(|extent| extent.shard == *shard);
                let unknown = || RestoreError::OutOfReach(format!("it has no shard {shard}"));
                let extent = extent.ok_or_else(unknown)?;
                let first = extent.first.map_or(0, |first| first.index);
                match (first..=extent.last.index).contains(index) {
                    true => Ok(()),
                    false => Err(RestoreError::OutOfReach(format!(
                        "of shard {shard} it has the positions {first} to {}",
                        extent.last.index
                    ))),
                }
            }),
        }
    }
}

/// Reads an archive to its end, and tells what it holds.
pub fn inspect(file: &Path, key: &RecoveryKey) -> Result<Contents, ArchiveError> {
    let bytes = fs::metadata(file)?.len();
    let mut archive = open(file, key)?;
    let cluster = cluster(&mut archive)?;
    let mut shards = Vec::new();
    let mut current: Option<ShardHead> = None;
    loop {
        match archive.item()? {
            Item::Shard(head) => current = Some(head),
            Item::Snapshot(bytes) | Item::Entries(bytes) => archive.skip(bytes)?,
            Item::ShardEnd(end) => {
                let head = current.take().ok_or_else(misplaced)?;
                if usize::from(head.shard.0) != shards.len() {
                    return Err(misplaced());
                }
                shards.push(extent(head, end));
            }
            Item::End => break,
            Item::Cluster(_) => return Err(misplaced()),
        }
    }
    archive.end()?;
    if cluster.data_version > DATA_VERSION {
        let (found, known) = (cluster.data_version, DATA_VERSION);
        return Err(ArchiveError::Newer { found, known });
    }
    match shards.len() == usize::from(cluster.shards) && current.is_none() {
        true => Ok(Contents { cluster, shards, bytes }),
        false => Err(misplaced()),
    }
}

/// Makes a data folder of an archive that was inspected.
pub async fn unpack(
    file: &Path,
    key: &RecoveryKey,
    cut: &Cut,
    options: &Options,
) -> Result<Vec<Reached>, RestoreError> {
    let revival = Revival::begin(options)?;
    let received = options.data_dir.join("received");
    let unpacked = unpack_shards(file, key, cut, &revival, &received).await;
    // It may never have been made.
    drop(fs::remove_file(&received));
    let closed = revival.close().map_err(|error| RestoreError::Broken(error.into()));
    unpacked.and_then(|reached| closed.map(|()| reached))
}

async fn unpack_shards(
    file: &Path,
    key: &RecoveryKey,
    cut: &Cut,
    revival: &Revival,
    received: &Path,
) -> Result<Vec<Reached>, RestoreError> {
    let mut archive = open(file, key)?;
    cluster(&mut archive)?;
    let mut reached = Vec::new();
    let mut current: Option<(ShardHead, Option<ShardRevival>)> = None;
    loop {
        match archive.item()? {
            Item::Shard(head) => current = Some((head, None)),
            Item::Snapshot(bytes) => {
                let (head, shard) = current.as_mut().ok_or_else(misplaced)?;
                receive(&mut archive, bytes, received)?;
                *shard = Some(revival.shard(head.shard, Some(received))?);
            }
            Item::Entries(bytes) => {
                let (head, shard) = current.as_mut().ok_or_else(misplaced)?;
                let until = cut.of(head.shard);
                let shard = match shard {
                    Some(shard) => shard,
                    None => shard.insert(revival.shard(head.shard, None)?),
                };
                archive.entries(bytes, |entry| Ok(shard.entry(&entry, until)?))?;
            }
            Item::ShardEnd(_) => {
                let (_, shard) = current.take().ok_or_else(misplaced)?;
                reached.push(revival.finish(shard.ok_or_else(misplaced)?).await?);
            }
            Item::End => return Ok(reached),
            Item::Cluster(_) => return Err(misplaced().into()),
        }
    }
}

fn open(file: &Path, key: &RecoveryKey) -> Result<Reader<BufReader<File>>, ArchiveError> {
    let source = BufReader::with_capacity(BLOCK, File::open(file)?);
    Ok(Reader::new(Opener::new(source, key)?))
}

fn cluster(archive: &mut Reader<BufReader<File>>) -> Result<ClusterHead, ArchiveError> {
    match archive.item()? {
        Item::Cluster(head) => Ok(head),
        _ => Err(misplaced()),
    }
}

fn receive(
    archive: &mut Reader<BufReader<File>>,
    bytes: u64,
    to: &Path,
) -> Result<(), ArchiveError> {
    let mut file = File::create(to)?;
    let mut block = vec![0; BLOCK];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(BLOCK as u64) as usize;
        archive.content(&mut block[..length])?;
        file.write_all(&block[..length])?;
        left -= length as u64;
    }
    Ok(())
}

fn extent(head: ShardHead, end: ShardEnd) -> Extent {
    let ShardHead { shard, snapshot: first, time: first_time } = head;
    Extent { shard, first, first_time, last: end.last, last_time: end.time }
}

fn misplaced() -> ArchiveError {
    ArchiveError::Damaged("its parts are not in order".into())
}
