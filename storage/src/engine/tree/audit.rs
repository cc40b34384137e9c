//! Adds up a tree that others keep writing, in steps. Behind the cursor the sum follows every
//! change; what lies beyond it is still to come. So nothing need be kept, and writes hardly wait.

use std::ops::{Bound, ControlFlow};

use super::digest::Digest;
use super::{META, Tree};
use crate::fault::Fault;

/// Records read under one lock: short enough that writes do not feel it.
const CHUNK: usize = 256;

/// The audit that is under way.
pub struct Audit {
    cursor: Vec<u8>,
    /// Of the records up to the cursor.
    pub(super) sum: Digest,
}

impl Audit {
    /// What the sum becomes when a record changes.
    pub(super) fn follow(
        &self,
        sum: &mut Digest,
        key: &[u8],
        before: Option<u128>,
        now: Option<u128>,
    ) {
        if key <= self.cursor.as_slice() {
            before.into_iter().for_each(|hash| sum.remove(hash));
            now.into_iter().for_each(|hash| sum.add(hash));
        }
    }
}

impl Tree {
    /// Reads every record and compares the sum; one that does not match is damage. Between any two
    /// steps `pause` says whether to go on.
    pub fn audit(&self, mut pause: impl FnMut() -> ControlFlow<()>) -> Result<(), Fault> {
        let audit = Audit { cursor: META.to_vec(), sum: Digest::default() };
        self.progress.lock().audit = Some(audit);
        let audited = loop {
            match self.audit_chunk() {
                Ok(true) if pause().is_continue() => {}
                Ok(_) => break Ok(()),
                Err(fault) => break Err(fault),
            }
        };
        self.progress.lock().audit = None;
        audited
    }

    /// Adds the next records, and compares behind the last one. `true` if there are more.
    fn audit_chunk(&self) -> Result<bool, Fault> {
        let mut progress = self.progress.lock();
        let progress = &mut *progress;
        let Some(audit) = &mut progress.audit else { return Ok(false) };
        let start = audit.cursor.clone();
        let mut count = 0;
        self.visit(Bound::Excluded(&start), b"", &mut |key, _, hash| {
            audit.sum.add(hash);
            audit.cursor.clear();
            audit.cursor.extend_from_slice(key);
            count += 1;
            match count < CHUNK {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        if count == CHUNK {
            return Ok(true);
        }
        match audit.sum == progress.meta.digest {
            true => Ok(false),
            false => Err(self.met("its records do not add up")),
        }
    }
}
