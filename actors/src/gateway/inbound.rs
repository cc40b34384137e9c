//! What one peer asks of this node, and the work that is under way for it.
//!
//! Invariant: work for a call that its sender has given up is let go of before the sender's next call
//! is begun, so that what was tried again, and then changed by a later request, is not undone by the
//! first try. What a peer sends by a new link therefore ends all that it had asked by the old one.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::Answer;
use super::Gateway;
use super::frame::{Frame, Kind, Part, Unfinished};
use super::link::MOST_CALLS;
use super::pieces::{Grants, Pieces};

/// What one peer asks.
pub(super) struct Inbound {
    peer: u64,
    /// The number of the peer's present link.
    link: u64,
    /// That link has been seen to end.
    ended: bool,
    unfinished: Unfinished,
    /// Each task gives the number of its call.
    tasks: JoinSet<u64>,
    calls: HashMap<u64, AbortHandle>,
    /// Where the pieces of a call's body go.
    bodies: HashMap<u64, mpsc::UnboundedSender<Bytes>>,
    /// What the peer asks for of answers that are sent in pieces.
    pub grants: Arc<Grants>,
}

impl Inbound {
    pub fn of(peer: u64) -> Self {
        Self {
            peer,
            link: 0,
            ended: false,
            unfinished: Unfinished::default(),
            tasks: JoinSet::new(),
            calls: HashMap::new(),
            bodies: HashMap::new(),
            grants: Arc::default(),
        }
    }

    /// The present link has ended: even one of a lower number is new.
    pub fn begins_anew(&mut self) {
        self.ended = true;
    }

    /// Whether something that came by the link of this number is to be heeded. By a new link, it ends
    /// all that came by the old.
    pub fn goes_by(&mut self, link: u64) -> bool {
        if link > self.link || (self.ended && link != self.link) {
            *self = Self { link, ..Self::of(self.peer) };
        }
        link == self.link
    }

    /// The whole message, if this part ends it.
    pub fn whole(&mut self, part: Part) -> Option<Part> {
        self.unfinished.join(part)
    }

    /// A piece of a body, to whoever reads it; as many as that one has asked for.
    pub fn pass_on(&mut self, part: Part) {
        if let Some(body) = self.bodies.get(&part.call) {
            // Whoever has answered already reads no more.
            let _ = body.send(part.bytes);
        }
    }

    /// Nobody waits for the answer.
    pub fn let_go(&mut self, call: u64) {
        self.bodies.remove(&call);
        if let Some(task) = self.calls.remove(&call) {
            task.abort();
        }
    }

    /// Has a call worked on, unless too many are.
    pub fn work_on(&mut self, gateway: &Gateway, part: Part) {
        while let Some(done) = self.tasks.try_join_next() {
            // One that was aborted has been taken out before.
            if let Ok(call) = done {
                self.calls.remove(&call);
                self.bodies.remove(&call);
            }
        }
        let (gateway, peer, call) = (gateway.clone(), self.peer, part.call);
        let pieces = (part.kind == Kind::Stream).then(|| {
            let (sender, arriving) = mpsc::unbounded_channel();
            self.bodies.insert(call, sender);
            Pieces::of_request(gateway.clone(), (peer, call), arriving)
        });
        // What is not understood is not done either.
        let busy = part.kind == Kind::Unknown || self.calls.len() >= MOST_CALLS;
        let grants = self.grants.clone();
        let at_work = gateway.works();
        let task = self.tasks.spawn(async move {
            let _at_work = at_work;
            if busy {
                gateway.reply(peer, Frame::bare(Kind::Busy, call)).await;
                return call;
            }
            match gateway.work(peer, part, pieces).await {
                Some(Answer::Whole(head, body)) => {
                    let frame = Frame { head, body, ..Frame::bare(Kind::Reply, call) };
                    gateway.reply(peer, frame).await;
                }
                Some(Answer::Pieces(head, pieces)) => {
                    grants.send_reply(&gateway, (peer, call), head, pieces).await;
                }
                None => gateway.reply(peer, Frame::bare(Kind::Broken, call)).await,
            }
            call
        });
        self.calls.insert(call, task);
    }
}
