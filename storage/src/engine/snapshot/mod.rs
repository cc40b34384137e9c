//! Snapshots: one file a shard, in `snapshots/`. What a new replica receives and a backup holds,
//! and what the tree is rebuilt from once the log before it is purged.

mod file;

use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use self::file::{Reader, Writer};
use super::files::{Disk, DiskFile, put_in_place};
use super::raft::{LogId, SnapshotMeta};
use super::tree::digest::Digest;
use super::tree::{Haste, Tree};
use crate::fault::Fault;
use crate::ids::ShardId;

/// A snapshot in a file. The open handle stays good when a newer snapshot takes the name.
#[derive(Clone)]
pub struct SnapshotFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl SnapshotFile {
    /// A snapshot that lies anywhere.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), file: disk.open(path)? })
    }

    /// Its bytes, as they lie.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }

    /// The value under a key that is among the first of it, if it is there.
    pub fn first_record_under(&self, shard: ShardId, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let records = Reader::open(&*self.file, shard)?.next_run()?;
        Ok(records.into_iter().find(|(found, _)| found == key).map(|(_, value)| value))
    }

    /// Bytes in it.
    pub fn bytes(&self) -> u64 {
        self.file.size().unwrap_or(0)
    }

    /// Bytes from `at` on; fewer than asked for only at its end.
    pub fn piece(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; bytes];
        let read = self.file.read_at(at, &mut piece)?;
        piece.truncate(read);
        Ok(piece)
    }

    /// Puts down bytes of a snapshot that is being received.
    pub fn write_piece(&self, at: u64, piece: &[u8]) -> io::Result<()> {
        self.file.write_at(at, piece)
    }

    /// Returns once it is on stable storage.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// What it stands for. Reads the head alone.
    pub fn meta(&self, shard: ShardId) -> Result<SnapshotMeta, Fault> {
        Ok(Reader::open(&*self.file, shard)?.head.into())
    }

    /// Reads it all; `Ok` if every byte is as it was written. Between any two runs `pause` says
    /// whether to go on.
    pub fn verify(
        &self,
        shard: ShardId,
        mut pause: impl FnMut() -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let mut reader = Reader::open(&*self.file, shard)?;
        while !reader.next_run()?.is_empty() && pause().is_continue() {}
        Ok(())
    }

    fn is_sound(&self, shard: ShardId) -> bool {
        self.verify(shard, || ControlFlow::Continue(())).is_ok()
    }

    /// Fills an empty tree with it. The tree is whole, and gets its position, only if every byte
    /// turns out to be as it was written.
    pub fn load(&self, shard: ShardId, tree: &Tree, haste: Haste) -> Result<(), Fault> {
        let mut reader = Reader::open(&*self.file, shard)?;
        let (digest, meta) = (Digest(reader.head.digest), reader.head.clone().into());
        tree.load(&meta, digest, haste, || reader.next_run())
    }
}

/// A snapshot that is being received; gone when dropped, unless it was adopted.
pub struct Received {
    /// The file it goes to.
    pub snapshot: SnapshotFile,
    disk: Arc<dyn Disk>,
}

impl Drop for Received {
    fn drop(&mut self) {
        // One that was adopted has another name.
        drop(self.disk.remove(&self.snapshot.path));
    }
}

/// The snapshots of a node.
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// One snapshot takes its name at a time.
    placing: Mutex<()>,
    /// Names those that are being received.
    received: AtomicU64,
}

impl Snapshots {
    /// Snapshots in a folder. What an earlier run began and did not finish is removed.
    pub fn open(disk: &Arc<dyn Disk>, dir: PathBuf) -> io::Result<Self> {
        disk.create_dir(&dir)?;
        for path in disk.list(&dir)? {
            if path.extension().is_some_and(|extension| extension == "tmp") {
                disk.remove(&path)?;
            }
        }
        Ok(Self { disk: disk.clone(), dir, placing: Mutex::default(), received: AtomicU64::new(0) })
    }

    /// Where the snapshot of a shard is.
    pub fn path(&self, shard: ShardId) -> PathBuf {
        self.dir.join(format!("shard-{shard}.snapshot"))
    }

