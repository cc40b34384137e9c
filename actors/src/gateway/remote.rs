//! Reading from and writing to shards that other nodes lead: for what spans two shards, such as a
//! tenant that comes or goes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use janua_storage::codec;
use janua_storage::command::{Outcome, Proposal};
use janua_storage::ids::{ShardId, TenantNumber};
use janua_storage::records::Records;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};

use super::Lost;
use super::frame::Kind;
use crate::directory::Node;
use crate::home::Home;
use crate::refusal::Refusal;
use crate::routing::Place;

/// For how long the leader of a shard is looked for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between tries.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Serialize, Deserialize)]
enum Written {
    Done(Outcome),
    NotHere,
    Unsettled(String),
}

#[derive(Serialize, Deserialize)]
enum Found {
    Here(Option<Vec<u8>>),
    NotHere,
}

impl Node {
    /// Proposes a command to its tenant's shard, wherever that is led, and says what it came to. Made
    /// twice, the command must do what it does once: it is made again when its outcome is unknown.
    pub(crate) async fn write_anywhere(
        self: &Arc<Self>,
        proposal: Proposal,
    ) -> Result<Outcome, Refusal> {
        let home = self.shards.of(proposal.tenant);
        let deadline = Instant::now() + PATIENCE;
        let mut asked = BTreeSet::new();
        loop {
            let written = match self.place_by(deadline, home, &mut asked).await? {
                Place::Here => home.write(proposal.clone()).await,
                Place::There { node, .. } => {
                    self.write_there(node, home, &proposal, deadline).await
                }
            };
            match written {
                Err(Refusal::Elsewhere(_) | Refusal::Unsettled { .. }) => sleep(PAUSE).await,
                written => return written,
            }
        }
    }

    /// What is recorded under a key of a tenant, wherever its shard is led.
    pub(crate) async fn get_anywhere<T: DeserializeOwned>(
        self: &Arc<Self>,
        tenant: TenantNumber,
        key: &[u8],
    ) -> Result<Option<T>, Refusal> {
        let home = self.shards.of(tenant);
        let here = || async { Ok(home.read().await?.get(key)?) };
        let question = codec::encode(&(home.id(), key))?;
        let there = |found: Bytes| match codec::decode(&found)? {
            Found::Here(value) => Ok(value),
            Found::NotHere => Err(home.elsewhere()),
        };
        let found = self.ask_leader(home, (Kind::Read, question), here, there).await?;
        Ok(found.map(|value| codec::decode(&value)).transpose()?)
    }

    /// What the leader of a shard says to a question that changes nothing: this node, or another one,
    /// whose answer is then read by `there`.
    pub(crate) async fn ask_leader<T, F: Future<Output = Result<T, Refusal>>>(
        &self,
        home: &Home,
        (kind, question): (Kind, Vec<u8>),
        here: impl Fn() -> F,
        there: impl Fn(Bytes) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let deadline = Instant::now() + PATIENCE;
        let mut asked = BTreeSet::new();
        loop {
            let answer = match self.place_by(deadline, home, &mut asked).await? {
                Place::Here => here().await,
                Place::There { node, .. } => {
                    match self.ask(node, kind, question.clone(), deadline).await {
                        Ok(answer) => there(answer),
                        Err(Lost::Busy) => Err(busy()),
                        Err(Lost::Unreachable | Lost::Unknown) => Err(home.elsewhere()),
                    }
                }
            };
            match answer {
                Err(Refusal::Elsewhere(_)) => sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }

    pub(super) async fn place_by(
        &self,
        deadline: Instant,
        home: &Home,
        asked: &mut BTreeSet<u64>,
    ) -> Result<Place, Refusal> {
        // A node without others asks its own shard, which says by itself what is wrong.
        if self.gateway.get().is_none() {
            return Ok(Place::Here);
        }
        let place = timeout_at(deadline, self.place_of(home.id(), asked, None)).await;
        let place = place.map_err(|_| Refusal::unavailable("the shard has no leader"))?;
        if let Ok(Place::There { node: peer, .. }) = place
            && !asked.insert(peer)
        {
            // A new round begins.
            *asked = BTreeSet::from([peer]);
        }
        place
    }

    async fn ask(
        &self,
        peer: u64,
        kind: Kind,
        question: Vec<u8>,
        deadline: Instant,
    ) -> Result<Bytes, Lost> {
        let gateway = self.gateway.get().ok_or(Lost::Unreachable)?;
        let within = deadline.saturating_duration_since(Instant::now());
        let answer = gateway.call(peer, kind, question.into(), Bytes::new(), within).await;
        answer.map(|answer| answer.bytes)
    }

    async fn write_there(
        &self,
        peer: u64,
        home: &Home,
        proposal: &Proposal,
        deadline: Instant,
    ) -> Result<Outcome, Refusal> {
        let question = codec::encode(&(home.id(), proposal))?;
        match self.ask(peer, Kind::Write, question, deadline).await {
            Ok(written) => match codec::decode(&written)? {
                Written::Done(outcome) => Ok(outcome),
                Written::NotHere => Err(home.elsewhere()),
                Written::Unsettled(reason) => Err(home.unsettled(reason)),
            },
            Err(Lost::Unreachable) => Err(home.elsewhere()),
            Err(Lost::Busy) => Err(busy()),
            Err(Lost::Unknown) => Err(home.unsettled(Lost::Unknown.to_string())),
        }
    }
}

fn busy() -> Refusal {
    Refusal::Overloaded { retry_after: Duration::from_secs(1) }
}

/// Proposes what another node asks for.
pub(super) async fn write(node: &Arc<Node>, question: &[u8]) -> Option<Vec<u8>> {
    let (shard, proposal): (ShardId, Proposal) = codec::decode(question).ok()?;
    let written = match node.shards.get(shard)?.write(proposal).await {
        Ok(outcome) => Written::Done(outcome),
        Err(Refusal::Elsewhere(_)) => Written::NotHere,
        Err(refusal) => Written::Unsettled(refusal.to_string()),
    };
    codec::encode(&written).ok()
}

/// Reads what another node asks for.
pub(super) async fn read(node: &Arc<Node>, question: &[u8]) -> Option<Vec<u8>> {
    let (shard, key): (ShardId, Vec<u8>) = codec::decode(question).ok()?;
    let found = match node.shards.get(shard)?.read().await {
        Ok(records) => Found::Here(records.get(&key).ok()?),
        Err(_) => Found::NotHere,
    };
    codec::encode(&found).ok()
}
