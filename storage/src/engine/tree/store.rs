//! The sled database of a node: one folder, one tree a shard. A tree's name carries a generation,
//! so that a damaged or replaced tree gives way to a fresh one; a database that does not open
//! gives way as a whole, to a fresh folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Tree, guarded};
use crate::engine::files::private_dir;
use crate::fault::Fault;
use crate::ids::ShardId;

/// How long sled may take to open before it counts as lost in damaged files: so much, and so much
/// more for each GiB. What it would have read is then rebuilt, which must be done soon as well.
const OPEN_TIMEOUT: Duration = Duration::from_secs(4);
const OPEN_TIMEOUT_PER_GIB: Duration = Duration::from_secs(10);
const GIB: u64 = 1024 * 1024 * 1024;

/// The database.
pub struct Store {
    dir: PathBuf,
    cache_bytes: u64,
    db: Mutex<Option<sled::Db>>,
    /// No generation is given twice, not even across databases: a replaced tree is dropped by name.
    next_generation: AtomicU64,
}

impl Store {
    /// Opens the database in a folder; one that does not open is thrown away.
    pub fn open(dir: &Path, cache_bytes: u64) -> io::Result<Self> {
        sweep(dir);
        private_dir(dir)?;
        let db = match open_guarded(dir, cache_bytes) {
            Ok(db) => db,
            Err(fault) => {
                tracing::error!(%fault, "state does not open, it will be rebuilt");
                metrics::counter!("janua_storage_damage_total").increment(1);
                abandon(dir)?;
                open_guarded(dir, cache_bytes).map_err(io::Error::other)?
            }
        };
        let db = Mutex::new(Some(db));
        Ok(Self { dir: dir.into(), cache_bytes, db, next_generation: AtomicU64::new(0) })
    }

    /// The newest tree of a shard that can be read at all; a fresh one if there is none.
    /// Others of the shard are dropped.
    pub fn tree(&self, shard: ShardId) -> Result<Arc<Tree>, Fault> {
        let mut generations = self.generations(shard)?;
        let newest = generations.last().map_or(0, |last| last + 1);
        self.next_generation.fetch_max(newest, Ordering::SeqCst);
        while let Some(generation) = generations.pop() {
            match self.open_tree(shard, generation) {
                Ok(tree) if !tree.is_fresh() => {
                    self.drop_all(shard, &generations);
                    return Ok(tree);
                }
                Ok(_) => self.drop_all(shard, &[generation]),
                Err(fault) => {
                    tracing::error!(%fault, "state damaged, it will be rebuilt");
                    metrics::counter!("janua_storage_damage_total").increment(1);
                    self.drop_all(shard, &[generation]);
                }
            }
        }
        self.fresh(shard)
    }

    /// A further, empty tree of a shard.
    pub fn fresh(&self, shard: ShardId) -> Result<Arc<Tree>, Fault> {
        let newest = self.generations(shard)?.last().map_or(0, |last| last + 1);
        self.next_generation.fetch_max(newest, Ordering::SeqCst);
        self.open_tree(shard, self.next_generation.fetch_add(1, Ordering::SeqCst))
    }

    /// Removes a tree that another one has replaced, and which may still be in use.
    pub fn drop_tree(&self, tree: &Tree) {
        tree.retire("another one has taken its place");
        let name = tree.name();
        if let Err(fault) = self.with(|db| db.drop_tree(&name)) {
            tracing::warn!(%fault, "a replaced tree could not be removed");
        }
    }

    /// Throws the whole database away and opens a fresh one. Trees of the old one are dead.
    pub fn replace(&self) -> Result<(), Fault> {
        let mut db = self.db.lock();
        drop_guarded(db.take());
        abandon(&self.dir)?;
        *db = Some(open_guarded(&self.dir, self.cache_bytes)?);
        Ok(())
    }

    /// Writes everything down and closes the database. After `Ok` it is on stable storage, to which
    /// sled's own flush does not get it.
    pub fn close(&self) -> io::Result<()> {
        let Some(db) = self.db.lock().take() else { return Ok(()) };
        let flushed = guarded(|| db.flush());
        drop_guarded(Some(db));
        flushed.map_err(io::Error::other)?;
        for_each_file(&self.dir, &mut |path| File::open(path)?.sync_all())
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.with(sled::Db::size_on_disk).unwrap_or(0)
    }

