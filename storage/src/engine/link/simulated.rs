//! Links over a simulated network, in the place of TCP and TLS. All that lies above them is the real
//! thing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{client, server};

use super::identity::Channel;
use super::{Link, REACH, accept};
use crate::engine::tests::simulation::host;
use crate::engine::tests::simulation::network::{End, Network, Port};

/// A real connection, or one over the simulated network.
#[derive(Debug)]
pub enum Stream {
    /// A real one that this node has opened.
    Client(client::TlsStream<TcpStream>),
    /// A real one that another node has opened.
    Server(server::TlsStream<TcpStream>),
    /// An end of a simulated one.
    Simulated(End),
}

/// The way to an address of the simulated network, from the node at work.
pub struct Way {
    network: Network,
    from: u64,
    to: u64,
}

/// The way to an address, if it is one of the simulated network.
pub fn way(address: &str) -> Option<Way> {
    let to = address.strip_prefix("simulated:")?.parse().ok()?;
    let (from, network) = host::network()?;
    Some(Way { network, from, to })
}

impl Way {
    /// Connects, as TCP would.
    pub async fn open(self, channel: Channel) -> io::Result<Stream> {
        let knocked = self.network.knock(self.from, self.to, channel);
        let end = timeout(REACH, knocked).await.map_err(|_| io::ErrorKind::TimedOut)?;
        Ok(Stream::Simulated(end.map_err(|_| io::ErrorKind::ConnectionRefused)?))
    }
}

/// Where the node at work is reached, if it is a simulated one.
pub fn port() -> Option<Port> {
    host::network().map(|(node, network)| network.listen(node))
}

/// Takes connections until the link closes.
pub async fn accept(link: Arc<Link>, mut port: Port) {
    while let Some((end, channel, from)) = port.recv().await {
        let link = link.clone();
        link.runtime.clone().spawn(async move {
            let stream = Stream::Simulated(end);
            let met = accept::greet(&link, stream, channel, |node| node == from).await;
            if let Ok(met) = met {
                drop(accept::serve(&link, met).await);
            }
        });
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Client(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Server(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Simulated(end) => Pin::new(end).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Client(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Server(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Simulated(end) => Pin::new(end).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Client(stream) => Pin::new(stream).poll_flush(context),
            Self::Server(stream) => Pin::new(stream).poll_flush(context),
            Self::Simulated(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Client(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Server(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Simulated(_) => Poll::Ready(Ok(())),
        }
    }
}
