//! The entries appended last, in memory: openraft reads each entry back to apply it, and may do so
//! before the log thread has written it.

use std::collections::VecDeque;

use crate::engine::raft::Entry;

/// Entries kept after they are on disk.
const KEPT: usize = 256;
/// Bytes kept after they are on disk.
const KEPT_BYTES: usize = 1024 * 1024;

/// A run of entries that ends with the last one appended.
#[derive(Default)]
pub struct Recent {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Recent {
    /// Takes an appended entry of so many bytes.
    pub fn push(&mut self, entry: Entry, bytes: usize) {
        self.bytes += bytes;
        self.entries.push_back((entry, bytes));
    }

    /// Lets go of old entries of which the log holds a durable copy, up to `durable`.
    pub fn shrink(&mut self, durable: u64) {
        while self.entries.len() > KEPT || self.bytes > KEPT_BYTES {
            match self.entries.front() {
                Some((entry, _)) if entry.log_id.index() <= durable => self.pop(),
                _ => return,
            }
        }
    }

    /// Forgets the entries behind `last`; `None` forgets all.
    pub fn truncate_after(&mut self, last: Option<u64>) {
        let first_gone = last.map_or(0, |last| last + 1);
        while let Some((_, bytes)) =
            self.entries.pop_back_if(|(entry, _)| entry.log_id.index() >= first_gone)
        {
            self.bytes -= bytes;
        }
    }

    /// Forgets the entries up to `index`.
    pub fn purge(&mut self, index: u64) {
        while self.entries.front().is_some_and(|(entry, _)| entry.log_id.index() <= index) {
            self.pop();
        }
    }

    /// The index of the oldest entry here.
    pub fn first(&self) -> Option<u64> {
        self.entries.front().map(|(entry, _)| entry.log_id.index())
    }

    /// The entries `from..until`, of those that are here.
    pub fn range(&self, from: u64, until: u64) -> Vec<Entry> {
        let first = self.first().unwrap_or(0);
        let skipped = from.saturating_sub(first) as usize;
        let wanted = until.saturating_sub(from.max(first)) as usize;
        self.entries.iter().skip(skipped).take(wanted).map(|(entry, _)| entry.clone()).collect()
    }

    fn pop(&mut self) {
        if let Some((_, bytes)) = self.entries.pop_front() {
            self.bytes -= bytes;
        }
    }
}
