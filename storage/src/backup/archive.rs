//! What an archive holds: the cluster, then each shard as a snapshot and the log behind it, then a
//! mark of the end.
//!
//! Decision: a shard goes into the archive as the snapshot that lies on disk and the log since. So a
//! backup writes nothing on the node, and the archive can be restored to any position in that log.

use std::io::Read;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ArchiveError;
use super::stream::{Opener, Sealer};
use crate::codec;
use crate::fault::Fault;
use crate::ids::ShardId;
use crate::moment::Moment;

/// No item is longer; a longer one is damage.
const LONGEST: u32 = 1 << 20;

/// The next thing in an archive. Append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// Whose backup it is; the first item.
    Cluster(ClusterHead),
    /// A shard begins, or begins again, when what it began with was overtaken while it was read.
    Shard(ShardHead),
    /// Its snapshot follows, so many bytes.
    Snapshot(u64),
    /// Entries of its log follow, so many bytes, each with its length before it.
    Entries(u64),
    /// The shard has ended.
    ShardEnd(ShardEnd),
    /// The archive has ended.
    End,
}

/// A cluster, as of its backup.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHead {
    /// Its id.
    pub cluster: [u8; 16],
    /// The version of its data folders.
    pub data_version: u32,
    /// The version of the program.
    pub program: String,
    /// Its Raft groups.
    pub shards: u16,
    /// The cluster key, bare: the archive is its wrapping.
    pub key: [u8; 32],
    /// When the backup began.
    pub begun: Moment,
}

impl std::fmt::Debug for ClusterHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClusterHead({:?}, {} shards)", self.begun, self.shards)
    }
}

/// A position in the log of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// The term of the entry.
    pub term: u64,
    /// Its index.
    pub index: u64,
}

/// Where a shard's part of the archive begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardHead {
    /// Which one.
    pub shard: ShardId,
    /// The position of its snapshot; none if the log reaches back to its beginning.
    pub snapshot: Option<Position>,
    /// The shard's time at that position.
    pub time: Moment,
}

/// Where it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEnd {
    /// The position of its last entry.
    pub last: Position,
    /// The shard's time at that position.
    pub time: Moment,
}

/// What becomes of an archive's content before it leaves.
pub trait Wrap {
    /// Takes further content, and puts what is ready into `out`.
    fn push(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), Fault>;
}

impl Wrap for Sealer {
    fn push(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        Self::push(self, content, out)
    }
}

/// Nothing: a part of an archive on its way to the node that writes it.
pub struct Bare;

impl Wrap for Bare {
    fn push(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        out.extend_from_slice(content);
        Ok(())
    }
}

/// Writes an archive, or a part of one. What comes out is handed to `out` as it comes.
pub struct Writer<W, F> {
    wrap: W,
    buffer: Vec<u8>,
    out: F,
}

/// Bytes handed on at once.
const PIECE: usize = 256 * 1024;

impl<W: Wrap, F: FnMut(Vec<u8>) -> Result<(), Fault>> Writer<W, F> {
    /// Into `out`, where the head has gone already.
    pub fn new(wrap: W, out: F) -> Self {
        Self { wrap, buffer: Vec::new(), out }
    }

    /// The next item.
    pub fn item(&mut self, item: &Item) -> Result<(), Fault> {
        let bytes = Zeroizing::new(codec::encode(item)?);
        self.content(&(bytes.len() as u32).to_be_bytes())?;
        self.content(&bytes)
    }

    /// What the last item has announced.
    pub fn content(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.wrap.push(bytes, &mut self.buffer)?;
        match self.buffer.len() >= PIECE {
            true => (self.out)(std::mem::take(&mut self.buffer)),
            false => Ok(()),
        }
    }
}

impl<F: FnMut(Vec<u8>) -> Result<(), Fault>> Writer<Sealer, F> {
    /// The end.
    pub fn finish(mut self) -> Result<(), Fault> {
        self.item(&Item::End)?;
        self.wrap.finish(&mut self.buffer)?;
        (self.out)(self.buffer)
    }
}

impl<F: FnMut(Vec<u8>) -> Result<(), Fault>> Writer<Bare, F> {
    /// The end of a part.
    pub fn flush(mut self) -> Result<(), Fault> {
        (self.out)(self.buffer)
    }
}

/// Reads an archive.
pub struct Reader<R> {
    opener: Opener<R>,
}

impl<R: Read> Reader<R> {
    /// The archive behind its head.
    pub fn new(opener: Opener<R>) -> Self {
        Self { opener }
    }

    /// The next item.
    pub fn item(&mut self) -> Result<Item, ArchiveError> {
        let bytes = Zeroizing::new(self.sized(LONGEST)?);
        Ok(codec::decode(&bytes)?)
    }

    /// Fills `buffer` with what the last item has announced.
    pub fn content(&mut self, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        self.opener.take(buffer)
    }

    /// Entries that the last item has announced, one by one.
    pub fn entries(
        &mut self,
        bytes: u64,
        mut visit: impl FnMut(Vec<u8>) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let mut left = bytes;
        while left > 0 {
            let entry = self.sized(u32::MAX)?;
            let taken = entry.len() as u64 + 4;
            let lying = || ArchiveError::Damaged("a length in it does not fit".into());
            left = left.checked_sub(taken).ok_or_else(lying)?;
            visit(entry)?;
        }
        Ok(())
    }

    /// Passes over content.
    pub fn skip(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        let mut buffer = vec![0; PIECE];
        let mut left = bytes;
        while left > 0 {
            let length = left.min(PIECE as u64) as usize;
            self.content(&mut buffer[..length])?;
            left -= length as u64;
        }
        Ok(())
    }

    /// Makes sure that nothing follows.
    pub fn end(self) -> Result<(), ArchiveError> {
        self.opener.end()
    }

    fn sized(&mut self, longest: u32) -> Result<Vec<u8>, ArchiveError> {
        let mut length = [0; 4];
        self.opener.take(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > longest {
            return Err(ArchiveError::Damaged("a length in it is beyond reason".into()));
        }
        let mut bytes = Vec::new();
        // Piece by piece: memory is taken for what is there, not for what is claimed.
        while bytes.len() < length as usize {
            let piece = (length as usize - bytes.len()).min(PIECE);
            let start = bytes.len();
            bytes.resize(start + piece, 0);
            self.opener.take(&mut bytes[start..])?;
        }
        Ok(bytes)
    }
}
