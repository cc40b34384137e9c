//! Bodies in pieces: what is too long to be sent whole is sent as its reader asks for it, a few pieces
//! ahead, so that neither node has to hold it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use super::Gateway;
use super::frame::{Frame, Kind};
use super::link::{Link, Lost};

/// How many pieces are sent ahead.
const AHEAD: u32 = 8;

/// Where the pieces of a body come from.
pub trait Source: Send {
    /// The next piece: a byte that says what it is, and what it holds.
    fn next(&mut self) -> impl Future<Output = (u8, Bytes)> + Send;
}

/// The body of a request that another node received, while it arrives there.
pub struct Pieces {
    gateway: Gateway,
    peer: u64,
    call: u64,
    arriving: mpsc::UnboundedReceiver<Bytes>,
    begun: bool,
}

impl Pieces {
    pub(super) fn new(
        gateway: Gateway,
        (peer, call): (u64, u64),
        arriving: mpsc::UnboundedReceiver<Bytes>,
    ) -> Self {
        Self { gateway, peer, call, arriving, begun: false }
    }

    /// The next piece as it was sent; nothing when there will be none. What was never asked for is
    /// still whole where it came in.
    pub async fn next(&mut self) -> Option<Bytes> {
        let granted = if self.begun { 1 } else { AHEAD };
        self.begun = true;
        let grant = Frame { within_ms: granted, ..Frame::bare(Kind::Grant, self.call) };
        self.gateway.link(self.peer)?.send(grant);
        self.arriving.recv().await
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
}

/// A call whose pieces are granted, until dropped.
struct Granted<'a>(&'a Grants, u64, Arc<Semaphore>);

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        self.0.0.lock().remove(&self.1);
    }
}

impl Link {
    /// Calls the peer, and sends it the pieces that it asks for: the first byte of each, and the rest.
    pub async fn call_in_pieces(
        &self,
        call: u64,
        head: Bytes,
        source: &mut impl Source,
        within: Duration,
    ) -> Result<Bytes, Lost> {
        let granted = Arc::new(Semaphore::new(0));
        self.grants.0.lock().insert(call, granted.clone());
        let granted = Granted(&self.grants, call, granted);
        let sending = async {
            while let Ok(permit) = granted.2.acquire().await {
                permit.forget();
                let (first, rest) = source.next().await;
                let mut head = BytesMut::with_capacity(1);
                head.put_u8(first);
                let frame = Frame::bare(Kind::Piece, call);
                self.send(Frame { head: head.freeze(), body: rest, ..frame });
            }
            std::future::pending().await
        };
        tokio::select! {
            answer = self.call((Kind::Stream, call), head, Bytes::new(), within) => answer,
            never = sending => never,
        }
    }
}