    fn with<T>(&self, work: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, Fault> {
        let db = self.db.lock().clone();
        let db = db.ok_or_else(|| Fault::Io("the state is closed".into()))?;
        guarded(|| work(&db))
    }

    fn open_tree(&self, shard: ShardId, generation: u64) -> Result<Arc<Tree>, Fault> {
        let records = self.with(|db| db.open_tree(name(shard, generation)))?;
        Tree::open(shard, records).map(Arc::new)
    }

    fn drop_all(&self, shard: ShardId, generations: &[u64]) {
        for generation in generations {
            if let Err(fault) = self.with(|db| db.drop_tree(name(shard, *generation))) {
                tracing::warn!(%fault, "an old tree could not be removed");
            }
        }
    }

    fn generations(&self, shard: ShardId) -> Result<Vec<u64>, Fault> {
        let prefix = format!("shard-{shard}-");
        let names = self.with(|db| Ok(db.tree_names()))?;
        let texts = names.iter().filter_map(|name| std::str::from_utf8(name).ok());
        let numbers = texts.filter_map(|text| text.strip_prefix(&prefix)?.parse().ok());
        let mut generations: Vec<u64> = numbers.collect();
        generations.sort_unstable();
        Ok(generations)
    }
}

fn name(shard: ShardId, generation: u64) -> String {
    format!("shard-{shard}-{generation}")
}

/// Opens sled on a thread of its own: damaged files make it panic, or never return. A thread that
/// does not return is left behind with the folder, which then gets another name.
fn open_guarded(dir: &Path, cache_bytes: u64) -> Result<sled::Db, Fault> {
    let timeout = open_timeout(dir);
    let (sender, opened) = mpsc::channel();
    let config = sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(None);
    std::thread::Builder::new().name("sled-open".into()).spawn(move || {
        // Nobody waits any more if it took too long.
        drop(sender.send(guarded(|| config.open())));
    })?;
    let timed_out = |_| Err(Fault::Damaged("sled does not come to an end".into()));
    opened.recv_timeout(timeout).unwrap_or_else(timed_out)
}

fn open_timeout(dir: &Path) -> Duration {
    let mut bytes = 0;
    // What cannot be read does not count.
    drop(for_each_file(dir, &mut |path| {
        bytes += fs::metadata(path)?.len();
        Ok(())
    }));
    OPEN_TIMEOUT + OPEN_TIMEOUT_PER_GIB.mul_f64(bytes as f64 / GIB as f64)
}

/// Calls `work` with all that is in a folder, at any depth, and with the folder behind it.
fn for_each_file(dir: &Path, work: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => for_each_file(&entry.path(), work)?,
            false => work(&entry.path())?,
        }
    }
    work(dir)
}

fn drop_guarded(db: Option<sled::Db>) {
    if let Err(fault) = guarded(move || {
        drop(db);
        Ok(())
    }) {
        tracing::warn!(%fault, "the abandoned state did not close");
    }
}

/// Puts an empty folder in the place of one that is removed as far as that works.
fn abandon(dir: &Path) -> io::Result<()> {
    let mut number = 0;
    let aside = loop {
        let aside = dir.with_extension(format!("damaged-{number}"));
        if !aside.exists() {
            break aside;
        }
        number += 1;
    };
    match fs::rename(dir, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    remove(&aside);
    private_dir(dir)
}

/// Removes what earlier runs had to leave behind.
fn sweep(dir: &Path) {
    let (Some(parent), Some(stem)) = (dir.parent(), dir.file_name().and_then(|name| name.to_str()))
    else {
        return;
    };
    let prefix = format!("{stem}.damaged-");
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        remove(&entry.path());
    }
}

fn remove(dir: &Path) {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, dir = %dir.display(), "damaged state is left behind");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_state_has_longer_to_open() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(open_timeout(dir.path()) < Duration::from_secs(5));
        let file = File::create(dir.path().join("db")).expect("a file");
        file.set_len(3 * GIB).expect("a sparse file");
        let timeout = open_timeout(dir.path());
        assert!((34..35).contains(&timeout.as_secs()), "{timeout:?}");
    }
}
