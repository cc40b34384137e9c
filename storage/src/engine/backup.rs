//! What a running node puts into a backup: of each shard the snapshot that lies on disk and the log
//! since, up to a position that covers everything answered before the backup began.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::EntryPayload;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::error::Unavailable;
use super::raft::{Entry, LogId, Proposed};
use super::shard::Shard;
use super::snapshot::SnapshotFile;
use crate::backup::archive::{
    Bare, ClusterHead, Item, Position, ShardEnd, ShardHead, Wrap, Writer,
};
use crate::backup::recovery_key::RecoveryPublicKey;
use crate::backup::stream::Sealer;
use crate::codec;
use crate::fault::Fault;
use crate::ids::{ShardId, TenantNumber};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::seal::Key;

/// Entries read at once.
const CHUNK: u64 = 256;
/// Bytes of a snapshot read at once.
const BLOCK: usize = 256 * 1024;
/// How often a shard may begin again because a newer snapshot has let its log go meanwhile.
const TRIES: u32 = 10;
/// How long a replica may take to come to a position that its leader has come to.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(5);
/// Pieces of the archive that may wait for whoever reads it.
const WAITING: usize = 8;

/// What an archive says of its cluster, and to whom it is encrypted.
pub struct Order {
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// The cluster's key.
    pub key: Key,
    /// The version of commands and records that it has agreed on.
    pub data_version: u32,
    /// The version of the program.
    pub program: String,
    /// When the backup begins.
    pub begun: Moment,
    /// To whom it is encrypted.
    pub to: RecoveryPublicKey,
    /// The secret of the archive's own key.
    pub random: [u8; 32],
}

/// An archive, or a part of one, that is being written, piece by piece. Dropped, it ends early.
pub struct Archive {
    pieces: mpsc::Receiver<Result<Vec<u8>, Fault>>,
    _writing: JoinHandle<()>,
}

impl Archive {
    /// The next piece; none behind the last.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, Fault>> {
        self.pieces.recv().await
    }

    /// Of these parts, one for each shard, in their order.
    pub fn of(parts: Vec<Part>, order: Order) -> Result<Self, Fault> {
        let (sealer, head) = Sealer::new(&order.to, &order.random)?;
        Ok(Self::writing(move |out| {
            out(head)?;
            write(&order, parts, Writer::new(sealer, out))
        }))
    }

    fn writing(
        write: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> Result<(), Fault>) -> Result<(), Fault>
        + Send
        + 'static,
    ) -> Self {
        let (sender, pieces) = mpsc::channel(WAITING);
        let writing = tokio::task::spawn_blocking(move || {
            let mut out = |piece: Vec<u8>| {
                let gone = |_| Fault::Io("nobody reads the backup any more".into());
                sender.blocking_send(Ok(piece)).map_err(gone)
            };
            if let Err(fault) = write(&mut out) {
                tracing::warn!(%fault, "a backup has failed");
                // Whoever reads may have gone.
                drop(sender.blocking_send(Err(fault)));
            }
        });
        Self { pieces, _writing: writing }
    }
}

/// What arrives of a part that another node writes.
pub enum Arriving {
    /// The next bytes.
    Bytes(Bytes),
    /// That was all.
    End,
    /// There will be no more, though there should be.
    Broken(String),
}

/// Begins to fetch a part from another node.
pub type Fetch = Box<dyn FnOnce() -> mpsc::Receiver<Arriving> + Send>;

/// The part of one shard.
pub enum Part {
    /// From this node's replica, up to a position.
    Here(Held),
    /// From another node.
    There(Fetch),
}

/// A replica, and the position up to which it is backed up.
pub struct Held {
    shard: Arc<Shard>,
    upto: LogId,
}

impl Held {
    /// The part, as it is written for another node.
    pub fn send(self) -> Archive {
        Archive::writing(move |out| {
            let mut part = Writer::new(Bare, out);
            write_shard(&self, &mut part)?;
            part.flush()
        })
    }
}

impl Shard {
    /// A position that covers everything that was answered before this call; only the leader knows.
    pub async fn settled(&self) -> Result<Position, Unavailable> {
        self.read().await?;
        self.applied().map(|applied| position(&applied))
    }

    /// What this node's replica has, once it has come to a position.
    pub async fn held(self: &Arc<Self>, upto: Position) -> Result<Held, Unavailable> {
        let comes = async {
            loop {
                match self.applied() {
                    Ok(applied) if applied.index() >= upto.index => return applied,
                    _ => sleep(PAUSE).await,
                }
            }
        };
        let late = |_| Unavailable::new(format!("shard {} lags, or is not here", self.id()));
        let upto = timeout(DEADLINE, comes).await.map_err(late)?;
        Ok(Held { shard: self.clone(), upto })
    }

    fn applied(&self) -> Result<LogId, Unavailable> {
        let tree = self.core.tree().map_err(|fault| Unavailable::new(fault.to_string()))?;
        let applied = tree.meta().last_applied;
        applied.ok_or_else(|| Unavailable::new(format!("shard {} is empty", self.id())))
    }
}

fn write<F>(order: &Order, parts: Vec<Part>, mut archive: Writer<Sealer, F>) -> Result<(), Fault>
where
    F: FnMut(Vec<u8>) -> Result<(), Fault>,
{
    archive.item(&Item::Cluster(ClusterHead {
        cluster: order.cluster,
        data_version: order.data_version,
        program: order.program.clone(),
        shards: parts.len() as u16,
        key: *order.key.expose(),
        begun: order.begun,
    }))?;
    for part in parts {
        match part {
            Part::Here(held) => write_shard(&held, &mut archive)?,
            Part::There(fetch) => copy(fetch(), &mut archive)?,
        }
    }
    archive.finish()
}

