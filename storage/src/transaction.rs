//! What `apply` writes through: an overlay on the records, taken back whole when a command is
//! rejected, handed to the tree as one batch for a run of entries.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::effect::Effect;
use crate::fault::Fault;
use crate::records::{Records, Visit};

type Overlay = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The writes and effects of a run of entries.
#[derive(Debug, Default)]
pub struct Changes {
    /// New value under each key; `None` removes it.
    pub writes: Overlay,
    /// What the actors must be told, in order.
    pub effects: Vec<Effect>,
}

/// Reads through to the records, collects writes.
pub struct Transaction<'a> {
    records: &'a dyn Records,
    accepted: Changes,
    pending: Changes,
}

impl<'a> Transaction<'a> {
    /// An empty overlay on `records`.
    pub fn new(records: &'a dyn Records) -> Self {
        Self { records, accepted: Changes::default(), pending: Changes::default() }
    }

    /// The record under `key`.
    pub fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, Fault> {
        Records::get(self, key)?.map(|bytes| codec::decode(&bytes)).transpose()
    }

    /// Whether a record lies under `key`.
    pub fn contains(&self, key: &[u8]) -> Result<bool, Fault> {
        Ok(Records::get(self, key)?.is_some())
    }

    /// Writes a record.
    pub fn put<T: Serialize>(&mut self, key: Vec<u8>, record: &T) -> Result<(), Fault> {
        let bytes = codec::encode(record)?;
        self.pending.writes.insert(key, Some(bytes));
        Ok(())
    }

    /// Removes a record, present or not.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.pending.writes.insert(key, None);
    }

    /// Remembers something that the actors must hear once the batch is written.
    pub fn effect(&mut self, effect: Effect) {
        self.pending.effects.push(effect);
    }

    /// Keeps what the present command wrote.
    pub fn accept(&mut self) {
        // One by one: `append` would rebuild the whole map, for each command of a run.
        self.accepted.writes.extend(std::mem::take(&mut self.pending.writes));
        self.accepted.effects.append(&mut self.pending.effects);
    }

    /// Forgets what the present command wrote.
    pub fn discard(&mut self) {
        self.pending = Changes::default();
    }

    /// The accepted writes, to be committed as one batch.
    pub fn finish(self) -> Changes {
        self.accepted
    }

    fn overlaid(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.pending.writes.get(key).or_else(|| self.accepted.writes.get(key))
    }
}

impl Records for Transaction<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.overlaid(key) {
            Some(value) => Ok(value.clone()),
            None => self.records.get(key),
        }
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), Fault> {
        let mut written: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        for overlay in [&self.accepted.writes, &self.pending.writes] {
            let keys =
                overlay.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix));
            for (key, value) in
                keys.filter(|(key, _)| after.is_none_or(|after| key.as_slice() > after))
            {
                written.insert(key, value.as_deref());
            }
        }
        let mut written = written.into_iter().peekable();
        let mut flow = ControlFlow::Continue(());
        self.records.scan(prefix, after, &mut |key, value| {
            while let Some((new, content)) = written.next_if(|(new, _)| *new < key) {
                if let Some(content) = content {
                    flow = visit(new, content);
                    if flow.is_break() {
                        return flow;
                    }
                }
            }
            flow = match written.next_if(|(new, _)| *new == key) {
                Some((_, Some(content))) => visit(key, content),
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key, value),
            };
            flow
        })?;
        for (key, content) in written {
            if flow.is_break() {
                break;
            }
            if let Some(content) = content {
                flow = visit(key, content);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_sees_records_and_writes_in_order_once() {
        let mut base = BTreeMap::new();
        for key in ["a1", "a3", "a5", "b1"] {
            base.insert(key.as_bytes().to_vec(), vec![0]);
        }
        let mut transaction = Transaction::new(&base);
        transaction.pending.writes.insert(b"a2".to_vec(), Some(vec![1]));
        transaction.pending.writes.insert(b"a3".to_vec(), None);
        transaction.accept();
        transaction.pending.writes.insert(b"a5".to_vec(), Some(vec![2]));
        transaction.pending.writes.insert(b"a9".to_vec(), Some(vec![3]));
        let mut seen = Vec::new();
        transaction
            .scan(b"a", Some(b"a1"), &mut |key, value| {
                seen.push((String::from_utf8_lossy(key).into_owned(), value[0]));
                ControlFlow::Continue(())
            })
            .expect("an in-memory scan");
        assert_eq!(seen, [("a2".into(), 1), ("a5".into(), 2), ("a9".into(), 3)]);
    }
}
