//! Frames: what two gateways say to each other, many to one message of ractor's. A message that is
//! long goes in parts, so that it does not hold up what comes behind it.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The longest part.
const PART: usize = 64 * 1024;

/// The longest message that is put together from parts.
pub(super) const LONGEST: usize = 64 * 1024 * 1024;

/// A batch is sent once it is this long.
pub(super) const BATCH: usize = 256 * 1024;

/// What a frame is. Append-only, in two ranges: what must be answered is below `ASIDES`, so that a node
/// that does not know it yet can say so; what comes at `ASIDES` or later is passed over by such a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Answer this request.
    Request = 0,
    /// Hash this password, or compare it.
    Hash = 1,
    /// Propose this command.
    Write = 2,
    /// The answer to one of these.
    Reply = 3,
    /// Too much is under way; nothing was done.
    Busy = 4,
    /// Nobody can say what was done.
    Broken = 5,
    /// Nothing but a sign of life.
    Beat = 6,
    /// Nobody waits any longer for the answer to this call: let go of it.
    Cancel = 7,
    /// Answer this request, whose body comes in pieces.
    Stream = 8,
    /// A piece of the body of this call.
    Piece = 9,
    /// So many more pieces may be sent.
    Grant = 10,
    /// Say what is recorded under this key.
    Read = 11,
    /// The answer to one of these, the rest of which comes in pieces.
    ReplyStream = 12,
    /// A piece of the answer to this call.
    ReplyPiece = 13,
    /// So many more pieces of the answer may be sent.
    ReplyGrant = 14,
    /// Say up to where this shard, which you lead, has come.
    Position = 15,
    /// Send this shard's part of a backup.
    BackUp = 16,
    /// Say which mails are kept in this shard, which you lead.
    Outbox = 17,
    /// Some question of a newer version. It is never sent.
    Unknown = 127,
}

/// Where what needs no answer goes on.
const ASIDES: u8 = 128;

impl Kind {
    const ALL: [Self; 18] = [
        Self::Request,
        Self::Hash,
        Self::Write,
        Self::Reply,
        Self::Busy,
        Self::Broken,
        Self::Beat,
        Self::Cancel,
        Self::Stream,
        Self::Piece,
        Self::Grant,
        Self::Read,
        Self::ReplyStream,
        Self::ReplyPiece,
        Self::ReplyGrant,
        Self::Position,
        Self::BackUp,
        Self::Outbox,
    ];
}

/// One message on its way out.
#[derive(Debug)]
pub(super) struct Frame {
    pub kind: Kind,
    /// The call that it belongs to.
    pub call: u64,
    /// For how long its sender waits for an answer, or how many pieces it grants.
    pub within_ms: u32,
    /// What it says, in two pieces that need not be copied together.
    pub head: Bytes,
    pub body: Bytes,
}

impl Frame {
    /// A frame that says nothing but what it is.
    pub fn bare(kind: Kind, call: u64) -> Self {
        Self { kind, call, within_ms: 0, head: Bytes::new(), body: Bytes::new() }
    }

    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Appends it to a batch; hands the batch to `full` and goes on with an empty one when it is long.
    pub fn append(mut self, batch: &mut Vec<u8>, mut full: impl FnMut(&mut Vec<u8>)) {
        loop {
            let length = self.len().min(PART);
            let more = self.len() > length;
            batch.put_u8(self.kind as u8);
            batch.put_u8(u8::from(more));
            batch.put_u64(self.call);
            batch.put_u32(self.within_ms);
            batch.put_u32(length as u32);
            let of_head = length.min(self.head.len());
            batch.extend_from_slice(&self.head.split_to(of_head));
            batch.extend_from_slice(&self.body.split_to(length - of_head));
            if batch.len() >= BATCH {
                full(batch);
            }
            if !more {
                return;
            }
        }
    }
}

/// One part as it came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub kind: Kind,
    pub more: bool,
    pub call: u64,
    pub within_ms: u32,
    pub bytes: Bytes,
}

/// A batch begins with its sender, and the number of the link that it goes by: the sender's links with
/// one peer have greater numbers the later they were made.
pub(super) fn begin(node: u64, link: u64) -> Vec<u8> {
    let mut batch = Vec::with_capacity(2048);
    batch.put_u64(node);
    batch.put_u64(link);
    batch
}

