//! The gateway's actor: the one actor of a node that others can send to. It takes batches apart,
//! hands answers to whoever waits, and has calls worked on beside it; it never waits for anything.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, Bytes};
use ractor::message::{BoxedDowncastErr, SerializedMessage};
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, pg};
use ractor_cluster::node::NodeServerSessionInformation;

use super::frame::{self, Frame, Kind, Part};
use super::link::{Link, Lost, MOST_CALLS};
use super::{Gateway, Inner};

/// The scope of process groups in which gateways are found.
const SCOPE: &str = "janua";

/// How often a sign of life is given.
const BEAT: Duration = Duration::from_millis(500);

/// A peer that was silent for so long is called anew.
const SILENCE: Duration = Duration::from_secs(3);

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

impl Actor for GatewayActor {
    type Msg = GatewayMessage;
    type State = Gateway;
    type Arguments = Gateway;

    async fn pre_start(
        &self,
        myself: ActorRef<GatewayMessage>,
        gateway: Gateway,
    ) -> Result<Gateway, ActorProcessingErr> {
        pg::join_scoped(SCOPE.into(), group(gateway.0.node), vec![myself.get_cell()]);
        myself.send_interval(BEAT, || GatewayMessage::Beat);
        Ok(gateway)
    }

    async fn handle(
        &self,
        _: ActorRef<GatewayMessage>,
        message: GatewayMessage,
        gateway: &mut Gateway,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            GatewayMessage::Frames(batch) => gateway.take(batch.into()),
            GatewayMessage::Ready(session) => gateway.opened(&session),
            GatewayMessage::Ended(session) => gateway.closed(&session),
            GatewayMessage::Beat => gateway.beat(),
        }
        Ok(())
    }
}

impl Gateway {
    fn take(&self, mut batch: Bytes) {
        if batch.remaining() < 8 {
            return;
        }
        let peer = batch.get_u64();
        let Some(link) = self.link(peer) else { return };
        link.hears();
        let mut unfinished = link.unfinished.lock();
        while let Some(mut part) = frame::next(&mut batch) {
            if unfinished.join(&mut part) {
                self.heed(&link, part);
            }
        }
    }

    fn heed(&self, link: &Arc<Link>, part: Part) {
        match part.kind {
            Kind::Reply => link.answered(part.call, Ok(part.bytes)),
            Kind::Busy => link.answered(part.call, Err(Lost::Busy)),
            Kind::Broken => link.answered(part.call, Err(Lost::Unknown)),
            Kind::Beat => {}
            Kind::Request | Kind::Hash | Kind::Write => self.work_on(link.clone(), part),
        }
    }

    fn work_on(&self, link: Arc<Link>, part: Part) {
        if link.working.fetch_add(1, Ordering::Relaxed) >= MOST_CALLS {
            link.working.fetch_sub(1, Ordering::Relaxed);
            link.send(Frame::bare(Kind::Busy, part.call));
            return;
        }
        let gateway = self.clone();
        ractor::concurrency::spawn(async move {
            let call = part.call;
            let done = gateway.work(&link, part).await;
            link.working.fetch_sub(1, Ordering::Relaxed);
            let frame = match done {
                Some((head, body)) => Frame { head, body, ..Frame::bare(Kind::Reply, call) },
                None => Frame::bare(Kind::Broken, call),
            };
            // Over the link of that moment: the one that it came by may have been replaced.
            gateway.link(link.peer).unwrap_or(link).send(frame);
        });
    }

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
        let Inner { node, .. } = &*self.0;
        let name = self.name_of(peer);
        let link = Link::open(*node, peer, &name, session.actor.clone(), remote.into());
        if let Some(old) = self.0.links.insert(peer, link) {
            old.end();
        }
        tracing::debug!(peer, name, "a node is reached");
        self.0.changes.send_modify(|changes| *changes += 1);
    }

    fn closed(&self, session: &NodeServerSessionInformation) {
        let Ok(peer) = session.peer_addr.parse() else { return };
        let of_session = |_: &u64, link: &Arc<Link>| link.session() == session.actor.get_id();
        if let Some((_, link)) = self.0.links.remove_if(&peer, of_session) {
            link.end();
            tracing::debug!(peer, "a node is not reached any more");
        }
        self.0.changes.send_modify(|changes| *changes += 1);
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
