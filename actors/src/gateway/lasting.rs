//! A connection that lasts until something else comes about.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whoever reads from it hears of the end, as of any other.
pub struct Lasting<S> {
    connection: S,
    /// Comes with the reason; gone once it has come.
    end: Option<BoxFuture<'static, io::Error>>,
}

impl<S> Lasting<S> {
    /// Until this comes.
    pub fn until(connection: S, end: impl Future<Output = io::Error> + Send + 'static) -> Self {
        Self { connection, end: Some(Box::pin(end)) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lasting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(end) = &mut self.end else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        };
        if let Poll::Ready(reason) = end.as_mut().poll(context) {
            self.end = None;
            return Poll::Ready(Err(reason));
        }
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lasting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn who_reads_hears_of_the_end() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (sender, told) = oneshot::channel::<()>();
        let end = async {
            drop(told.await);
            io::Error::other("it is over")
        };
        let mut lasting = Lasting::until(ours, end);
        theirs.write_all(b"hello").await.expect("a write");
        let mut read = [0; 5];
        lasting.read_exact(&mut read).await.expect("a read");
        let (ended, ()) = tokio::join!(lasting.read(&mut read), async { drop(sender) });
        assert!(ended.expect_err("an end").to_string().contains("it is over"));
        theirs.write_all(b"more").await.expect("a write");
        lasting.read(&mut read).await.expect_err("it stays so");
    }
}
