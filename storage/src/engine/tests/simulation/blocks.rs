//! raft-engine remembers the last block that a thread has read by its place in the files, which says
//! nothing of whose files they are. In a simulation one thread reads the files of all nodes.

use std::path::Path;
use std::sync::Arc;

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, LogBatch};

use super::host;
use crate::engine::files::Disk;
use crate::engine::files::memory::MemoryDisk;
use crate::engine::log::files::LogFiles;
use crate::engine::log::frame::Frames;
use crate::engine::log::writer::LogEngine;

/// No other block is of this length.
const LENGTH: usize = 7_777;

thread_local! {
    static OTHER: Other = Other::new();
}

/// A log of one block.
struct Other {
    engine: LogEngine,
    _dir: tempfile::TempDir,
}

impl Other {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let engine = open(dir.path());
        let mut frame = BytesValue::new();
        frame.set_value([1_u64.to_be_bytes().as_slice(), &[0; LENGTH]].concat());
        let mut batch = LogBatch::default();
        batch.add_entries::<Frames>(1, &[frame]).expect("a batch");
        engine.write(&mut batch, false).expect("a write");
        Self { engine, _dir: dir }
    }
}

fn open(dir: &Path) -> LogEngine {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::default());
    let config = Config { dir: dir.display().to_string(), ..Config::default() };
    LogEngine::open_with_file_system(config, Arc::new(LogFiles::new(disk))).expect("a log")
}

/// Lets the thread forget what it has read last, if it runs a simulated machine.
pub fn forget() {
    if host::is_simulated() {
        OTHER.with(|other| {
            let read = other.engine.get_entry::<Frames>(1, 1).expect("a read");
            assert!(read.is_some());
        });
    }
}
