//! A log entry in bytes: index, checksum, content. raft-engine takes protobuf messages, so the
//! bytes travel in a `BytesValue` and begin with the index that raft-engine asks for.

use protobuf::well_known_types::BytesValue;
use raft_engine::MessageExt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::codec;
use crate::engine::raft::Entry;
use crate::fault::Fault;
use crate::ids::ShardId;

const HEAD: usize = 16;

/// Tells raft-engine where the index of an entry is.
pub struct Frames;

impl MessageExt for Frames {
    type Entry = BytesValue;

    fn index(frame: &BytesValue) -> u64 {
        frame.value.first_chunk().map_or(0, |index| u64::from_be_bytes(*index))
    }
}

/// The frame of an entry.
pub fn encode(shard: ShardId, entry: &Entry) -> Result<BytesValue, Fault> {
    let content = codec::encode(entry)?;
    let index = entry.log_id.index();
    let mut value = Vec::with_capacity(HEAD + content.len());
    value.extend_from_slice(&index.to_be_bytes());
    value.extend_from_slice(&checksum(shard, index, &content).to_be_bytes());
    value.extend_from_slice(&content);
    let mut frame = BytesValue::new();
    frame.set_value(value);
    Ok(frame)
}

/// The entry in a frame, unless it is not what was written for this shard and index.
pub fn decode(shard: ShardId, index: u64, frame: &BytesValue) -> Result<Entry, Fault> {
    let damaged = || Fault::Damaged(format!("log entry {index} of shard {shard}"));
    let (head, content) = frame.value.split_first_chunk::<HEAD>().ok_or_else(damaged)?;
    let expected = [index.to_be_bytes(), checksum(shard, index, content).to_be_bytes()].concat();
    if head.as_slice() != expected {
        return Err(damaged());
    }
    codec::decode(content)
}

fn checksum(shard: ShardId, index: u64, content: &[u8]) -> u64 {
    xxh3_64_with_seed(content, index.rotate_left(16) ^ u64::from(shard.0))
}
