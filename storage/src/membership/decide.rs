//! Decisions about nodes: proposed to shard 0 by whichever node leads it, on behalf of any.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep};

use super::control::{Ask, Joined, Told};
use super::{Inner, node_of};
use crate::capability::cluster::{Command, Join};
use crate::codec;
use crate::command::{self, Outcome, Proposal, Rejection};
use crate::engine::Unavailable;
use crate::engine::link::Control;
use crate::event::Origin;
use crate::ids::{ShardId, TenantNumber};
use crate::version;

/// How long a decision may take, with all that leaders come and go meanwhile.
const DEADLINE: Duration = Duration::from_secs(8);
/// How long one node may take for it.
const ASK_DEADLINE: Duration = Duration::from_secs(3);
/// Between attempts.
const RESPITE: Duration = Duration::from_millis(100);

/// Nothing was decided in time; it may still come to be.
#[derive(Debug, thiserror::Error)]
#[error("the cluster has not decided in time: {0}")]
pub struct Undecided(pub String);

impl Inner {
    /// Decides about nodes.
    pub async fn decide(&self, command: Command) -> Result<Outcome, Undecided> {
        let ask = Ask::Decide(command.clone());
        self.decide_by(command::Command::Cluster(command), &ask).await
    }

    /// Decides, here or, by asking for it, at the leader of shard 0. All these commands may be made
    /// twice.
    pub(super) async fn decide_by(
        &self,
        command: command::Command,
        ask: &Ask,
    ) -> Result<Outcome, Undecided> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let problem = match self.decide_in_turn(command.clone()).await {
                Ok(outcome) => return Ok(outcome),
                Err(unavailable) if unavailable.is_not_leader() => {
                    match self.decide_there(&unavailable, ask).await {
                        Ok(outcome) => return Ok(outcome),
                        Err(problem) => problem,
                    }
                }
                Err(unavailable) => unavailable.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(Undecided(problem));
            }
            sleep(RESPITE).await;
        }
    }

    /// Decides if this node leads shard 0.
    pub(super) async fn decide_here(
        &self,
        command: command::Command,
    ) -> Result<Outcome, Unavailable> {
        let shard = self.shards.shard(ShardId(0));
        if !shard.is_leader() {
            let leader = shard.heard_leader().max(self.link.leader_of(ShardId(0)));
            let leader = leader.map(|(_, leader)| leader).filter(|leader| *leader != self.me());
            return Err(Unavailable::not_leader(leader));
        }
        let (proposed, seed) = (self.stamp)();
        let proposal = Proposal {
            tenant: TenantNumber::CLUSTER,
            proposed,
            seed,
            origin: Origin::default(),
            idempotency: None,
            command,
        };
        shard.write(proposal).await
    }

    async fn decide_there(&self, unavailable: &Unavailable, ask: &Ask) -> Result<Outcome, String> {
        let leader = unavailable.leader().ok_or_else(|| unavailable.to_string())?;
        let text = |problem: &dyn std::fmt::Display| format!("node {leader}: {problem}");
        let request = codec::encode(ask).map_err(|fault| text(&fault))?;
        let answer = self.link.ask(leader, &request, ASK_DEADLINE).await;
        match codec::decode(&answer.map_err(|error| text(&error))?) {
            Ok(Told::Decided(outcome)) => Ok(*outcome),
            Ok(Told::Unavailable(problem) | Told::Refused(problem)) => Err(text(&problem)),
            Ok(_) => Err(text(&"an answer to something else")),
            Err(fault) => Err(text(&fault)),
        }
    }

    /// Answers what other nodes ask.
    pub fn control(inner: &Arc<Self>) -> Control {
        let inner = Arc::downgrade(inner);
        Arc::new(move |from, request| {
            let inner = inner.clone();
            async move {
                let told = match (inner.upgrade(), codec::decode::<Ask>(&request)) {
                    (Some(inner), Ok(ask)) if inner.understands(&ask) => {
                        inner.answer(from, ask).await
                    }
                    (None, _) => Told::Unavailable("the node is stopping".into()),
                    (Some(_), _) => Told::Refused("it does not understand the question".into()),
                };
                codec::encode(&told).unwrap_or_default()
            }
            .boxed()
        })
    }

    /// Whether a question is none of a newer version than this node speaks.
    fn understands(&self, ask: &Ask) -> bool {
        match ask {
            Ask::Decide(command) => {
                let command = command::Command::Cluster(command.clone());
                version::needed(&command) <= self.shards.speech().speaks()
            }
            _ => true,
        }
    }

    async fn answer(&self, from: u64, ask: Ask) -> Told {
        match ask {
            Ask::Join(join) => self.take_in(*join).await,
            Ask::ResetOperator(asked) => self.reset_operator(from, asked).await,
            _ if from == 0 => Told::Refused("it is no member".into()),
            Ask::Decide(command) => {
                match self.decide_in_turn(command::Command::Cluster(command)).await {
                    Ok(outcome) => Told::Decided(Box::new(outcome)),
                    Err(unavailable) => Told::Unavailable(unavailable.to_string()),
                }
            }
            Ask::Report => Told::Report(self.report()),
            Ask::Rebalance => self.hurry(),
            Ask::HasLetGo(shard) => match self.shards.iter().nth(usize::from(shard.0)) {
                None => Told::Refused("there is no such shard".into()),
                Some(shard) => match shard.has_let_go(from).await {
                    Ok(gone) => Told::LetGo(gone),
                    Err(unavailable) => Told::Unavailable(unavailable.to_string()),
                },
            },
        }
    }

    /// Invariant: nobody is taken in before the founder's own record is there. A founder that came
    /// second would be refused for ever, and everything moved away from it.
    async fn take_in(&self, join: Join) -> Told {
        if self.all_nodes().unwrap_or_default().is_empty() {
            return Told::Unavailable("the cluster is being founded".into());
        }
        let (name, spoken) = (join.name.clone(), join.version.data);
        let too_old = || self.shards.speech().admits(spoken).err();
        if let Some(problem) = too_old() {
            return Told::Refused(problem.to_string());
        }
        let node = match self.decide(Command::Join(Box::new(join))).await {
            Ok(Ok(reply)) => node_of(reply),
            Ok(Err(Rejection::AlreadyExists)) => {
                return Told::Refused(format!(
                    "there is a node {name} already: give this one another node.name, or, if that \
                     one has lost its data for good, start this one with --replace"
                ));
            }
            Ok(Err(rejection)) => {
                let problem = too_old().map(|problem| problem.to_string());
                return Told::Refused(problem.unwrap_or_else(|| format!("{rejection:?}")));
            }
            Err(undecided) => return Told::Unavailable(undecided.to_string()),
        };
        let Some(node) = node else { return Told::Refused("no node came of it".into()) };
        tracing::info!(node = node.id, name, "taking a node into the cluster");
        let (cluster, shards) = {
            let home = self.home.lock();
            (home.cluster, home.shards)
        };
        let nodes = self.nodes().unwrap_or_default();
        let mut peers: BTreeMap<u64, String> =
            nodes.into_iter().map(|node| (node.id, node.cluster_address)).collect();
        peers.insert(self.me(), self.link.address().to_owned());
        peers.remove(&node.id);
        Told::Joined(Box::new(Joined::new(cluster, node.id, shards, &self.key, peers)))
    }
}
