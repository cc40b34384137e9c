//! What a truncation has voided stays void, whatever comes next and however often the log is opened.

use openraft::EntryPayload;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};

use super::*;
use crate::engine::log::store::ShardLog;
use crate::engine::log::{Log, LogOptions};
use crate::engine::poison::Poison;
use crate::engine::raft::{Entry, LogId};
use crate::ids::ShardId;

fn open(dir: &Path) -> (Arc<Log>, ShardLog) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = LogOptions {
        dir: dir.into(),
        file_bytes: 64 * 1024,
        purge_bytes: 128 * 1024,
        clean: false,
    };
    let log = Arc::new(Log::open(options, &disk, &Arc::new(Poison::default())).expect("a log"));
    let shard = ShardLog::open(&log, ShardId(0)).expect("a shard");
    (log, shard)
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(term.into(), index)
}

fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    let blank = |index| Entry { log_id: id(term, index), payload: EntryPayload::Blank };
    indexes.map(blank).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_voided_do_not_come_back_behind_a_snapshot() {
    let dir = tempfile::tempdir().expect("a folder");
    let (log, mut shard) = open(dir.path());
    shard.blocking_append(entries(1, 1..=20)).await.expect("a write");
    shard.truncate_after(Some(id(1, 10))).await.expect("a write");
    // A snapshot of the leader's takes it further than it has entries that count.
    shard.purge(id(2, 15)).await.expect("a write");
    drop(shard);
    assert!(log.close());

    let (log, mut shard) = open(dir.path());
    assert_eq!((shard.purged(), shard.last()), (Some(id(2, 15)), Some(id(2, 15))));
    assert!(shard.entries(0, u64::MAX).expect("entries").is_empty());
    shard.blocking_append(entries(2, 16..=17)).await.expect("a write");
    drop(shard);
    assert!(log.close());

    let (_log, shard) = open(dir.path());
    assert_eq!(shard.last(), Some(id(2, 17)));
    assert_eq!(shard.entries(0, u64::MAX).expect("entries").len(), 2);
}
