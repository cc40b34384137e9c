//! One end of a connection.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Network, WINDOW};

/// One end of a connection; dropped, the other one hears of it when it has read the rest.
pub struct End {
    network: Network,
    connection: u64,
    side: usize,
    forgotten: bool,
}

impl End {
    pub(super) fn new(network: Network, connection: u64, side: usize) -> Self {
        Self { network, connection, side, forgotten: false }
    }

    /// Drops it, and says nothing.
    pub(super) fn forget(mut self) {
        self.forgotten = true;
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "end {} of connection {}", self.side, self.connection)
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.network.0.lock();
        let Some(connection) = state.connections.get_mut(&self.connection) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        if connection.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let pipe = &mut connection.pipes[1 - self.side];
        if pipe.arrived.is_empty() && !pipe.ended {
            // With the last waker a task may go, and with it an end.
            let before = pipe.reader.replace(context.waker().clone());
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        let (arrived, _) = pipe.arrived.as_slices();
        let read = arrived.len().min(buffer.remaining());
        buffer.put_slice(&arrived[..read]);
        pipe.arrived.drain(..read);
        let writer = pipe.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.network.0.lock();
        let Some(connection) = state.connections.get_mut(&self.connection) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if connection.broken || connection.pipes[1 - self.side].ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let pipe = &mut connection.pipes[self.side];
        // What the other end has not read counts as well.
        if pipe.bytes + pipe.arrived.len() >= WINDOW {
            let before = pipe.writer.replace(context.waker().clone());
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        let (from, to) = (pipe.from, pipe.to);
        let due = state.due(from, to);
        if let Some(connection) = state.connections.get_mut(&self.connection) {
            let pipe = &mut connection.pipes[self.side];
            pipe.last_due = pipe.last_due.max(due);
            pipe.under_way.push_back((pipe.last_due, bytes.to_vec()));
            pipe.bytes += bytes.len();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if self.forgotten {
            return;
        }
        let mut state = self.network.0.lock();
        let Some(connection) = state.connections.get_mut(&self.connection) else { return };
        connection.pipes[self.side].ending = true;
        if connection.pipes[1 - self.side].ending {
            let gone = state.connections.remove(&self.connection);
            drop(state);
            drop(gone);
        }
    }
}
