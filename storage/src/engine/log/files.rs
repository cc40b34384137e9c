//! raft-engine's file system over ours.
//!
//! Decision: raft-engine syncs its folder only when it starts a further file, and by itself. Here
//! a created file is durable under its name when the call returns, so the first file is safe as
//! well. A removal may be forgotten: the file comes back, and is removed again.
//!
//! Decision: raft-engine panics on a failed sync, and while its files are dropped a second panic
//! ends the process. So a failure is noted for good instead of told, and the log thread asks for it
//! before it acknowledges anything.

use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use raft_engine::env::{FileSystem, Handle, Permission, WriteExt};

use super::tail;
use crate::engine::files::{Disk, DiskFile};

/// The folder of the log.
pub struct LogFiles {
    disk: Arc<dyn Disk>,
    state: Arc<State>,
}

/// What the open files share.
struct State {
    disk: Arc<dyn Disk>,
    damaged: Mutex<Option<PathBuf>>,
    failed_sync: OnceLock<String>,
}

impl LogFiles {
    /// Files on this disk.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        let state = Arc::new(State {
            disk: disk.clone(),
            damaged: Mutex::default(),
            failed_sync: OnceLock::new(),
        });
        Self { disk, state }
    }

    /// A file that lost more than a crash can take, which recovery would have cut in silence.
    pub fn damaged(&self) -> Option<PathBuf> {
        self.state.damaged.lock().clone()
    }

    /// The first sync that failed, if one did.
    pub fn failed_sync(&self) -> Option<&str> {
        self.state.failed_sync.get().map(String::as_str)
    }

    fn handle(&self, path: &Path, file: Arc<dyn DiskFile>) -> LogFile {
        LogFile { path: path.into(), file, state: self.state.clone() }
    }

    fn sync_parent(&self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |dir| self.disk.sync_dir(dir))
    }
}

/// An open file of the log.
pub struct LogFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    state: Arc<State>,
}

impl Handle for LogFile {
    /// Recovery cuts a file where it no longer decodes. That is right for a torn tail, which only
    /// the newest file can have; anything else is noted, and refused, so that the evidence stays.
    fn truncate(&self, offset: usize) -> Result<()> {
        let intact = tail::batch_after(&self.path, &*self.file, offset as u64)?;
        if intact.is_some() || !tail::is_newest(&*self.state.disk, &self.path)? {
            tracing::error!(file = %self.path.display(), offset, ?intact, "log damaged");
            *self.state.damaged.lock() = Some(self.path.clone());
            return Err(std::io::Error::other("damaged in the middle"));
        }
        self.file.truncate(offset as u64)
    }

    fn file_size(&self) -> Result<usize> {
        Ok(self.file.size()? as usize)
    }

    fn sync(&self) -> Result<()> {
        if let Err(error) = self.file.sync() {
            // Only the first one matters.
            drop(self.state.failed_sync.set(error.to_string()));
        }
        Ok(())
    }
}

/// A position in a file of the log.
pub struct LogCursor {
    file: Arc<LogFile>,
    offset: u64,
}

impl Read for LogCursor {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.file.file.read_at(self.offset, buffer)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Write for LogCursor {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.file.file.write_at(self.offset, bytes)?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Seek for LogCursor {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.offset = match to {
            SeekFrom::Start(offset) => offset,
            SeekFrom::Current(by) => self.offset.saturating_add_signed(by),
            SeekFrom::End(by) => self.file.file.size()?.saturating_add_signed(by),
        };
        Ok(self.offset)
    }
}

impl WriteExt for LogCursor {
    /// The writer cuts off what it allocated and has not written.
    fn truncate(&mut self, offset: usize) -> Result<()> {
        self.file.file.truncate(offset as u64)?;
        self.offset = offset as u64;
        Ok(())
    }

    fn allocate(&mut self, offset: usize, size: usize) -> Result<()> {
        self.file.file.allocate(offset as u64, size as u64)
    }
}

impl FileSystem for LogFiles {
    type Handle = LogFile;
    type Reader = LogCursor;
    type Writer = LogCursor;

    fn create<P: AsRef<Path>>(&self, path: P) -> Result<LogFile> {
        let file = self.disk.create(path.as_ref())?;
        self.sync_parent(path.as_ref())?;
        Ok(self.handle(path.as_ref(), file))
    }

    fn open<P: AsRef<Path>>(&self, path: P, _permission: Permission) -> Result<LogFile> {
        Ok(self.handle(path.as_ref(), self.disk.open(path.as_ref())?))
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> Result<()> {
        self.disk.remove(path.as_ref())
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> Result<()> {
        self.disk.rename(from.as_ref(), to.as_ref())?;
        self.sync_parent(to.as_ref())
    }

    fn new_reader(&self, file: Arc<LogFile>) -> Result<LogCursor> {
        Ok(LogCursor { file, offset: 0 })
    }

    fn new_writer(&self, file: Arc<LogFile>) -> Result<LogCursor> {
        Ok(LogCursor { file, offset: 0 })
    }
}
