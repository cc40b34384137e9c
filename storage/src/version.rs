//! Which version of commands and records this program speaks, and which one its cluster has agreed on.
//!
//! Nodes of two versions serve side by side while a cluster is brought to a newer program, node by
//! node. What an older program could not read must not be written meanwhile: it comes into use when
//! every node understands it (`membership/agree.rs`).
//!
//! Invariant: what `LATER` lists is proposed only once the cluster has agreed on its version. The
//! version that was agreed on is a record, and is never lowered.

use tokio::sync::watch;

use crate::capability::{api_keys, cluster, email_verification, magic_links, oauth, sessions};
use crate::command::Command;
use crate::idempotency::Guess;
use crate::pkce::Proof;

/// The newest version that this program speaks.
pub const NEWEST: u16 = 2;
/// The oldest that it understands, and what every cluster begins with: everything that 0.1.0 can write but
/// for what `LATER` lists. No earlier state of the program was released, and none serves beside this one.
pub const OLDEST: u16 = 1;

/// From this version on, what leaves for an application can be bound to a challenge.
pub const CHALLENGES: u16 = 2;

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
    Later { version: 2, is: |command| matches!(command, Command::Within(_)) },
    Later { version: 2, is: |command| matches!(command, Command::ByKey(_)) },
    Later {
        version: 2,
        is: |command| matches!(command, Command::ApiKeys(api_keys::Command::Judged(_))),
    },
    Later {
        version: CHALLENGES,
        is: |command| matches!(command, Command::Oauth(oauth::Command::Prove(_))),
    },
    Later {
        version: CHALLENGES,
        is: |command| match command {
            Command::Oauth(oauth::Command::Arrive(arrive)) => {
                matches!(arrive.then, oauth::Then::LeaveTo(..))
            }
            _ => false,
        },
    },
    Later {
        version: CHALLENGES,
        is: |command| matches!(command, Command::Sessions(sessions::Command::HandOverTo(_))),
    },
    Later {
        version: 2,
        is: |command| {
            matches!(command, Command::EmailVerification(email_verification::Command::Ask(_)))
        },
    },
    Later {
        version: 2,
        is: |command| matches!(command, Command::MagicLinks(magic_links::Command::LeaveTo(_))),
    },
];

/// A command as the first version has it, where that means the same but for what was judged beside it:
/// so that nobody has to wait for what they could do before.
fn of_the_first_version(command: Command) -> Command {
    match command {
        Command::Guess(guess) => {
            let Guess { operation, command } = *guess;
            Command::Guess(Box::new(Guess { operation, command: of_the_first_version(command) }))
        }
        Command::Within(within) => of_the_first_version(within.command),
        Command::ByKey(by_key) => of_the_first_version(by_key.command),
        Command::ApiKeys(api_keys::Command::Judged(judged)) => Command::ApiKeys(judged.change),
        Command::Oauth(oauth::Command::Prove(prove)) if prove.proof == Proof::None => {
            Command::Oauth(oauth::Command::Redeem(Box::new(prove.redeem)))
        }
        command => command,
    }
}

/// The version that a command needs.
pub fn needed(command: &Command) -> u16 {
    let within = match command {
        Command::Guess(guess) => needed(&guess.command),
        Command::Within(within) => needed(&within.command),
        Command::ByKey(by_key) => needed(&by_key.command),
        _ => OLDEST,
    };
    let later = LATER.iter().filter(|later| (later.is)(command)).map(|later| later.version);
    later.fold(within, u16::max)
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
    agreed: watch::Sender<u16>,
}

impl Speech {
    /// Of a node that speaks up to this version.
    pub fn up_to(speaks: u16) -> Self {
        Self { speaks, agreed: watch::Sender::new(OLDEST) }
    }

    /// The newest version that the node speaks.
    pub fn speaks(&self) -> u16 {
        self.speaks
    }

    /// What the cluster has agreed on, as far as the node knows.
    pub fn agreed(&self) -> u16 {
        *self.agreed.borrow()
    }

    /// The cluster has agreed on this.
    pub fn learn(&self, agreed: u16) {
        self.agreed.send_if_modified(|known| agreed > std::mem::replace(known, agreed.max(*known)));
    }

    /// Returns once the node knows that the cluster has agreed on all that it speaks.
    pub async fn is_free(&self) {
        // The sender lives as long as this.
        drop(self.agreed.subscribe().wait_for(|agreed| *agreed >= self.speaks).await);
    }

    /// Returns once the cluster has agreed on more than this.
    pub async fn outgrows(&self, speaks: u16) {
        // The sender lives as long as this.
        drop(self.agreed.subscribe().wait_for(|agreed| *agreed > speaks).await);
    }

    /// A command as every node understands it, if there is a way to say it.
    pub fn worded(&self, command: Command) -> Command {
        if self.agreed() > OLDEST { command } else { of_the_first_version(command) }
    }

    /// Whether every node understands a command. The one by which they agree is judged by the nodes'
    /// records alone, where it is applied too.
    pub fn permits(&self, command: &Command) -> Result<(), TooNew> {
        if let Command::Cluster(cluster::Command::Agree(_)) = command {
            return Ok(());
        }
        self.require(needed(command))
    }

    /// Whether every node speaks this version.
    pub fn require(&self, needed: u16) -> Result<(), TooNew> {
        let agreed = self.agreed();
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
    use crate::capability::api_keys::ByKey;
    use crate::capability::cluster::Replicate;
    use crate::capability::sessions::Within;
    use crate::idempotency::Ticket;
    use crate::ids::{SessionId, UserId};
    use crate::moment::Moment;
    use crate::secret::SecretHash;

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
    fn what_could_be_done_before_is_done_in_the_words_of_before() {
        let (user, session) = (UserId::new(1, 1), SessionId::new(1, 1));
        let leave = || {
            let leave = crate::capability::users::Leave { user, verified: None };
            Command::Users(crate::capability::users::Command::Leave(leave))
        };
        let within = || Command::Within(Box::new(Within { user, session, command: leave() }));
        let speech = Speech::up_to(2);
        assert!(speech.permits(&within()).is_err());
        assert_eq!(speech.worded(within()), leave());
        assert_eq!(speech.permits(&leave()), Ok(()));
        let hash = SecretHash([1; 32]);
        let by_key = || ByKey { hash, scopes: vec!["users:delete".into()], command: leave() };
        let by_key = || Command::ByKey(Box::new(by_key()));
        assert!(speech.permits(&by_key()).is_err());
        assert_eq!(speech.worded(by_key()), leave());
        speech.learn(2);
        for command in [within(), by_key()] {
            assert_eq!(speech.worded(command.clone()), command);
            assert_eq!(speech.permits(&command), Ok(()));
        }
    }

    #[test]
    fn a_guess_is_as_new_as_what_is_guessed() {
        let expires = Moment(1);
        let operation = Ticket { digest: [1; 32], request: [2; 32], secrets: None, expires };
        let guess = Guess { operation, command: replicate() };
        assert_eq!(needed(&Command::Guess(Box::new(guess))), 2);
    }
}
