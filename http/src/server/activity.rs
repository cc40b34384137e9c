//! Whether a connection is worth keeping. hyper can time the reading of heads, but with a timer for
//! each request, for HTTP/1 alone, and not before it knows the version; here one look every few
//! seconds covers all of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::settings::Timeouts;

/// What a connection is doing. Times are milliseconds since it was accepted.
pub struct Activity {
    accepted: Instant,
    in_flight: AtomicU32,
    /// No request has come yet.
    is_new: AtomicBool,
    /// Streams are multiplexed: bytes between requests are no slow head.
    is_http2: AtomicBool,
    /// When the last request ended.
    quiet_since: AtomicU64,
    /// When the head that is being read began, plus one; zero when none is.
    head_since: AtomicU64,
}

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// A head that does not end.
    SlowHead,
    /// No request for long.
    Idle,
}

/// A request in flight, until dropped.
pub struct InFlight(Arc<Activity>);

impl Activity {
    /// A connection just accepted.
    pub fn new() -> Self {
        Self {
            accepted: Instant::now(),
            in_flight: AtomicU32::new(0),
            is_new: AtomicBool::new(true),
            is_http2: AtomicBool::new(false),
            quiet_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
        }
    }

    /// A request's head is complete.
    pub fn begin(self: &Arc<Self>, is_http2: bool) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        if self.is_new.load(Ordering::Relaxed) {
            self.is_http2.store(is_http2, Ordering::Relaxed);
            self.is_new.store(false, Ordering::Relaxed);
        }
        InFlight(Arc::clone(self))
    }

    /// What is wrong now, if anything.
    pub fn stale(&self, timeouts: &Timeouts) -> Option<Stale> {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let waited = |since: u64| Duration::from_millis(self.now().saturating_sub(since));
        let head_since = self.head_since.load(Ordering::Relaxed);
        if self.is_new.load(Ordering::Relaxed) {
            return (waited(0) >= timeouts.head).then_some(Stale::SlowHead);
        }
        if head_since > 0 && waited(head_since - 1) >= timeouts.head {
            return Some(Stale::SlowHead);
        }
        let quiet_since = self.quiet_since.load(Ordering::Relaxed);
        (waited(quiet_since) >= timeouts.idle).then_some(Stale::Idle)
    }

    fn now(&self) -> u64 {
        self.accepted.elapsed().as_millis() as u64
    }

    fn bytes_came(&self) {
        let between_requests = self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == 0
            && !self.is_http2.load(Ordering::Relaxed);
        if between_requests {
            self.head_since.store(self.now() + 1, Ordering::Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.quiet_since.store(self.0.now(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose incoming bytes are noticed.
pub struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    /// Watches `stream`.
    pub fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.bytes_came();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
