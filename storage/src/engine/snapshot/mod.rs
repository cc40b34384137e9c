//! Snapshots: one file a shard, in `snapshots/`. What a new replica receives and a backup holds,
//! and what the tree is rebuilt from once the log before it is purged.

mod file;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::file::{Reader, Writer};
use super::files::{Disk, DiskFile, put_in_place};
use super::raft::SnapshotMeta;
use super::tree::Tree;
use super::tree::digest::Digest;
use crate::fault::Fault;
use crate::ids::ShardId;

/// A snapshot in a file. The open handle stays good when a newer snapshot takes the name.
#[derive(Clone)]
pub struct SnapshotFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
}

impl SnapshotFile {
    /// Bytes in it.
    pub fn bytes(&self) -> u64 {
        self.file.size().unwrap_or(0)
    }

    /// What it stands for. Reads the head alone.
    pub fn meta(&self, shard: ShardId) -> Result<SnapshotMeta, Fault> {
        Ok(Reader::open(&*self.file, shard)?.head.into())
    }

    /// Reads it all; `Ok` if every byte is as it was written.
    pub fn verify(&self, shard: ShardId) -> Result<(), Fault> {
        let mut reader = Reader::open(&*self.file, shard)?;
        while !reader.next_run()?.is_empty() {}
        Ok(())
    }

    /// Fills an empty tree with it, after every byte was checked.
    pub fn load(&self, shard: ShardId, tree: &Tree) -> Result<(), Fault> {
        self.verify(shard)?;
        let mut reader = Reader::open(&*self.file, shard)?;
        let (digest, meta) = (Digest(reader.head.digest), reader.head.clone().into());
        tree.load(&meta, digest, || reader.next_run())
    }
}

/// The snapshots of a node.
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
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
        Ok(Self { disk: disk.clone(), dir })
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
    /// the place of the one before, when this returns.
    pub fn take(
        &self,
        shard: ShardId,
        tree: &Tree,
        closing: &AtomicBool,
    ) -> Result<(SnapshotMeta, SnapshotFile), Fault> {
        let temporary = self.path(shard).with_extension("tmp");
        let file = self.disk.create(&temporary)?;
        file.truncate(0)?;
        let writer = RefCell::new(Writer::new(&*file));
        let meta = tree.walk(
            |meta| writer.borrow_mut().head(shard, meta),
            |records| match closing.load(Ordering::SeqCst) {
                true => Err(Fault::Io("the shard is closing".into())),
                false => writer.borrow_mut().records(records),
            },
        )?;
        writer.into_inner().finish()?;
        file.sync()?;
        let path = self.path(shard);
        put_in_place(&*self.disk, &temporary, &path)?;
        let meta =
            SnapshotMeta { last_log_id: meta.last_applied, last_membership: meta.membership };
        Ok((meta, SnapshotFile { path, file }))
    }

    /// Puts a received snapshot, checked and synced, in the place of the one before.
    pub fn adopt(&self, shard: ShardId, received: &SnapshotFile) -> Result<(), Fault> {
        let path = self.path(shard);
        if received.path != path {
            received.file.sync()?;
            put_in_place(&*self.disk, &received.path, &path)?;
        }
        Ok(())
    }

    /// Removes the snapshot of a shard.
    pub fn remove(&self, shard: ShardId) -> io::Result<()> {
        self.disk.remove(&self.path(shard))
    }
}
