//! Which version of commands and records this program speaks, and which one its cluster has agreed on.
//!
//! Nodes of two versions serve side by side while a cluster is brought to a newer program, node by
//! node. What an older program could not read must not be written meanwhile: it comes into use when
//! every node understands it (`membership/agree.rs`).
//!
//! Invariant: what `LATER` lists is proposed only once the cluster has agreed on its version. The
//! version that was agreed on is a record, and is never lowered.

use std::sync::atomic::{AtomicU16, Ordering};

use crate::capability::cluster;
use crate::command::Command;

/// The newest version that this program speaks.
pub const NEWEST: u16 = 2;
/// The oldest that it understands, and what every cluster begins with: everything that 0.1.0 can write but
/// for what `LATER` lists. No earlier state of the program was released, and none serves beside this one.
pub const OLDEST: u16 = 1;

/// Something that came later than the first version.
struct Later {
    version: u16,
    is: fn(&Command) -> bool,
}

/// Every command (with the records that it writes) that came later, and the version that it needs. A
/// command that is added gets a line here, under the next version; `NEWEST` is the greatest of them.
const LATER: &[Later] = &[
    Later {
        version: 2,
        is: |command| matches!(command, Command::Cluster(cluster::Command::Agree(_))),
    },
    Later {
        version: 2,
        is: |command| matches!(command, Command::Cluster(cluster::Command::Replicate(_))),
    },
];

/// The version that a command needs.
pub fn needed(command: &Command) -> u16 {
    let mut command = command;
    loop {
        command = match command {
            Command::Guess(guess) => &guess.command,
            Command::Within(within) => &within.command,
            _ => break,
        };
    }
    let later = LATER.iter().filter(|later| (later.is)(command)).map(|later| later.version);
    later.max().unwrap_or(OLDEST)
}

/// Something is newer than what the cluster has agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this needs version {needed}, and the cluster has agreed on version {agreed}: wait until every \
     node runs version {needed}"
)]
pub struct TooNew {
    /// The version that it needs.
    pub needed: u16,
    /// What the cluster has agreed on.
    pub agreed: u16,
}

/// A node is older than what its cluster has agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it speaks version {speaks} and the cluster has agreed on version {agreed}: start a newer version \
     of the program, with no cluster.speak_as below {agreed}"
)]
pub struct TooOld {
    /// What the node speaks.
    pub speaks: u16,
    /// What the cluster has agreed on.
    pub agreed: u16,
}

/// What this node speaks, and what its cluster has agreed on as far as it knows.
#[derive(Debug)]
pub struct Speech {
    speaks: u16,
    agreed: AtomicU16,
}

impl Speech {
    /// Of a node that speaks up to this version.
    pub fn up_to(speaks: u16) -> Self {
        Self { speaks, agreed: AtomicU16::new(OLDEST) }
    }

    /// The newest version that the node speaks.
    pub fn speaks(&self) -> u16 {
        self.speaks
    }

    /// What the cluster has agreed on, as far as the node knows.
    pub fn agreed(&self) -> u16 {
        self.agreed.load(Ordering::Relaxed)
    }

    /// The cluster has agreed on this.
    pub fn learn(&self, agreed: u16) {
        self.agreed.fetch_max(agreed, Ordering::Relaxed);
    }

    /// Whether every node understands a command. The one by which they agree is judged by the nodes'
    /// records alone, where it is applied too.
    pub fn permits(&self, command: &Command) -> Result<(), TooNew> {
        if let Command::Cluster(cluster::Command::Agree(_)) = command {
            return Ok(());
        }
        let (needed, agreed) = (needed(command), self.agreed());
        if needed > agreed { Err(TooNew { needed, agreed }) } else { Ok(()) }
    }

    /// Whether a node that speaks up to this version may take part.
    pub fn admits(&self, speaks: u16) -> Result<(), TooOld> {
        let agreed = self.agreed();
        if speaks < agreed { Err(TooOld { speaks, agreed }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::cluster::Replicate;
    use crate::idempotency::{Guess, Ticket};
    use crate::moment::Moment;

    fn replicate() -> Command {
        Command::Cluster(cluster::Command::Replicate(Replicate { replicas: 5, anew: true }))
    }

    #[test]
    fn the_newest_version_is_that_of_the_newest_command() {
        assert_eq!(LATER.iter().map(|later| later.version).max(), Some(NEWEST));
        assert_eq!(needed(&Command::Cluster(cluster::Command::Drain(1))), OLDEST);
        assert_eq!(needed(&replicate()), 2);
    }

    #[test]
    fn a_newer_command_waits_until_the_cluster_has_agreed() {
        let speech = Speech::up_to(2);
        assert_eq!(speech.permits(&replicate()), Err(TooNew { needed: 2, agreed: 1 }));
        assert_eq!(speech.permits(&Command::Cluster(cluster::Command::Drain(1))), Ok(()));
        speech.learn(2);
        assert_eq!(speech.permits(&replicate()), Ok(()));
        speech.learn(1);
        assert_eq!(speech.agreed(), 2);
        assert_eq!(speech.admits(1), Err(TooOld { speaks: 1, agreed: 2 }));
    }

    #[test]
    fn a_guess_is_as_new_as_what_is_guessed() {
        let expires = Moment(1);
        let operation = Ticket { digest: [1; 32], request: [2; 32], secrets: None, expires };
        let guess = Guess { operation, command: replicate() };
        assert_eq!(needed(&Command::Guess(Box::new(guess))), 2);
    }
}