    /// The snapshot of a shard, if there is one.
    pub fn current(&self, shard: ShardId) -> io::Result<Option<SnapshotFile>> {
        let path = self.path(shard);
        match self.disk.open(&path) {
            Ok(file) => Ok(Some(SnapshotFile { path, file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a snapshot of a tree while others write to the tree. It is durable, and has taken
    /// the place of the one before, when this returns. Refused if the tree is damaged, does not hold at
    /// least what was `purged` from the log, or is not `wanted` any more at last.
    pub fn take(
        &self,
        shard: ShardId,
        tree: &Tree,
        purged: Option<LogId>,
        closing: &AtomicBool,
        wanted: impl Fn() -> bool,
    ) -> Result<(SnapshotMeta, SnapshotFile), Fault> {
        let temporary = self.path(shard).with_extension("tmp");
        let file = self.disk.create(&temporary)?;
        file.truncate(0)?;
        let writer = RefCell::new(Writer::new(&*file));
        let meta = tree.walk(
            |meta| match meta.last_applied.is_none() || meta.last_applied < purged {
                true => Err(Fault::Damaged("a tree has less than the log before it".into())),
                false => writer.borrow_mut().head(shard, meta),
            },
            |records| match closing.load(Ordering::SeqCst) {
                true => Err(Fault::Io("the shard is closing".into())),
                false => writer.borrow_mut().records(records),
            },
        )?;
        writer.into_inner().finish()?;
        file.sync()?;
        let meta =
            SnapshotMeta { last_log_id: meta.last_applied, last_membership: meta.membership };
        self.place(shard, &temporary, meta.last_log_id, wanted)?;
        Ok((meta, SnapshotFile { path: self.path(shard), file }))
    }

    /// A file for a snapshot of a shard that another node sends.
    pub fn receive(&self, shard: ShardId, from: u64) -> io::Result<Received> {
        let number = self.received.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("shard-{shard}-from-{from}-{number}.tmp"));
        let file = self.disk.create(&path)?;
        file.truncate(0)?;
        let snapshot = SnapshotFile { path, file };
        Ok(Received { snapshot, disk: self.disk.clone() })
    }

    /// Puts a received snapshot, checked and synced, in the place of the one before, if it is still
    /// `wanted` then.
    pub fn adopt(
        &self,
        shard: ShardId,
        received: &SnapshotFile,
        wanted: impl Fn() -> bool,
    ) -> Result<(), Fault> {
        if received.path != self.path(shard) {
            let last = received.meta(shard)?.last_log_id;
            received.file.sync()?;
            self.place(shard, &received.path, last, wanted)?;
        }
        Ok(())
    }

    /// Gives a synced snapshot its name, unless a newer one has it. One that is damaged gives way:
    /// whatever position it claims, nothing can be had from it.
    fn place(
        &self,
        shard: ShardId,
        from: &Path,
        last: Option<LogId>,
        wanted: impl Fn() -> bool,
    ) -> Result<(), Fault> {
        let _one_at_a_time = self.placing.lock();
        if !wanted() {
            return Err(Fault::Damaged("snapshot: nobody wants it any more".into()));
        }
        let newer = |present: &SnapshotFile| {
            let meta = present.meta(shard);
            meta.is_ok_and(|meta| meta.last_log_id > last) && present.is_sound(shard)
        };
        if self.current(shard)?.is_some_and(|present| newer(&present)) {
            return Err(Fault::Damaged("snapshot: a newer one is there".into()));
        }
        Ok(put_in_place(&*self.disk, from, &self.path(shard))?)
    }

    /// Removes the snapshot of a shard, if there is one, durably. None is put in its place later that is
    /// not wanted by then.
    pub fn forget(&self, shard: ShardId) -> io::Result<()> {
        let _none_is_placed = self.placing.lock();
        match self.remove(shard) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.disk.sync_dir(&self.dir),
        }
    }

    /// Removes the snapshot of a shard.
    pub fn remove(&self, shard: ShardId) -> io::Result<()> {
        self.disk.remove(&self.path(shard))
    }
}
