//! The threads of Raft.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that Raft has to itself, so that nothing else delays its timers.
const RAFT_THREADS: usize = 3;
/// How much more of a core than the rest of the server Raft's threads may have (POSIX nice).
const URGENT: i32 = -5;
/// How much less of one what blocks may have: snapshots that are written, read and installed, and the
/// scrubber. All of it takes long and can wait; who is answered meanwhile cannot.
const PATIENT: i32 = 10;

/// Where the tasks of a node's shards run.
pub enum Threads {
    /// Threads of their own.
    Own(Runtime),
    /// Whatever runs the simulated node.
    #[cfg(test)]
    Simulated(Handle),
}

impl Threads {
    /// Raft's own threads. Heartbeats that wait for a core behind everything else would cost a leader
    /// its lease, so its workers go first where the system lets them. Threads that it starts for what
    /// blocks would inherit that, and go last.
    pub fn start() -> io::Result<Self> {
        #[cfg(test)]
        if super::tests::simulation::host::is_simulated() {
            return Ok(Self::Simulated(Handle::current()));
        }
        let usual = rustix::process::getpriority_process(None)?;
        let (started, all) = (AtomicUsize::new(0), Arc::new(Barrier::new(RAFT_THREADS + 1)));
        let ready = all.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(RAFT_THREADS)
            .thread_name("raft")
            .on_thread_start(move || {
                // The workers are the first that are started.
                if started.fetch_add(1, Ordering::Relaxed) < RAFT_THREADS {
                    go_first();
                    ready.wait();
                } else {
                    let _ = rustix::process::setpriority_process(None, usual + PATIENT);
                }
            })
            .enable_all()
            .build()?;
        all.wait();
        Ok(Self::Own(runtime))
    }

    /// Where tasks are put.
    pub fn handle(&self) -> &Handle {
        match self {
            Self::Own(runtime) => runtime.handle(),
            #[cfg(test)]
            Self::Simulated(handle) => handle,
        }
    }

    /// Ends them, after so long at most. Blocks.
    pub fn end(self, patience: Duration) {
        match self {
            Self::Own(runtime) => runtime.shutdown_timeout(patience),
            #[cfg(test)]
            Self::Simulated(_) => {}
        }
    }

    /// Ends them without waiting.
    pub fn abandon(self) {
        match self {
            Self::Own(runtime) => runtime.shutdown_background(),
            #[cfg(test)]
            Self::Simulated(_) => {}
        }
    }
}

/// Lets the calling thread go before others; without the right to (CAP_SYS_NICE) it competes as equal.
pub fn go_first() {
    let _ = rustix::process::nice(URGENT);
}
