//! The data folder: its lock, its `format` file with the data version, and the mark of a clean
//! stop.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::OpenError;
use super::files::{Disk, read_all, write_durably};

/// The version of data folders that this program writes.
pub const VERSION: u32 = 1;
/// The mark of a clean stop.
const CLEAN: &str = "clean";
/// What it says if log and state are as they were left.
const ALL: &[u8] = b"clean\n";
/// What it says if the state may have been written to since.
const LOG_ALONE: &[u8] = b"log\n";
const FORMAT: &str = "janua data ";
/// Before the number of shards, by which tenants are assigned to them for good.
const SHARDS: &str = "shards ";

/// A data folder that this process holds.
pub struct Folder {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Released when dropped.
    _lock: File,
    /// The log is as a clean stop has left it.
    pub clean_log: bool,
    /// So is the state.
    pub clean_state: bool,
}

impl Folder {
    /// Takes the folder, or makes it. Nothing in it is touched before it is known to be ours.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path, shards: u16) -> Result<Self, OpenError> {
        let unusable =
            |error: io::Error| OpenError::Folder { path: dir.into(), problem: error.to_string() };
        fs::create_dir_all(dir).map_err(unusable)?;
        let lock = lock(dir)?;
        let format = dir.join("format");
        let found = read_all(&**disk, &format).map_err(unusable)?;
        match found {
            Some(content) => check_format(dir, &content, shards)?,
            None => {
                check_empty(&**disk, dir)?;
                let content = format!("{FORMAT}{VERSION}\n{SHARDS}{shards}\n");
                write_durably(&**disk, &format, content.as_bytes()).map_err(unusable)?;
            }
        }
        let mark = read_all(&**disk, &dir.join(CLEAN)).map_err(unusable)?;
        let (clean_log, clean_state) = (mark.is_some(), mark.as_deref() == Some(ALL));
        Ok(Self { disk: disk.clone(), dir: dir.into(), _lock: lock, clean_log, clean_state })
    }

    /// Takes a folder that is one already, and makes none.
    pub fn open_present(disk: &Arc<dyn Disk>, dir: &Path, shards: u16) -> Result<Self, OpenError> {
        match dir.join("format").exists() {
            true => Self::open(disk, dir, shards),
            false => Err(foreign(dir, "it has no `format` file")),
        }
    }

    /// Must be called before the state is opened, which may write to it.
    pub fn begin_state(&self) -> io::Result<()> {
        match self.clean_state {
            true => write_durably(&*self.disk, &self.dir.join(CLEAN), LOG_ALONE),
            false => Ok(()),
        }
    }

    /// Must be called before anything is written to the log.
    ///
    /// Invariant: the mark stays until the log has been found to be whole. A start that fails
    /// leaves it, so that the next one finds the damage as well, and no torn tail to cut off.
    pub fn begin_log(&self) -> io::Result<()> {
        if !self.clean_log {
            return Ok(());
        }
        self.disk.remove(&self.dir.join(CLEAN))?;
        self.disk.sync_dir(&self.dir)
    }

    /// Marks a clean stop, after all else is closed and on stable storage.
    pub fn mark_clean(&self) -> io::Result<()> {
        write_durably(&*self.disk, &self.dir.join(CLEAN), ALL)
    }
}

/// The number of shards that a folder was founded with.
pub fn shards_of(dir: &Path) -> Result<u16, OpenError> {
    let content = fs::read(dir.join("format"));
    let content = content.map_err(|_| foreign(dir, "it has no `format` file"))?;
    let text = String::from_utf8_lossy(&content);
    let shards = text.lines().find_map(|line| line.strip_prefix(SHARDS)?.trim().parse().ok());
    shards.ok_or_else(|| foreign(dir, "its `format` file is not ours"))
}

/// Whether a node runs on a folder.
pub fn is_in_use(dir: &Path) -> bool {
    matches!(lock(dir), Err(OpenError::Locked(_)))
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let unusable =
        |error: io::Error| OpenError::Folder { path: dir.into(), problem: error.to_string() };
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).open(dir.join("lock"));
    let file = file.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(dir.into())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn check_format(dir: &Path, content: &[u8], shards: u16) -> Result<(), OpenError> {
    let text = String::from_utf8_lossy(content);
    let number = |prefix: &str| {
        text.lines().find_map(|line| line.strip_prefix(prefix)?.trim().parse::<u32>().ok())
    };
    match (number(FORMAT), number(SHARDS)) {
        (Some(found), _) if found > VERSION => {
            Err(OpenError::Newer { path: dir.into(), found, known: VERSION })
        }
        (Some(_), Some(found)) if found == u32::from(shards) => Ok(()),
        (Some(_), Some(found)) => {
            Err(OpenError::Shards { path: dir.into(), found, configured: shards })
        }
        _ => Err(foreign(dir, "its `format` file is not ours")),
    }
}

fn check_empty(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let log = disk.list(&dir.join("log")).unwrap_or_default();
    match log.iter().any(|path| path.extension().is_some_and(|kind| kind == "raftlog")) {
        true => Err(foreign(dir, "it has a log, but no `format` file")),
        false => Ok(()),
    }
}

fn foreign(dir: &Path, problem: &str) -> OpenError {
    OpenError::Foreign { path: dir.into(), problem: problem.into() }
}
