//! Reads records in the order of their keys: those that sled has, and over them those that it is yet
//! to get.

use std::cmp::Ordering;
use std::ops::{Bound, ControlFlow};

use sled::IVec;

use super::{META, Tree};
use crate::fault::Fault;

/// Called with key, value and hash.
pub type VisitHashed<'a> = &'a mut dyn FnMut(&[u8], &[u8], u128) -> ControlFlow<()>;

/// What sled has, checked to be in order.
struct Stored<'a> {
    tree: &'a Tree,
    records: sled::Iter,
    start: Bound<&'a [u8]>,
    prefix: &'a [u8],
    last: Option<IVec>,
    ended: bool,
}

impl Stored<'_> {
    fn next(&mut self) -> Result<Option<(IVec, IVec)>, Fault> {
        while !self.ended {
            let record = self.tree.guard(|| self.records.next().transpose())?;
            let record = record.filter(|(key, _)| key.starts_with(self.prefix));
            let Some((key, stored)) = record else {
                self.ended = true;
                break;
            };
            // Whoever goes on from here later would go in circles.
            if !follows(&key, self.start, self.last.as_deref()) {
                return Err(self.tree.met("its records are out of order"));
            }
            self.last = Some(key.clone());
            if key.as_ref() != META {
                return Ok(Some((key, stored)));
            }
        }
        Ok(None)
    }
}

impl Tree {
    /// Visits the records under the keys with a prefix, from `start` on, until told to break.
    pub(super) fn visit(
        &self,
        start: Bound<&[u8]>,
        prefix: &[u8],
        visit: VisitHashed<'_>,
    ) -> Result<(), Fault> {
        // Before sled is asked: it has by then whatever waits here no more.
        let mut pending = self.pending.from(start, prefix).into_iter().peekable();
        let range = (start, Bound::<&[u8]>::Unbounded);
        let records = self.guard(|| Ok(self.records.range::<&[u8], _>(range)))?;
        let mut records = Stored { tree: self, records, start, prefix, last: None, ended: false };
        let mut stored = None;
        loop {
            if stored.is_none() {
                stored = records.next()?;
            }
            let order = match (&stored, pending.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((key, _)), Some((waiting, _))) => key.cmp(waiting),
            };
            let below = if order.is_le() { stored.take() } else { None };
            let above = if order.is_ge() { pending.next() } else { None };
            let record = match above {
                Some((key, value)) => value.map(|value| (key, value)),
                None => below,
            };
            let Some((key, value)) = record else { continue };
            let (value, hash) = self.check(&key, &value)?;
            if visit(&key, value, hash).is_break() {
                break;
            }
        }
        self.check_usable()
    }
}

fn follows(key: &[u8], start: Bound<&[u8]>, last: Option<&[u8]>) -> bool {
    match (last, start) {
        (Some(last), _) | (None, Bound::Excluded(last)) => key > last,
        (None, Bound::Included(first)) => key >= first,
        (None, Bound::Unbounded) => true,
    }
}
