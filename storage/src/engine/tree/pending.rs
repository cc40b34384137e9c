//! What is committed and not in the database yet. Many runs of entries go there as one batch: what
//! they change again and again is then written once, and a batch costs the database a wake-up of each
//! of its threads. A crash loses nothing by it: the log has it all, and the tree knows how far it is.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use sled::{Batch, IVec};

/// Records after which the batch is written.
const RECORDS: usize = 512;
/// Bytes after which it is.
const BYTES: usize = 256 * 1024;
/// Bytes that do not wait for another run: a shard that is quiet then would keep them for ever.
const TOO_MANY_BYTES: usize = 4 * 1024 * 1024;

/// Key, and the value as it is stored; `None` removes it.
pub type Write = (IVec, Option<IVec>);

/// Writes that wait for the database, at most one for each key.
#[derive(Default)]
pub struct Pending {
    writes: RwLock<BTreeMap<IVec, Option<IVec>>>,
    bytes: AtomicUsize,
}

impl Pending {
    /// What waits under a key.
    pub fn get(&self, key: &[u8]) -> Option<Option<IVec>> {
        self.writes.read().get(key).cloned()
    }

    /// What waits under the keys with a prefix, from `start` on, in their order.
    pub fn from(&self, start: Bound<&[u8]>, prefix: &[u8]) -> Vec<Write> {
        let writes = self.writes.read();
        let further = writes.range::<[u8], _>((start, Bound::Unbounded));
        let ours = further.take_while(|(key, _)| key.starts_with(prefix));
        ours.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Adds the writes of a run of entries, of which readers see all or none.
    pub fn add(&self, run: Vec<Write>) {
        let size = |(key, value): &Write| key.len() + value.as_ref().map_or(0, |value| value.len());
        self.bytes.fetch_add(run.iter().map(size).sum(), Ordering::Relaxed);
        self.writes.write().extend(run);
    }

    /// Whether there is enough for a batch.
    pub fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= BYTES || self.writes.read().len() >= RECORDS
    }

    /// Whether it is too much to wait.
    pub fn is_overfull(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= TOO_MANY_BYTES
    }

    /// All of it as a batch.
    pub fn batch(&self) -> Batch {
        let mut batch = Batch::default();
        for (key, value) in &*self.writes.read() {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        batch
    }

    /// Forgets it, once the database has it.
    pub fn clear(&self) {
        self.writes.write().clear();
        self.bytes.store(0, Ordering::Relaxed);
    }
}
