//! Parts of a backup that come from other nodes: of shards that the node has no replica of which takes
//! the backup.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use janua_storage::backup::archive::Position;
use janua_storage::codec;
use janua_storage::engine::backup::{Archive, Arriving, Part};
use janua_storage::ids::ShardId;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::frame::Kind;
use super::{Answer, Lost, Piece, Pieces};
use crate::directory::Node;
use crate::home::Home;
use crate::refusal::Refusal;
use crate::routing::Place;

/// How long the leader of a shard is looked for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between tries.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the next piece may take.
const STALLED: Duration = Duration::from_secs(30);
/// Pieces that may wait for the archive's writer.
const WAITING: usize = 4;

/// What a piece is.
const MORE: u8 = 0;
const END: u8 = 1;
const BROKEN: u8 = 2;

/// How far the leader of a shard has come.
#[derive(Serialize, Deserialize)]
enum Come {
    To(Position),
    NotHere,
}

/// What a node says that is asked for a part; if it is `true`, the part follows.
type Begun = bool;

impl Node {
    /// The part of a shard with everything that was answered before: from this node's replica if it
    /// can, otherwise from the leader.
    pub(crate) async fn part_of(self: &Arc<Self>, home: &Home) -> Result<Part, Refusal> {
        let question = codec::encode(&home.id())?;
        let here = || home.settled();
        let there = |come: Bytes| match codec::decode(&come)? {
            Come::To(position) => Ok(position),
            Come::NotHere => Err(home.elsewhere()),
        };
        let position = self.ask_leader(home, (Kind::Position, question), here, there).await?;
        if home.heard_leader().is_some()
            && let Ok(held) = home.held(position).await
        {
            return Ok(Part::Here(held));
        }
        let (node, home, runtime) = (self.clone(), home.clone(), Handle::current());
        Ok(Part::There(Box::new(move || {
            let (sender, arriving) = mpsc::channel(WAITING);
            runtime.spawn(async move {
                let sent = match node.begin_part(&home).await {
                    Ok(pieces) => pass_on(pieces, &sender).await,
                    Err(refusal) => Err(refusal.to_string()),
                };
                let last = sent.map_or_else(Arriving::Broken, |()| Arriving::End);
                // Whoever writes the archive may have given up.
                drop(sender.send(last).await);
            });
            arriving
        })))
    }

    /// Finds the leader of a shard, and has it begin to send.
    async fn begin_part(self: &Arc<Self>, home: &Home) -> Result<Pieces, Refusal> {
        let (deadline, mut asked) = (Instant::now() + PATIENCE, BTreeSet::new());
        let question = Bytes::from(codec::encode(&home.id())?);
        loop {
            let place = self.place_by(deadline, home, &mut asked).await?;
            let (Place::There { node, .. }, Some(gateway)) = (place, self.gateway.get()) else {
                return Err(Refusal::unavailable("the shard has come to this node meanwhile"));
            };
            let within = deadline.saturating_duration_since(Instant::now());
            let asked = gateway.call(node, Kind::BackUp, question.clone(), Bytes::new(), within);
            match asked.await {
                Ok(replied) => {
                    if let Some(pieces) = replied.rest
                        && codec::decode::<Begun>(&replied.bytes)?
                    {
                        return Ok(pieces);
                    }
                }
                Err(Lost::Busy | Lost::Unreachable | Lost::Unknown) => {}
            }
            sleep(PAUSE).await;
        }
    }
}

/// Hands on what arrives, until all of it has, or says why it has not.
async fn pass_on(mut pieces: Pieces, to: &mpsc::Sender<Arriving>) -> Result<(), String> {
    loop {
        let piece = timeout(STALLED, pieces.next()).await.map_err(|_| "the other node stalls")?;
        let mut piece = piece.ok_or("the other node broke off")?;
        match piece.first() {
            Some(&MORE) => {
                let gone = |_| "nobody writes the archive any more";
                to.send(Arriving::Bytes(piece.split_off(1))).await.map_err(gone)?;
            }
            Some(&END) => return Ok(()),
            _ => return Err("the other node could not read its part".into()),
        }
    }
}

/// Says up to where a shard has come that this node leads.
pub(super) async fn position(node: &Arc<Node>, question: &[u8]) -> Option<Vec<u8>> {
    let shard: ShardId = codec::decode(question).ok()?;
    let come = match node.shards.get(shard)?.settled().await {
        Ok(position) => Come::To(position),
        Err(_) => Come::NotHere,
    };
    codec::encode(&come).ok()
}

/// Sends the part of a shard that this node leads.
pub(super) async fn part(node: &Arc<Node>, question: &[u8]) -> Option<Answer> {
    let home = node.shards.get(codec::decode(question).ok()?)?;
    let held = async { home.held(home.settled().await?).await };
    let held: Result<_, Refusal> = held.await;
    let begun: Begun = held.is_ok();
    let head = Bytes::from(codec::encode(&begun).ok()?);
    Some(match held {
        Ok(held) => Answer::Pieces(head, Box::pin(stream::unfold(Some(held.send()), next_piece))),
        Err(_) => Answer::Whole(head, Bytes::new()),
    })
}

async fn next_piece(part: Option<Archive>) -> Option<(Piece, Option<Archive>)> {
    let mut part = part?;
    Some(match part.next().await {
        Some(Ok(bytes)) => ((MORE, bytes.into()), Some(part)),
        Some(Err(_)) => ((BROKEN, Bytes::new()), None),
        None => ((END, Bytes::new()), None),
    })
}
