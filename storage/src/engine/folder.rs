//! The data folder: its lock, its `format` file with the data version, and the mark of a clean
//! stop.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::error::OpenError;
use super::files::{Disk, read_all, write_durably};
use crate::version::{NEWEST, OLDEST};

/// The newest version of data folders that this program reads. A folder begins with the oldest, and
/// has the one that its cluster has agreed on: an older program is told so, and leaves it alone.
pub const VERSION: u32 = NEWEST as u32;
/// The mark of a clean stop.
const CLEAN: &str = "clean";
/// What it says if log and state are as they were left.
const ALL: &[u8] = b"clean\n";
/// What it says if the state may have been written to since.
const LOG_ALONE: &[u8] = b"log\n";
const FORMAT: &str = "janua data ";
/// Before the number of shards, by which tenants are assigned to them for good.
const SHARDS: &str = "shards ";

/// A data folder that this process holds, before it is known how many shards it is to have.
///
/// Invariant: whoever writes into a data folder holds it, and has found it to be empty or ours.
pub struct Claim {
    dir: PathBuf,
    /// Released when dropped.
    lock: File,
}

impl Claim {
    /// Takes the folder, or makes it, and changes nothing that it holds.
    pub fn take(disk: &dyn Disk, dir: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
        let claim = Self { dir: dir.into(), lock: lock(dir)? };
        claim.format(disk)?;
        Ok(claim)
    }

    /// Opens the folder; one that was empty begins to be ours.
    pub fn open(self, disk: &Arc<dyn Disk>, shards: u16) -> Result<Folder, OpenError> {
        let dir = &self.dir;
        let unusable = |error: io::Error| unusable(dir, &error);
        let version = match self.format(&**disk)? {
            Some((version, found)) if found == u32::from(shards) => version,
            Some((_, found)) => {
                return Err(OpenError::Shards { path: dir.clone(), found, configured: shards });
            }
            None => {
                write_format(&**disk, dir, OLDEST.into(), shards).map_err(unusable)?;
                OLDEST.into()
            }
        };
        let mark = read_all(&**disk, &dir.join(CLEAN)).map_err(unusable)?;
        let (clean_log, clean_state) = (mark.is_some(), mark.as_deref() == Some(ALL));
        let (disk, version) = (disk.clone(), version.into());
        let Self { dir, lock } = self;
        Ok(Folder { disk, dir, shards, version, _lock: lock, clean_log, clean_state })
    }

    /// The version of the folder and the number of its shards; nothing if it is empty.
    fn format(&self, disk: &dyn Disk) -> Result<Option<(u32, u32)>, OpenError> {
        let found = read_all(disk, &self.dir.join("format"));
        match found.map_err(|error| unusable(&self.dir, &error))? {
            Some(content) => read_format(&self.dir, &content).map(Some),
            None => check_empty(disk, &self.dir).map(|()| None),
        }
    }
}

/// A data folder that this process holds, open.
pub struct Folder {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    shards: u16,
    version: AtomicU32,
    /// Released when dropped.
    _lock: File,
    /// The log is as a clean stop has left it.
    pub clean_log: bool,
    /// So is the state.
    pub clean_state: bool,
}

impl Folder {
    /// Takes the folder, or makes it, and opens it.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path, shards: u16) -> Result<Self, OpenError> {
        Claim::take(&**disk, dir)?.open(disk, shards)
    }

    /// Takes a folder that is one already, and makes none.
    pub fn open_present(disk: &Arc<dyn Disk>, dir: &Path, shards: u16) -> Result<Self, OpenError> {
        match dir.join("format").exists() {
            true => Self::open(disk, dir, shards),
            false => Err(foreign(dir, "it has no `format` file")),
        }
    }

    /// The folder may hold what programs older than this version cannot read.
    pub fn raise(&self, version: u16) -> io::Result<()> {
        if u32::from(version) > self.version.load(Ordering::Relaxed) {
            write_format(&*self.disk, &self.dir, version.into(), self.shards)?;
            self.version.store(version.into(), Ordering::Relaxed);
        }
        Ok(())
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
    let unusable = |error: io::Error| unusable(dir, &error);
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(false).open(dir.join("lock"));
    let file = file.map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(dir.into())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn write_format(disk: &dyn Disk, dir: &Path, version: u32, shards: u16) -> io::Result<()> {
    let content = format!("{FORMAT}{version}\n{SHARDS}{shards}\n");
    write_durably(disk, &dir.join("format"), content.as_bytes())
}

/// The version of the folder and the number of its shards.
fn read_format(dir: &Path, content: &[u8]) -> Result<(u32, u32), OpenError> {
    let text = String::from_utf8_lossy(content);
    let number = |prefix: &str| {
        text.lines().find_map(|line| line.strip_prefix(prefix)?.trim().parse::<u32>().ok())
    };
    match (number(FORMAT), number(SHARDS)) {
        (Some(found), _) if found > VERSION => {
            Err(OpenError::Newer { path: dir.into(), found, known: VERSION })
        }
        (Some(version), Some(shards)) => Ok((version, shards)),
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

fn unusable(dir: &Path, error: &io::Error) -> OpenError {
    OpenError::Folder { path: dir.into(), problem: error.to_string() }
}

fn foreign(dir: &Path, problem: &str) -> OpenError {
    OpenError::Foreign { path: dir.into(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::files::RealDisk;

    #[test]
    fn a_folder_says_what_its_cluster_has_agreed_on() {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let dir = tempfile::tempdir().expect("a folder");
        let says = || fs::read_to_string(dir.path().join("format")).expect("a file");
        let folder = Folder::open(&disk, dir.path(), 4).expect("a new folder");
        assert_eq!(says(), "janua data 1\nshards 4\n");
        folder.raise(2).expect("a written file");
        folder.raise(1).expect("nothing to write");
        assert_eq!(says(), "janua data 2\nshards 4\n");
        drop(folder);
        let folder = Folder::open(&disk, dir.path(), 4).expect("the same folder");
        folder.raise(NEWEST).expect("nothing to write");
        assert_eq!(shards_of(dir.path()).expect("shards"), 4);
        drop(folder);
        let newer = format!("janua data {}\nshards 4\n", NEWEST + 1);
        fs::write(dir.path().join("format"), newer).expect("a written file");
        assert!(matches!(Folder::open(&disk, dir.path(), 4), Err(OpenError::Newer { .. })));
    }
}
