//! Torn or damaged? After a crash the newest file of the log may end in a torn batch, which nobody
//! was told of, and which recovery cuts off. If an intact batch follows the place where a file
//! stops to decode, more than that is gone: batches are synced one by one, so whatever precedes an
//! intact batch was once durable and acknowledged.

use std::io;
use std::path::{Path, PathBuf};

use crate::engine::files::{Disk, DiskFile, read_all};

/// Bytes of a batch before its content: length and compression, then the offset of the footer.
const HEAD: usize = 16;
/// Bytes of the header of a file: magic, version, alignment.
const FILE_HEAD: u64 = 53 + 8 + 8;
/// The least that a footer can be: a count, an item, a checksum.
const FOOTER_MIN: usize = 6;

/// Where an intact batch begins behind `offset` of a file of the log, if one does.
pub fn batch_after(path: &Path, file: &dyn DiskFile, offset: u64) -> io::Result<Option<u64>> {
    let Some(signature) = signature(path) else { return Ok(None) };
    // The batch at the cut does not decode, so the search begins behind its first byte.
    let start = offset + 1;
    let mut bytes = vec![0; file.size()?.saturating_sub(start) as usize];
    let read = file.read_at(start, &mut bytes)?;
    let used = bytes[..read].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let found = (0..used.saturating_sub(HEAD)).find(|at| is_batch(&bytes[*at..used], signature));
    Ok(found.map(|at| start + at as u64))
}

/// The first file of the log that does not decode to its end, for an error that must name one.
pub fn first_damaged(disk: &dyn Disk, dir: &Path) -> Option<PathBuf> {
    let mut files = disk.list(dir).ok()?;
    files.retain(|path| signature(path).is_some());
    files.sort();
    files.into_iter().find(|path| !is_whole(disk, path).unwrap_or(false))
}

fn is_whole(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let Some(signature) = signature(path) else { return Ok(true) };
    let bytes = read_all(disk, path)?.unwrap_or_default();
    let mut at = FILE_HEAD as usize;
    while at < bytes.len() {
        match is_batch(&bytes[at..], signature) {
            true => at += length(&bytes[at..]),
            false => return Ok(false),
        }
    }
    Ok(at == bytes.len())
}

/// Whether no file of its kind has a higher number. Any other was synced before the next one was
/// begun, to its end.
pub fn is_newest(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let files = disk.list(path.parent().unwrap_or(Path::new("")))?;
    // Names have leading zeros, and so the order of their numbers.
    let mut alike = files.iter().filter(|file| file.extension() == path.extension());
    Ok(alike.all(|file| file.file_name() <= path.file_name()))
}

/// What raft-engine mixes into the checksums of a file: its number. `None` for other files than
/// those that appends go to.
fn signature(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?.strip_suffix(".raftlog")?;
    name.parse::<u64>().ok().map(|number| number as u32)
}

fn length(batch: &[u8]) -> usize {
    word(batch, 0) >> 8
}

fn word(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + 8].iter().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte)) as usize
}

fn is_batch(bytes: &[u8], signature: u32) -> bool {
    if bytes.len() < HEAD {
        return false;
    }
    let (length, compression, footer) = (length(bytes), bytes[7], word(bytes, 8));
    if compression > 1 || length > bytes.len() || footer < HEAD || footer + FOOTER_MIN > length {
        return false;
    }
    is_signed(&bytes[footer..length], signature)
        && (footer == HEAD || is_signed(&bytes[HEAD..footer], 0))
}

/// Whether the bytes end in their checksum.
fn is_signed(bytes: &[u8], signature: u32) -> bool {
    bytes.split_last_chunk::<4>().is_some_and(|(content, checksum)| {
        crc32fast::hash(content) == u32::from_le_bytes(*checksum) ^ signature
    })
}
