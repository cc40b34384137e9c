//! The bytes of a snapshot: magic and version, a head, the records in key order, a mark, the
//! number of records, and the checksum of everything before it.

use std::io;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::codec;
use crate::engine::files::DiskFile;
use crate::engine::raft::{LogId, Membership, SnapshotMeta};
use crate::engine::tree::{Meta, Record};
use crate::fault::Fault;
use crate::ids::ShardId;

const MAGIC: &[u8; 8] = b"JANUASNP";
const VERSION: u32 = 1;
/// Stands where the length of a key would: no further record.
const END: u32 = u32::MAX;
/// Bytes read or written at once.
const BLOCK: usize = 256 * 1024;
/// Records handed on at once.
const RUN: usize = 4_096;
/// No key, value or head is longer; a longer length is damage.
const LONGEST: u32 = 64 * 1024 * 1024;

/// What stands at the beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    /// Whose records these are.
    pub shard: ShardId,
    /// The entry after which they were so.
    pub last_applied: Option<LogId>,
    /// The members as of then.
    pub membership: Membership,
    /// The sum over the records.
    pub digest: u128,
}

impl From<Head> for SnapshotMeta {
    fn from(head: Head) -> Self {
        Self { last_log_id: head.last_applied, last_membership: head.membership }
    }
}

/// Writes a snapshot.
pub struct Writer<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    buffer: Vec<u8>,
    sum: Xxh3,
    count: u64,
}

impl<'a> Writer<'a> {
    /// Into an empty file.
    pub fn new(file: &'a dyn DiskFile) -> Self {
        let buffer = Vec::with_capacity(BLOCK + 4096);
        Self { file, at: 0, buffer, sum: Xxh3::new(), count: 0 }
    }

    /// The beginning.
    pub fn head(&mut self, shard: ShardId, meta: &Meta) -> Result<(), Fault> {
        let head = codec::encode(&Head {
            shard,
            last_applied: meta.last_applied,
            membership: meta.membership.clone(),
            digest: meta.digest.0,
        })?;
        self.buffer.extend_from_slice(MAGIC);
        self.buffer.extend_from_slice(&VERSION.to_be_bytes());
        self.buffer.extend_from_slice(&(head.len() as u32).to_be_bytes());
        self.buffer.extend_from_slice(&head);
        Ok(())
    }

    /// Further records.
    pub fn records(&mut self, records: &[Record]) -> Result<(), Fault> {
        for (key, value) in records {
            self.buffer.extend_from_slice(&(key.len() as u32).to_be_bytes());
            self.buffer.extend_from_slice(&(value.len() as u32).to_be_bytes());
            self.buffer.extend_from_slice(key);
            self.buffer.extend_from_slice(value);
            if self.buffer.len() >= BLOCK {
                self.flush()?;
            }
        }
        self.count += records.len() as u64;
        Ok(())
    }

    /// The end.
    pub fn finish(mut self) -> Result<(), Fault> {
        self.buffer.extend_from_slice(&END.to_be_bytes());
        self.buffer.extend_from_slice(&self.count.to_be_bytes());
        self.flush()?;
        self.file.write_at(self.at, &self.sum.digest().to_be_bytes())?;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(self.at, &self.buffer)?;
        self.sum.update(&self.buffer);
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads a snapshot. What it gives is to be trusted only once the end has been reached.
pub struct Reader<'a> {
    /// The beginning.
    pub head: Head,
    source: Source<'a>,
    count: u64,
    ended: bool,
}

impl<'a> Reader<'a> {
    /// Reads the beginning.
    pub fn open(file: &'a dyn DiskFile, shard: ShardId) -> Result<Self, Fault> {
        let mut source = Source { file, at: 0, buffer: Vec::new(), used: 0, sum: Xxh3::new() };
        if source.take(MAGIC.len())? != MAGIC.as_slice() {
            return Err(damaged("it is no snapshot"));
        }
        let version = source.number()?;
        if version > VERSION {
            return Err(Fault::Newer { what: "a snapshot", found: version, known: VERSION });
        }
        let length = source.length()?;
        let head: Head = codec::decode(source.take(length)?)?;
        if head.shard != shard {
            return Err(damaged("it is of another shard"));
        }
        Ok(Self { head, source, count: 0, ended: false })
    }

    /// The next records; none once the end has been reached and everything was as written.
    pub fn next_run(&mut self) -> Result<Vec<Record>, Fault> {
        let mut records = Vec::with_capacity(RUN);
        while !self.ended && records.len() < RUN {
            let key = self.source.number()?;
            if key == END {
                self.end(self.count + records.len() as u64)?;
                break;
            }
            let key = bounded(key)?;
            let value = self.source.length()?;
            let bytes = self.source.take(key + value)?;
            records.push((bytes[..key].to_vec(), bytes[key..].to_vec()));
        }
        self.count += records.len() as u64;
        Ok(records)
    }

    fn end(&mut self, records: u64) -> Result<(), Fault> {
        let count = self.source.wide()?;
        self.source.settle();
        let sum = self.source.sum.digest();
        if self.source.wide()? != sum || count != records {
            return Err(damaged("it does not match its checksum"));
        }
        self.ended = true;
        Ok(())
    }
}

struct Source<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    buffer: Vec<u8>,
    used: usize,
    sum: Xxh3,
}

impl Source<'_> {
    /// The next bytes, which are then summed up.
    fn take(&mut self, length: usize) -> Result<&[u8], Fault> {
        if self.buffer.len() - self.used < length {
            self.fill(length)?;
        }
        let start = self.used;
        self.used += length;
        Ok(&self.buffer[start..self.used])
    }

    fn fill(&mut self, length: usize) -> Result<(), Fault> {
        self.settle();
        let kept = self.buffer.len();
        let left = self.file.size()?.saturating_sub(self.at) as usize;
        self.buffer.resize(kept + length.max(BLOCK.min(left)), 0);
        let read = self.file.read_at(self.at, &mut self.buffer[kept..])?;
        self.at += read as u64;
        self.buffer.truncate(kept + read);
        match self.buffer.len() < length {
            true => Err(damaged("it is cut short")),
            false => Ok(()),
        }
    }

    /// Sums up and forgets what has been used.
    fn settle(&mut self) {
        self.sum.update(&self.buffer[..self.used]);
        self.buffer.drain(..self.used);
        self.used = 0;
    }

    fn number(&mut self) -> Result<u32, Fault> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }

    fn length(&mut self) -> Result<usize, Fault> {
        bounded(self.number()?)
    }

    fn wide(&mut self) -> Result<u64, Fault> {
        Ok(u64::from(self.number()?) << 32 | u64::from(self.number()?))
    }
}

fn bounded(length: u32) -> Result<usize, Fault> {
    if length > LONGEST {
        Err(damaged("a length in it is beyond reason"))
    } else {
        Ok(length as usize)
    }
}

fn damaged(what: &str) -> Fault {
    Fault::Damaged(format!("snapshot: {what}"))
}