/// Who sent a batch, by which link.
pub(super) fn sender(batch: &mut Bytes) -> Option<(u64, u64)> {
    Some((batch.try_get_u64().ok()?, batch.try_get_u64().ok()?))
}

/// The next part of a batch; none at its end, and none of what is not a batch.
pub(super) fn next(batch: &mut Bytes) -> Option<Part> {
    loop {
        if batch.remaining() < 18 {
            return None;
        }
        let number = batch.get_u8();
        let more = batch.get_u8() != 0;
        let (call, within_ms) = (batch.get_u64(), batch.get_u32());
        let length = batch.get_u32() as usize;
        if batch.remaining() < length {
            return None;
        }
        let bytes = batch.split_to(length);
        let known = Kind::ALL.get(usize::from(number)).copied();
        let question = (number < ASIDES).then_some(Kind::Unknown);
        if let Some(kind) = known.or(question) {
            return Some(Part { kind, more, call, within_ms, bytes });
        }
    }
}

/// Messages of one peer that have not arrived whole.
#[derive(Default)]
pub(super) struct Unfinished(std::collections::HashMap<(u8, u64), BytesMut>);

impl Unfinished {
    /// The whole message, if this part ends it. One that grows too long is dropped; its sender gives
    /// it up in time.
    pub fn join(&mut self, mut part: Part) -> Option<Part> {
        let key = (part.kind as u8, part.call);
        if !part.more && self.0.is_empty() {
            return Some(part);
        }
        let known = self.0.get(&key).map_or(0, BytesMut::len);
        if known + part.bytes.len() > LONGEST {
            tracing::warn!(kind = ?part.kind, "a message between nodes is too long");
            self.0.remove(&key);
            return None;
        }
        if part.more {
            self.0.entry(key).or_default().extend_from_slice(&part.bytes);
            return None;
        }
        if let Some(mut all) = self.0.remove(&key) {
            all.extend_from_slice(&part.bytes);
            part.bytes = all.freeze();
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(call: u64, head: &[u8], body: Vec<u8>) -> Frame {
        let head = Bytes::copy_from_slice(head);
        Frame { kind: Kind::Request, call, within_ms: 7, head, body: body.into() }
    }

    fn received(batches: Vec<Vec<u8>>) -> Vec<Part> {
        let mut unfinished = Unfinished::default();
        let mut whole = Vec::new();
        for batch in batches {
            let mut batch = Bytes::from(batch);
            while let Some(part) = next(&mut batch) {
                whole.extend(unfinished.join(part));
            }
        }
        whole
    }

    #[test]
    fn what_is_short_goes_together_and_what_is_long_in_parts() {
        let (mut batches, mut batch) = (Vec::new(), Vec::new());
        let long = vec![9; 700_000];
        for frame in [frame(1, b"head", b"body".to_vec()), frame(2, b"long", long.clone())] {
            frame.append(&mut batch, |batch| batches.push(std::mem::take(batch)));
        }
        frame(3, b"", Vec::new()).append(&mut batch, |_| panic!("too early"));
        batches.push(batch);
        assert!(batches.len() > 2 && batches.iter().all(|batch| batch.len() < BATCH + PART + 99));
        let whole = received(batches);
        let contents: Vec<_> = whole.iter().map(|part| (part.call, part.bytes.clone())).collect();
        let long = [b"long".as_slice(), &long].concat();
        assert_eq!(contents, [(1, Bytes::from("headbody")), (2, long.into()), (3, Bytes::new())]);
        assert!(whole.iter().all(|part| part.within_ms == 7));
    }

    #[test]
    fn what_a_newer_version_says_does_not_hide_the_rest() {
        let mut batch = Vec::new();
        for number in [0, 99, 200, 0] {
            let start = batch.len();
            frame(u64::from(number), b"", Vec::new()).append(&mut batch, |_| panic!("too early"));
            batch[start] = number;
        }
        let kinds: Vec<_> = received(vec![batch]).iter().map(|part| part.kind).collect();
        assert_eq!(kinds, [Kind::Request, Kind::Unknown, Kind::Request]);
    }

    #[test]
    fn what_is_no_batch_is_not_read() {
        for noise in [vec![], vec![1; 17], vec![250; 40], [vec![0; 14], vec![255; 9]].concat()] {
            assert!(received(vec![noise]).is_empty());
        }
    }
}