fn copy<W, F>(
    mut arriving: mpsc::Receiver<Arriving>,
    archive: &mut Writer<W, F>,
) -> Result<(), Fault>
where
    W: Wrap,
    F: FnMut(Vec<u8>) -> Result<(), Fault>,
{
    loop {
        match arriving.blocking_recv() {
            Some(Arriving::Bytes(bytes)) => archive.content(&bytes)?,
            Some(Arriving::End) => return Ok(()),
            Some(Arriving::Broken(reason)) => return Err(Fault::Io(reason)),
            None => return Err(Fault::Io("a part of another node was cut off".into())),
        }
    }
}

fn write_shard<W, F>(part: &Held, archive: &mut Writer<W, F>) -> Result<(), Fault>
where
    W: Wrap,
    F: FnMut(Vec<u8>) -> Result<(), Fault>,
{
    for _ in 0..TRIES {
        if let ControlFlow::Break(end) = try_shard(part, archive)? {
            return archive.item(&Item::ShardEnd(end));
        }
    }
    let shard = part.shard.id();
    Err(Fault::Io(format!("the log of shard {shard} is freed faster than it can be read")))
}

/// `Continue` if the log behind the snapshot was freed while it was being read.
fn try_shard<W, F>(part: &Held, archive: &mut Writer<W, F>) -> Result<ControlFlow<ShardEnd>, Fault>
where
    W: Wrap,
    F: FnMut(Vec<u8>) -> Result<(), Fault>,
{
    let shard = &part.shard;
    let snapshot = sound_snapshot(shard)?;
    let base = snapshot.as_ref().map(|snapshot| snapshot.meta(shard.id())).transpose()?;
    let base = base.and_then(|meta| meta.last_log_id);
    let mut time = match &snapshot {
        Some(snapshot) => time_of(shard.id(), snapshot)?,
        None => Moment::default(),
    };
    archive.item(&Item::Shard(ShardHead {
        shard: shard.id(),
        snapshot: base.as_ref().map(position),
        time,
    }))?;
    if let Some(snapshot) = &snapshot {
        write_snapshot(snapshot, archive)?;
    }
    let last = base.max(Some(part.upto)).unwrap_or(part.upto);
    let mut next = base.map_or(0, |base| base.index() + 1);
    while next <= last.index() {
        let until = (next + CHUNK).min(last.index() + 1);
        let entries = match shard.core.log.entries(next, until) {
            Err(Fault::Damaged(_)) if was_purged(shard, next) => {
                return Ok(ControlFlow::Continue(()));
            }
            entries => entries?,
        };
        if entries.first().map(|entry| entry.log_id.index()) != Some(next) {
            return Ok(ControlFlow::Continue(()));
        }
        next += entries.len() as u64;
        time = entries.iter().filter_map(proposed).fold(time, Moment::max);
        write_entries(&entries, archive)?;
    }
    Ok(ControlFlow::Break(ShardEnd { last: position(&last), time }))
}

/// Whether the log has let an entry go.
fn was_purged(shard: &Shard, index: u64) -> bool {
    shard.core.log.purged().is_some_and(|purged| purged.index() >= index)
}

/// The snapshot of the shard, if there is one; a damaged one is made anew.
fn sound_snapshot(shard: &Shard) -> Result<Option<SnapshotFile>, Fault> {
    let core = &shard.core;
    let Some(snapshot) = core.snapshots.current(shard.id())? else { return Ok(None) };
    match snapshot.verify(shard.id(), || ControlFlow::Continue(())) {
        Ok(()) => Ok(Some(snapshot)),
        Err(Fault::Damaged(_)) => {
            let (_, taken) = core.take_snapshot(&*core.tree()?)?;
            Ok(Some(taken))
        }
        Err(fault) => Err(fault),
    }
}

/// The shard's time at a snapshot.
pub(super) fn time_of(shard: ShardId, snapshot: &SnapshotFile) -> Result<Moment, Fault> {
    let clock = keys::single(TenantNumber::CLUSTER, Kind::Clock);
    let time = snapshot.first_record_under(shard, &clock)?;
    time.map(|bytes| codec::decode(&bytes)).transpose().map(Option::unwrap_or_default)
}

fn write_snapshot<W, F>(snapshot: &SnapshotFile, archive: &mut Writer<W, F>) -> Result<(), Fault>
where
    W: Wrap,
    F: FnMut(Vec<u8>) -> Result<(), Fault>,
{
    let (bytes, mut at) = (snapshot.bytes(), 0);
    archive.item(&Item::Snapshot(bytes))?;
    let mut block = vec![0; BLOCK];
    while at < bytes {
        let length = block.len().min((bytes - at) as usize);
        let read = snapshot.read_at(at, &mut block[..length])?;
        if read == 0 {
            return Err(Fault::Damaged("a snapshot became shorter".into()));
        }
        archive.content(&block[..read])?;
        at += read as u64;
    }
    Ok(())
}

fn write_entries<W, F>(entries: &[Entry], archive: &mut Writer<W, F>) -> Result<(), Fault>
where
    W: Wrap,
    F: FnMut(Vec<u8>) -> Result<(), Fault>,
{
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = codec::encode(entry)?;
        bytes.extend_from_slice(&(entry.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&entry);
    }
    archive.item(&Item::Entries(bytes.len() as u64))?;
    archive.content(&bytes)
}

/// The proposer's clock in an entry.
pub(super) fn proposed(entry: &Entry) -> Option<Moment> {
    match &entry.payload {
        EntryPayload::Normal(Proposed(proposal)) => Some(proposal.proposed),
        _ => None,
    }
}

pub(super) fn position(id: &LogId) -> Position {
    Position { term: id.leader_id.term, index: id.index() }
}
