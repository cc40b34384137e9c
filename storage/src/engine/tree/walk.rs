//! A walk over a tree that others keep writing: copy-on-write behind a cursor. Whatever changes
//! beyond the cursor leaves what it was with the walk first, so that the walk sees the tree as it
//! was at one log id.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use super::digest::{self, Digest};
use super::{META, Meta, Record, Tree};
use crate::fault::Fault;

/// Records taken under one lock: short enough that writes do not feel it.
const CHUNK: usize = 256;

/// The walk that is under way.
#[derive(Default)]
pub struct Walk {
    cursor: Vec<u8>,
    before: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Walk {
    /// Keeps what lies under a key that is about to change, if the walk has yet to come by.
    pub(super) fn keep(&mut self, key: &[u8], value: Option<&[u8]>) {
        if key > self.cursor.as_slice() && !self.before.contains_key(key) {
            self.before.insert(key.to_vec(), value.map(<[u8]>::to_vec));
        }
    }
}

type Chunk = Vec<Record>;

impl Tree {
    /// Walks over all records as they are now, in chunks, while others write. Returns what the
    /// tree knew of itself at that moment; a sum that does not match is damage.
    pub fn walk(
        &self,
        start: impl FnOnce(&Meta) -> Result<(), Fault>,
        mut visit: impl FnMut(&Chunk) -> Result<(), Fault>,
    ) -> Result<Meta, Fault> {
        let meta = {
            let mut progress = self.progress.lock();
            self.check_usable()?;
            if progress.walk.is_some() {
                return Err(Fault::Io("a walk is under way".into()));
            }
            // The log is purged up to here once the snapshot is written, so sled must have it.
            self.write_down(&mut progress)?;
            progress.walk = Some(Walk { cursor: META.to_vec(), before: BTreeMap::new() });
            progress.meta.clone()
        };
        let walked = start(&meta).and_then(|()| self.walk_chunks(&mut visit));
        self.progress.lock().walk = None;
        if walked? != meta.digest {
            return Err(self.met("its records do not add up"));
        }
        self.check_usable()?;
        Ok(meta)
    }

    fn walk_chunks(
        &self,
        visit: &mut impl FnMut(&Chunk) -> Result<(), Fault>,
    ) -> Result<Digest, Fault> {
        let mut sum = Digest::default();
        while let Some(chunk) = self.next_chunk()? {
            for (key, value) in &chunk {
                sum.add(digest::hash(key, value));
            }
            visit(&chunk)?;
        }
        Ok(sum)
    }

    /// The next records as they were when the walk began; `None` behind the last one.
    fn next_chunk(&self) -> Result<Option<Chunk>, Fault> {
        let mut progress = self.progress.lock();
        let Some(walk) = progress.walk.as_mut() else { return Ok(None) };
        let mut now = BTreeMap::new();
        let mut more = false;
        self.visit(Bound::Excluded(&walk.cursor), b"", &mut |key, value, _| {
            if now.len() == CHUNK {
                more = true;
                return ControlFlow::Break(());
            }
            now.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        })?;
        // Behind the last record now, there may still be some that were removed meanwhile.
        let kept = match now.last_key_value().filter(|_| more) {
            Some((last, _)) => {
                walk.cursor = last.clone();
                let rest = walk.before.split_off(&walk.cursor);
                let mut kept = std::mem::replace(&mut walk.before, rest);
                kept.extend(walk.before.remove_entry(&walk.cursor));
                kept
            }
            None => std::mem::take(&mut walk.before),
        };
        for (key, value) in kept {
            match value {
                Some(value) => now.insert(key, value),
                None => now.remove(&key),
            };
        }
        if !more {
            progress.walk = None;
        }
        Ok(Some(now.into_iter().collect()))
    }
}
