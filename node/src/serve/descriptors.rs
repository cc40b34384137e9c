//! File descriptors. Each connection takes one, and so does each file of the log; a log that cannot
//! open its next file cannot be written to again, so connections leave room for what the node keeps.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::start;
use crate::failure::Failure;

/// For the files of log, state and snapshots, and for the listeners.
const RESERVE: u64 = 512;

/// Raises the soft limit of open files to the hard one. What holds from then on, if anything does.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            current
        }
    }
}

/// How many connections there may be: as many as wanted, if so many files may be open.
pub fn connections(wanted: u64, files: Option<u64>) -> Result<u64, Failure> {
    let Some(files) = files else { return Ok(wanted) };
    match files.saturating_sub(RESERVE) {
        0 => Err(start(format!(
            "only {files} files may be open, of which the node keeps {RESERVE} for itself: allow \
             it more (ulimit -n, LimitNOFILE=)"
        ))),
        room if room < wanted => {
            tracing::warn!(
                "at most {room} connections are taken, not {wanted} (http.max_connections), because \
                 only {files} files may be open: allow more (ulimit -n, LimitNOFILE=)"
            );
            Ok(room)
        }
        _ => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_node_its_own_files() {
        assert_eq!(connections(10_000, None).unwrap(), 10_000);
        assert_eq!(connections(10_000, Some(1 << 20)).unwrap(), 10_000);
        assert_eq!(connections(10_000, Some(1024)).unwrap(), 512);
        assert_eq!(connections(100, Some(1024)).unwrap(), 100);
        assert!(connections(1, Some(512)).is_err());
    }
}
