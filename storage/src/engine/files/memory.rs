//! A disk in memory that misbehaves on request. What a power cut leaves is exactly what a returned
//! sync promised: contents and sizes from the last sync of the file, names from the last sync of
//! its folder.
//!
//! raft-engine lists its folder by itself, so every name also exists as an empty real file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Disk, DiskFile};

#[derive(Default)]
struct Inode {
    now: Mutex<Vec<u8>>,
    synced: Mutex<Vec<u8>>,
}

type Names = BTreeMap<PathBuf, Arc<Inode>>;

#[derive(Default)]
struct State {
    names: Mutex<Names>,
    synced_names: Mutex<Names>,
    /// Which power-on this is; a handle of an earlier one is dead.
    epoch: AtomicU64,
    /// Operations until the power fails; `u64::MAX` for never.
    operations_left: AtomicU64,
    dark: AtomicBool,
    faults: Faults,
    /// Syncs that have returned.
    syncs: AtomicU64,
}

/// What the disk shall do wrong from now on.
#[derive(Default)]
pub struct Faults {
    /// Every sync of a file fails.
    pub failing_sync: AtomicBool,
    /// No space is left: writes and allocations fail.
    pub full: AtomicBool,
    /// A write puts down its first half and then fails.
    pub torn_writes: AtomicBool,
    /// How long a sync takes, in milliseconds.
    pub sync_ms: AtomicU64,
    /// Syncs wait until this is taken back.
    pub stuck_sync: AtomicBool,
}

/// A disk in memory; clones share it.
#[derive(Clone)]
pub struct MemoryDisk(Arc<State>);

impl Default for MemoryDisk {
    fn default() -> Self {
        let state = State { operations_left: AtomicU64::new(u64::MAX), ..State::default() };
        Self(Arc::new(state))
    }
}

impl MemoryDisk {
    /// What it does wrong.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Nothing is wrong with it any more.
    pub fn mend(&self) {
        let faults = self.faults();
        for fault in [&faults.failing_sync, &faults.full, &faults.torn_writes, &faults.stuck_sync] {
            fault.store(false, Ordering::SeqCst);
        }
        faults.sync_ms.store(0, Ordering::SeqCst);
    }

    /// Whether something is wrong with it, or its power has failed.
    pub fn is_troubled(&self) -> bool {
        let faults = self.faults();
        let all = [&faults.failing_sync, &faults.full, &faults.torn_writes];
        self.is_dark() || all.iter().any(|fault| fault.load(Ordering::SeqCst))
    }

    /// How many syncs of files have returned.
    pub fn syncs(&self) -> u64 {
        self.0.syncs.load(Ordering::SeqCst)
    }

    /// Lets the power fail after so many more operations.
    pub fn cut_power_after(&self, operations: u64) {
        self.0.operations_left.store(operations, Ordering::SeqCst);
    }

    /// Whether the power has failed.
    pub fn is_dark(&self) -> bool {
        self.0.dark.load(Ordering::SeqCst)
    }

