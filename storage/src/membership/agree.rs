//! How the cluster agrees on a version of commands and records: the leader of shard 0 proposes the newest
//! that every node understands, and it is put on record.
//!
//! Invariant: whoever does not understand what was agreed on is not taken in, and does not start.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use super::Inner;
use super::home::Home;
use super::keep::{NOW_AND_THEN, SOON};
use crate::capability::cluster::{self, Agree, Command, Node, NodeState, Replicate};
use crate::command::{self, Outcome};
use crate::engine::Unavailable;
use crate::engine::link::wire::Hello;
use crate::engine::link::{self, Channel, Identity};
use crate::fault::Fault;
use crate::ids::ShardId;
use crate::moment::Moment;
use crate::secret::Secret;
use crate::version::{NEWEST, OLDEST, TooNew, TooOld};

/// After a proposal came to nothing.
const RESPITE: Duration = Duration::from_secs(1);

/// How long members may take to say what was agreed on, before a node starts without that.
const HEAR: Duration = Duration::from_millis(500);

/// What members that answer at once say that the cluster has agreed on: a node that was away meanwhile
/// has not heard of it.
pub async fn agreed_elsewhere(home: &Home, secret: &Secret, now: Moment) -> u16 {
    let Ok(identity) = Identity::new(&secret.clone().into(), 0, now) else { return OLDEST };
    let asked = home.peers.iter().map(|(node, address)| {
        let (cluster, address) = (Some(home.cluster), address.as_str());
        let hello = Hello { cluster, from: 0, to: *node, data: NEWEST, address: String::new() };
        timeout(HEAR, link::connect(&identity, address, Channel::Control, hello))
    });
    let answers = join_all(asked).await.into_iter().filter_map(|answer| answer.ok()?.ok());
    answers.map(|(_, theirs)| theirs.data).max().unwrap_or(OLDEST)
}

/// What the cluster's records say of it as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The version that was agreed on.
    pub version: u16,
    /// How many replicas each shard wants, if that is on record.
    pub replicas: Option<u8>,
}

/// Runs until it is aborted.
pub async fn agree(inner: Arc<Inner>) {
    let (mut nodes, shard) = (inner.known.subscribe(), inner.shards.shard(ShardId(0)).clone());
    let mut leadership = shard.leadership();
    loop {
        let known = nodes.borrow_and_update().clone().unwrap_or_default();
        let leads = leadership.borrow_and_update().leads;
        let wait = if leads { inner.settle_terms(&known).await } else { NOW_AND_THEN };
        tokio::select! {
            // The sender lives as long as this task.
            _ = nodes.changed() => {}
            changed = leadership.changed() => if changed.is_err() { return },
            () = sleep(wait) => {}
        }
    }
}

impl Inner {
    /// What the records say of the cluster as a whole, as far as this node follows them.
    pub(super) fn terms(&self) -> Result<Terms, Fault> {
        let records = self.shards.shard(ShardId(0)).follow();
        let records = records.map_err(|unavailable| Fault::Io(unavailable.to_string()))?;
        let (version, replicas) = (cluster::agreed(&records)?, cluster::replicas(&records)?);
        Ok(Terms { version, replicas })
    }

    /// Puts on record what can be by now, and tells when to look again.
    async fn settle_terms(&self, nodes: &[Node]) -> Duration {
        let Ok(terms) = self.terms() else { return SOON };
        let understood = self.understood(nodes);
        let command = if understood > terms.version {
            Command::Agree(Agree { version: understood })
        } else {
            match u8::try_from(self.about.replicas) {
                // The number of replicas is on record from the version on that has the command for it.
                Ok(replicas) if terms.replicas.is_none() && terms.version > OLDEST => {
                    Command::Replicate(Replicate { replicas, anew: false })
                }
                _ => return NOW_AND_THEN,
            }
        };
        self.shards.speech().learn(terms.version);
        match self.decide_in_turn(command::Command::Cluster(command)).await {
            Ok(Ok(_)) => {
                if understood > terms.version {
                    tracing::info!(version = understood, "the cluster has agreed on a version");
                }
                SOON
            }
            Ok(Err(rejection)) => {
                tracing::debug!(?rejection, "the cluster's terms are as they were");
                RESPITE
            }
            Err(unavailable) => {
                tracing::debug!(%unavailable, "the cluster's terms are as they were");
                RESPITE
            }
        }
    }

    /// The newest version that every node understands, as they are on record, and as they have said
    /// since: one that was started anew may have become older.
    fn understood(&self, nodes: &[Node]) -> u16 {
        let present = nodes.iter().filter(|node| node.state != NodeState::Removed);
        let spoken = present.filter_map(|node| self.link.spoken_by(node.id));
        let recorded = cluster::understood(nodes).unwrap_or(OLDEST);
        spoken.chain([recorded, self.shards.speech().speaks()]).min().unwrap_or(OLDEST)
    }

    /// Decides here, while nobody is taken in: who is must be counted.
    pub(super) async fn decide_in_turn(
        &self,
        command: command::Command,
    ) -> Result<Outcome, Unavailable> {
        let _turn = self.turn.lock().await;
        self.decide_here(command).await
    }

    /// Goes by what the records say, and remembers it for the next start.
    pub(super) fn heed_terms(&self) {
        let Ok(terms) = self.terms() else { return };
        self.shards.speech().learn(terms.version);
        self.replicas.send_if_modified(|replicas| {
            let wanted = terms.replicas.map_or(self.about.replicas, usize::from);
            std::mem::replace(replicas, wanted) != wanted
        });
        if let Err(error) = self.shards.keep_version(terms.version) {
            tracing::warn!(%error, "the data folder's version was not put down");
        }
        let mut home = self.home.lock();
        if home.agreed < terms.version {
            home.agreed = terms.version;
            if let Err(error) = home.write(&self.about.data_dir) {
                tracing::warn!(%error, "the cluster's version was not put down");
            }
        }
    }

    /// Whether a command may be proposed by now; if not, for whom it waits.
    pub(super) fn permits(&self, command: &Command) -> Result<(), NotYet> {
        let permitted = self.shards.speech().permits(&command::Command::Cluster(command.clone()));
        let Err(problem) = permitted else { return Ok(()) };
        let nodes = self.nodes().unwrap_or_default();
        let older = nodes.into_iter().filter(|node| node.version.data < problem.needed);
        Err(NotYet { problem, older: older.map(|node| node.name).collect() })
    }
}

/// A command waits for nodes that do not understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYet {
    /// What it needs.
    pub problem: TooNew,
    /// The names of the nodes that are too old.
    pub older: Vec<String>,
}

impl std::fmt::Display for NotYet {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}", self.problem)?;
        match self.older.is_empty() {
            true => Ok(()),
            false => write!(to, " (older: {})", self.older.join(", ")),
        }
    }
}

/// Why the node has no part in the cluster.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its folder or its records cannot be used.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// It is older than what the cluster has agreed on.
    #[error("this node cannot take part: {0}")]
    TooOld(#[from] TooOld),
}
