//! The ordered map that the state machine reads: one per shard. Production puts a sled tree behind
//! it, tests a `BTreeMap`. Values are payloads as `codec` wrote them; checksums belong to the tree.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::fault::Fault;

/// Called with each key and value in order; `Break` ends the scan.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Read access to the records of one shard.
pub trait Records: Send + Sync {
    /// The value under `key`.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Visits, in key order, every record whose key starts with `prefix` and is greater than
    /// `after`.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), Fault>;
}

impl Records for BTreeMap<Vec<u8>, Vec<u8>> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(BTreeMap::get(self, key).cloned())
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, visit: Visit<'_>) -> Result<(), Fault> {
        let start = after.filter(|after| *after >= prefix).unwrap_or(prefix);
        let found = self
            .range(start.to_vec()..)
            .skip_while(|(key, _)| Some(key.as_slice()) == after)
            .take_while(|(key, _)| key.starts_with(prefix));
        for (key, value) in found {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}
