//! Writing to a shard that another node leads: for what spans two shards, and begins in the other.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use janua_storage::codec;
use janua_storage::command::{Outcome, Proposal};
use janua_storage::ids::ShardId;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::Lost;
use super::frame::Kind;
use crate::directory::{Directory, Node};
use crate::refusal::Refusal;
use crate::routing::Place;

/// For how long the leader of a shard is looked for.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
enum Written {
    Done(Outcome),
    NotHere,
    Unsettled(String),
}

#[derive(Serialize, Deserialize)]
struct Write {
    shard: ShardId,
    proposal: Proposal,
}

impl Directory {
    /// Proposes a command to a shard, wherever it is led, and says what it came to. Where that is
    /// unknown, a proposal that carries a ticket may be written again, and is; of any other the
    /// refusal is `Unsettled`.
    pub async fn write_to(&self, shard: ShardId, proposal: Proposal) -> Result<Outcome, Refusal> {
        let deadline = Instant::now() + PATIENCE;
        let mut asked = None;
        loop {
            let place = timeout_at(deadline, self.place_of(shard, asked, None)).await;
            let place = place.map_err(|_| Refusal::unavailable("the shard has no leader"))??;
            let written = match place {
                Place::Here => self.write_here(shard, proposal.clone()).await,
                Place::There(peer) => {
                    asked = Some(peer);
                    self.write_there(peer, shard, &proposal, deadline).await
                }
            };
            match written {
                Err(Refusal::Elsewhere(_)) => {}
                Err(Refusal::Unsettled { .. }) if proposal.idempotency.is_some() => {}
                written => return written,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn write_here(&self, shard: ShardId, proposal: Proposal) -> Result<Outcome, Refusal> {
        let home = self.node().shards.get(shard);
        home.ok_or_else(|| Refusal::unavailable("no such shard"))?.write(proposal).await
    }

    async fn write_there(
        &self,
        peer: u64,
        shard: ShardId,
        proposal: &Proposal,
        deadline: Instant,
    ) -> Result<Outcome, Refusal> {
        let home = self.node().shards.get(shard);
        let home = home.ok_or_else(|| Refusal::unavailable("no such shard"))?;
        let gateway = self.gateway().ok_or_else(|| home.elsewhere())?;
        let write = codec::encode(&Write { shard, proposal: proposal.clone() })?;
        let within = deadline.saturating_duration_since(Instant::now());
        match gateway.call(peer, Kind::Write, write.into(), Bytes::new(), within).await {
            Ok(written) => match codec::decode(&written)? {
                Written::Done(outcome) => Ok(outcome),
                Written::NotHere => Err(home.elsewhere()),
                Written::Unsettled(reason) => Err(home.unsettled(reason)),
            },
            Err(Lost::Unreachable) => Err(home.elsewhere()),
            Err(Lost::Busy) => Err(Refusal::Overloaded { retry_after: Duration::from_secs(1) }),
            Err(Lost::Unknown) => Err(home.unsettled(Lost::Unknown.to_string())),
        }
    }
}

/// Does what another node asks for.
pub(super) async fn work(node: &Arc<Node>, write: &[u8]) -> Option<(Bytes, Bytes)> {
    let Write { shard, proposal } = codec::decode(write).ok()?;
    let written = match node.shards.get(shard)?.write(proposal).await {
        Ok(outcome) => Written::Done(outcome),
        Err(Refusal::Elsewhere(_)) => Written::NotHere,
        Err(refusal) => Written::Unsettled(refusal.to_string()),
    };
    Some((codec::encode(&written).ok()?.into(), Bytes::new()))
}
