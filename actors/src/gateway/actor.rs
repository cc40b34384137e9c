//! The gateway's actor: the one actor of a node that others can send to. It takes batches apart,
//! hands answers to whoever waits, and has calls worked on beside it; it never waits for anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ractor::message::{BoxedDowncastErr, SerializedMessage};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, pg};
use ractor_cluster::node::NodeServerSessionInformation;

use super::Gateway;
use super::frame::{self, Frame, Kind};
use super::inbound::Inbound;
use super::link::{Link, Lost, Replied};
use super::pieces::Pieces;

/// The scope of process groups in which gateways are found.
const SCOPE: &str = "janua";

/// How often a sign of life is given.
const BEAT: Duration = Duration::from_millis(500);

/// A peer that was silent for so long is called anew.
const SILENCE: Duration = Duration::from_millis(1500);

/// What the gateway's actor is told.
pub enum GatewayMessage {
    /// A batch of frames; the only thing that comes from other nodes.
    Frames(Vec<u8>),
    /// A session with a peer is ready.
    Ready(NodeServerSessionInformation),
    /// A session has ended.
    Ended(NodeServerSessionInformation),
    /// Give a sign of life, and look for those of others.
    Beat,
}

impl ractor::Message for GatewayMessage {
    fn serializable() -> bool {
        true
    }

    fn serialize(self) -> Result<SerializedMessage, BoxedDowncastErr> {
        match self {
            Self::Frames(args) => {
                Ok(SerializedMessage::Cast { variant: String::new(), args, metadata: None })
            }
            _ => Err(BoxedDowncastErr),
        }
    }

    fn deserialize(message: SerializedMessage) -> Result<Self, BoxedDowncastErr> {
        match message {
            SerializedMessage::Cast { args, .. } => Ok(Self::Frames(args)),
            _ => Err(BoxedDowncastErr),
        }
    }
}

/// The process group of a node's gateway.
fn group(node: u64) -> String {
    format!("gateway.{node}")
}

/// The actor itself.
pub(super) struct GatewayActor;

pub(super) struct State {
    gateway: Gateway,
    inbound: HashMap<u64, Inbound>,
}

impl Actor for GatewayActor {
    type Msg = GatewayMessage;
    type State = State;
    type Arguments = Gateway;

    async fn pre_start(
        &self,
        myself: ActorRef<GatewayMessage>,
        gateway: Gateway,
    ) -> Result<State, ActorProcessingErr> {
        pg::join_scoped(SCOPE.into(), group(gateway.0.node), vec![myself.get_cell()]);
        myself.send_interval(BEAT, || GatewayMessage::Beat);
        Ok(State { gateway, inbound: HashMap::new() })
    }

    async fn handle(
        &self,
        _: ActorRef<GatewayMessage>,
        message: GatewayMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            GatewayMessage::Frames(batch) => state.take(batch.into()),
            GatewayMessage::Ready(session) => state.gateway.opened(&session),
            GatewayMessage::Ended(session) => {
                if let Some(peer) = state.gateway.closed(&session)
                    && let Some(inbound) = state.inbound.get_mut(&peer)
                {
                    inbound.begins_anew();
                }
            }
            GatewayMessage::Beat => state.gateway.beat(),
        }
        Ok(())
    }
}

impl State {
    fn take(&mut self, mut batch: Bytes) {
        let Some((peer, number)) = frame::sender(&mut batch) else { return };
        let link = self.gateway.link(peer);
        if let Some(link) = &link {
            link.hears();
        }
        let inbound = self.inbound.entry(peer).or_insert_with(|| Inbound::of(peer));
        if !inbound.goes_by(number) {
            return;
        }
        while let Some(part) = frame::next(&mut batch) {
            let Some(part) = inbound.whole(part) else { continue };
            let answer = match part.kind {
                Kind::Request
                | Kind::Stream
                | Kind::Hash
                | Kind::Write
                | Kind::Read
                | Kind::Position
                | Kind::BackUp
                | Kind::Outbox
                | Kind::Unknown => {
                    inbound.work_on(&self.gateway, part);
                    continue;
                }
                Kind::Cancel => {
                    inbound.let_go(part.call);
                    continue;
                }
                Kind::Piece => {
                    inbound.pass_on(part);
                    continue;
                }
                Kind::Grant => {
                    if let Some(link) = &link {
                        link.grants.add(part.call, part.within_ms);
                    }
                    continue;
                }
                Kind::ReplyPiece => {
                    if let Some(link) = &link {
                        link.goes_on(part.call, part.bytes);
                    }
                    continue;
                }
                Kind::ReplyGrant => {
                    inbound.grants.add(part.call, part.within_ms);
                    continue;
                }
                Kind::Beat => continue,
                Kind::ReplyStream => {
                    let Some(link) = &link else { continue };
                    let arriving = link.begins_reply(part.call);
                    let rest = (self.gateway.clone(), (peer, part.call), arriving);
                    let rest = Some(Pieces::of_reply(rest.0, rest.1, rest.2));
                    Ok(Replied { bytes: part.bytes, rest })
                }
                Kind::Reply => Ok(Replied { bytes: part.bytes, rest: None }),
                Kind::Busy => Err(Lost::Busy),
                Kind::Broken => Err(Lost::Unknown),
            };
            if let Some(link) = &link {
                link.answered(part.call, answer);
            }
        }
    }
}

impl Gateway {
    /// The remote reference of a session's peer dies with the session, so it is looked up anew in
    /// each. The peer is who the link's certificate says.
    fn opened(&self, session: &NodeServerSessionInformation) {
        let Ok(peer) = session.peer_addr.parse() else { return };
        let of_session = |id: ActorId| matches!(id, ActorId::Remote { node_id, .. } if node_id == session.node_id);
        let members = pg::get_scoped_members(&SCOPE.into(), &group(peer));
        let Some(remote) = members.into_iter().find(|cell| of_session(cell.get_id())) else {
            tracing::warn!(peer, "a node has no gateway");
            session.actor.stop(None);
            return;
        };
        let name = self.name_of(peer);
        let number = self.0.next_link.fetch_add(1, Ordering::Relaxed);
        let sender = (self.0.node, number);
        let link = Link::open(sender, peer, &name, session.actor.clone(), remote.into());
        if let Some(old) = self.0.links.insert(peer, link) {
            old.end();
        }
        tracing::debug!(peer, name, "a node is reached");
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    /// The peer to whom a session was the link, if it was one.
    fn closed(&self, session: &NodeServerSessionInformation) -> Option<u64> {
        let peer = session.peer_addr.parse().ok()?;
        let of_session = |_: &u64, link: &Arc<Link>| link.session() == session.actor.get_id();
        let closed = self.0.links.remove_if(&peer, of_session);
        if let Some((_, link)) = &closed {
            link.end();
            tracing::debug!(peer, "a node is not reached any more");
        }
        self.0.changes.send_modify(|changes| *changes += 1);
        closed.map(|_| peer)
    }

    fn beat(&self) {
        for link in &self.0.links {
            if link.silent_for() > SILENCE {
                tracing::warn!(peer = link.peer, "a node is silent");
                link.hang_up();
            }
            link.send(Frame::bare(Kind::Beat, 0));
        }
    }
}
