//! The data folder: its lock, its `format` file with the data version, and the mark of a clean
//! stop.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::OpenError;
use super::files::{Disk, read_all, write_durably};

/// The version of the data folder that this program writes.
const VERSION: u32 = 1;
const FORMAT: &str = "janua data ";
/// Before the number of shards, by which tenants are assigned to them for good.
const SHARDS: &str = "shards ";

/// A data folder that this process holds.
pub struct Folder {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Released when dropped.
    _lock: File,
    /// The last stop was clean.
    pub clean: bool,
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
        let mark = dir.join("clean");
        let clean = read_all(&**disk, &mark).map_err(unusable)?.is_some();
        if clean {
            disk.remove(&mark).and_then(|()| disk.sync_dir(dir)).map_err(unusable)?;
        }
        Ok(Self { disk: disk.clone(), dir: dir.into(), _lock: lock, clean })
    }

    /// Marks a clean stop, after all else is closed.
    pub fn mark_clean(&self) -> io::Result<()> {
        write_durably(&*self.disk, &self.dir.join("clean"), b"clean\n")
    }
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
