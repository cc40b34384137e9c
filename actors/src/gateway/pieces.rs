//! Bodies in pieces: what is too long to be sent whole is sent as its reader asks for it, a few pieces
//! ahead, so that neither node has to hold it. So go requests, and so go answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::Gateway;
use super::frame::{Frame, Kind};
use super::link::{Link, Lost, Replied};

/// How many pieces are sent ahead.
const AHEAD: u32 = 8;

/// How long a reader may take to ask for more of an answer.
const STALLED: Duration = Duration::from_secs(120);

/// A byte that says what a piece is, and what it holds.
pub type Piece = (u8, Bytes);

/// Where the pieces of a body come from.
pub trait Source: Send {
    /// The next piece.
    fn next(&mut self) -> impl Future<Output = Piece> + Send;
}

/// A body that arrives from another node as it is read.
pub struct Pieces {
    gateway: Gateway,
    peer: u64,
    call: u64,
    grant: Kind,
    arriving: mpsc::UnboundedReceiver<Bytes>,
    begun: bool,
}

impl Pieces {
    /// The body of a request that came from this peer.
    pub(super) fn of_request(
        gateway: Gateway,
        (peer, call): (u64, u64),
        arriving: mpsc::UnboundedReceiver<Bytes>,
    ) -> Self {
        Self { gateway, peer, call, grant: Kind::Grant, arriving, begun: false }
    }

    /// The body of an answer that this peer gives.
    pub(super) fn of_reply(
        gateway: Gateway,
        (peer, call): (u64, u64),
        arriving: mpsc::UnboundedReceiver<Bytes>,
    ) -> Self {
        Self { gateway, peer, call, grant: Kind::ReplyGrant, arriving, begun: false }
    }

    /// The next piece as it was sent, its first byte before the rest; nothing when there will be none.
    /// What was never asked for is still whole where it came in.
    pub async fn next(&mut self) -> Option<Bytes> {
        let granted = if self.begun { 1 } else { AHEAD };
        self.begun = true;
        let grant = Frame { within_ms: granted, ..Frame::bare(self.grant, self.call) };
        self.gateway.link(self.peer)?.send(grant);
        self.arriving.recv().await
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if self.grant == Kind::ReplyGrant
            && let Some(link) = self.gateway.link(self.peer)
        {
            link.reads_no_more(self.call);
        }
    }
}

/// How many pieces each call may send.
#[derive(Default)]
pub(super) struct Grants(Mutex<HashMap<u64, Arc<Semaphore>>>);

impl Grants {
    /// So many more.
    pub fn add(&self, call: u64, pieces: u32) {
        if let Some(granted) = self.0.lock().get(&call) {
            granted.add_permits(pieces as usize);
        }
    }

    fn begin(&self, call: u64) -> Granted<'_> {
        let granted = Arc::new(Semaphore::new(0));
        self.0.lock().insert(call, granted.clone());
        Granted(self, call, granted)
    }

    /// Sends an answer's pieces as they are asked for, after its head.
    pub async fn send_reply(
        &self,
        gateway: &Gateway,
        (peer, call): (u64, u64),
        head: Bytes,
        mut pieces: BoxStream<'static, Piece>,
    ) {
        let granted = self.begin(call);
        gateway.reply(peer, Frame { head, ..Frame::bare(Kind::ReplyStream, call) }).await;
        while let Ok(Ok(permit)) = timeout(STALLED, granted.2.acquire()).await {
            permit.forget();
            let Some(piece) = pieces.next().await else { return };
            let Some(link) = gateway.link(peer) else { return };
            link.send(in_frame(Kind::ReplyPiece, call, piece));
        }
    }
}

/// A call whose pieces are granted, until dropped.
struct Granted<'a>(&'a Grants, u64, Arc<Semaphore>);

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        self.0.0.lock().remove(&self.1);
    }
}

fn in_frame(kind: Kind, call: u64, (first, rest): Piece) -> Frame {
    Frame { head: Bytes::copy_from_slice(&[first]), body: rest, ..Frame::bare(kind, call) }
}

impl Link {
    /// Calls the peer, and sends it the pieces that it asks for.
    pub async fn call_in_pieces(
        &self,
        call: u64,
        head: Bytes,
        source: &mut impl Source,
        within: Duration,
    ) -> Result<Replied, Lost> {
        let granted = self.grants.begin(call);
        let sending = async {
            while let Ok(permit) = granted.2.acquire().await {
                permit.forget();
                self.send(in_frame(Kind::Piece, call, source.next().await));
            }
            std::future::pending().await
        };
        tokio::select! {
            answer = self.call((Kind::Stream, call), head, Bytes::new(), within) => answer,
            never = sending => never,
        }
    }
}