    /// Power fails now, unless it has already, and returns: all that was not synced is gone, and
    /// every open file with it. Of the bytes that were added to a file since its last sync, `torn`
    /// says how many survive nevertheless.
    pub fn restart(&self, mut torn: impl FnMut(usize) -> usize) -> io::Result<()> {
        self.0.dark.store(true, Ordering::SeqCst);
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        let mut names = self.0.names.lock();
        let synced = self.0.synced_names.lock();
        for path in names.keys() {
            fs::remove_file(path)?;
        }
        *names = Names::new();
        for (path, inode) in synced.iter() {
            let left = Arc::new(Inode::default());
            let mut content = inode.synced.lock().clone();
            let now = inode.now.lock();
            if let Some(added) = now.get(content.len()..).filter(|added| !added.is_empty()) {
                content.extend_from_slice(&added[..torn(added.len()).min(added.len())]);
            }
            *left.now.lock() = content.clone();
            *left.synced.lock() = content;
            fs::write(path, b"")?;
            names.insert(path.clone(), left);
        }
        drop(synced);
        *self.0.synced_names.lock() = names.clone();
        self.0.operations_left.store(u64::MAX, Ordering::SeqCst);
        self.0.dark.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Flips bits of one byte of a file, on the platter as in memory.
    pub fn flip(&self, path: &Path, offset: usize) -> bool {
        let names = self.0.names.lock();
        let Some(inode) = names.get(path) else { return false };
        let mut done = false;
        for content in [&inode.now, &inode.synced] {
            if let Some(byte) = content.lock().get_mut(offset) {
                *byte ^= 0x55;
                done = true;
            }
        }
        done
    }

    /// Counts an operation down, and fails it once the power is gone.
    fn step(&self) -> io::Result<()> {
        let left = &self.0.operations_left;
        let count = |left: u64| if left == u64::MAX { None } else { Some(left.saturating_sub(1)) };
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count) == Ok(0) {
            self.0.dark.store(true, Ordering::SeqCst);
        }
        if self.is_dark() { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn file(&self, inode: &Arc<Inode>) -> Arc<dyn DiskFile> {
        let epoch = self.0.epoch.load(Ordering::SeqCst);
        Arc::new(MemoryFile { disk: self.clone(), inode: inode.clone(), epoch })
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file {}", path.display()))
}

impl Disk for MemoryDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.step()?;
        let mut names = self.0.names.lock();
        if !names.contains_key(path) {
            fs::write(path, b"")?;
        }
        let inode = names.entry(path.into()).or_default();
        Ok(self.file(inode))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.step()?;
        let names = self.0.names.lock();
        names.get(path).map(|inode| self.file(inode)).ok_or_else(|| not_found(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        let removed = self.0.names.lock().remove(path);
        removed.ok_or_else(|| not_found(path))?;
        fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let mut names = self.0.names.lock();
        let inode = names.remove(from).ok_or_else(|| not_found(from))?;
        names.insert(to.into(), inode);
        fs::rename(from, to)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.step()?;
        let names = self.0.names.lock();
        Ok(names.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step()?;
        let names = self.0.names.lock();
        let mut synced = self.0.synced_names.lock();
        synced.retain(|path, _| path.parent() != Some(dir));
        let inside = names.iter().filter(|(path, _)| path.parent() == Some(dir));
        synced.extend(inside.map(|(path, inode)| (path.clone(), inode.clone())));
        Ok(())
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    inode: Arc<Inode>,
    epoch: u64,
}

impl MemoryFile {
    fn step(&self) -> io::Result<()> {
        if self.epoch != self.disk.0.epoch.load(Ordering::SeqCst) {
            return Err(io::Error::other("the power has been off"));
        }
        self.disk.step()
    }
}

impl DiskFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.step()?;
        let content = self.inode.now.lock();
        let rest = content.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let faults = self.disk.faults();
        if faults.full.load(Ordering::SeqCst) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let torn = faults.torn_writes.load(Ordering::SeqCst);
        let bytes = if torn { &bytes[..bytes.len() / 2] } else { bytes };
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        let mut content = self.inode.now.lock();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
        if torn { Err(io::Error::other("torn write")) } else { Ok(()) }
    }

    fn size(&self) -> io::Result<u64> {
        self.step()?;
        Ok(self.inode.now.lock().len() as u64)
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.step()?;
        self.inode.now.lock().resize(size as usize, 0);
        Ok(())
    }

    fn allocate(&self, _offset: u64, _size: u64) -> io::Result<()> {
        self.step()?;
        match self.disk.faults().full.load(Ordering::SeqCst) {
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.step()?;
        let faults = self.disk.faults();
        while faults.stuck_sync.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let wait = faults.sync_ms.load(Ordering::SeqCst);
        if wait > 0 {
            std::thread::sleep(Duration::from_millis(wait));
        }
        if faults.failing_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("fsync failed"));
        }
        // The bytes are taken as they are now: a write that comes while the sync runs may be lost.
        let content = self.inode.now.lock().clone();
        self.step()?;
        *self.inode.synced.lock() = content;
        self.disk.0.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}
