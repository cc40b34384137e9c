//! The few file operations that log, snapshots and markers need, behind one small trait, so that
//! tests can put a disk below them that fails, fills up, tears writes, is slow, or loses power.
//! sled keeps its own files: it is never the only copy of anything.

#[cfg(any(test, feature = "faults"))]
pub mod memory;
mod real;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use real::{RealDisk, private_dir};

/// A place for files.
pub trait Disk: Send + Sync + 'static {
    /// Opens the file for reading and writing, and makes it first if it does not exist. Its name is
    /// durable only after `sync_dir`.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, in place of what had it before.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// The files of a folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Makes a folder unless it exists; nobody but its owner is let in.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Fills `buffer` from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Bytes in the file.
    fn size(&self) -> io::Result<u64>;
    /// Cuts the file, or lengthens it with zeros.
    fn truncate(&self, size: u64) -> io::Result<()>;
    /// Takes space ahead of writes.
    fn allocate(&self, offset: u64, size: u64) -> io::Result<()>;
    /// Returns once content and size are on stable storage. After an error they may never get
    /// there: it must not be asked again as if nothing had happened.
    fn sync(&self) -> io::Result<()>;
}

/// All bytes of a file, or `None` if there is no such file.
pub fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![0; file.size()? as usize];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Writes a small file so that, whatever happens, either the old or the new content is there.
pub fn write_durably(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let file = disk.create(&temporary)?;
    file.truncate(0)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    put_in_place(disk, &temporary, path)
}

/// Renames a synced file and makes the new name durable.
pub fn put_in_place(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    disk.rename(from, to)?;
    match to.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}
