//! How a node calls another one: TCP, mutual TLS, and each end says who it is.

use std::io;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::identity::{self, Channel, Identity};
use super::wire::{self, Hello, Welcome};
use super::{CONNECT, REACH, Refused, Stream};

/// Connects to an address, and tells who is there.
pub async fn connect(
    identity: &Identity,
    address: &str,
    channel: Channel,
    hello: Hello,
) -> io::Result<(Stream, Hello)> {
    let connected = async {
        let mut stream = open(identity, address, channel, &hello).await?;
        wire::write(&mut stream, &hello).await?;
        match wire::read(&mut stream, wire::LARGEST_HELLO).await? {
            Welcome::Yes(theirs) => Ok((stream, theirs)),
            Welcome::No(reason) => Err(io::Error::other(Refused(reason))),
        }
    };
    timeout(CONNECT, connected).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn open(
    identity: &Identity,
    address: &str,
    channel: Channel,
    hello: &Hello,
) -> io::Result<Stream> {
    #[cfg(test)]
    if let Some(way) = super::simulated::way(address) {
        return way.open(channel).await;
    }
    let stream = reach(address).await?;
    stream.set_nodelay(true)?;
    let name = identity::expected((hello.to != 0).then_some(hello.to));
    secure(identity, stream, channel, name).await
}

/// Each address of a name in turn, until one answers.
async fn reach(address: &str) -> io::Result<TcpStream> {
    let mut problem = io::Error::from(io::ErrorKind::NotFound);
    for address in lookup_host(address).await? {
        match timeout(REACH, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => problem = error,
            Err(_) => problem = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(problem)
}

async fn secure(
    identity: &Identity,
    stream: TcpStream,
    channel: Channel,
    name: ServerName<'static>,
) -> io::Result<Stream> {
    let connector = TlsConnector::from(identity.client(channel));
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Stream::Client(stream)),
        Err(error) => Err(explained(error)),
    }
}

/// What an operator can do about a handshake that failed.
fn explained(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let reason = match inner {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForName)) => {
            "another node has its address"
        }
        Some(rustls::Error::InvalidCertificate(
            rustls::CertificateError::ExpiredContext { .. }
            | rustls::CertificateError::NotValidYetContext { .. },
        )) => "its certificate is not good at this time: the clocks are weeks apart",
        Some(rustls::Error::InvalidCertificate(_)) => {
            "its certificate comes from another cluster.secret"
        }
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)) => {
            "it speaks none of the protocols that this version knows"
        }
        Some(rustls::Error::AlertReceived(_)) => {
            "it refuses this node's certificate: cluster.secret is another one there"
        }
        _ => return error,
    };
    io::Error::other(Refused(reason.into()))
}

/// One request and its answer on the control channel.
pub async fn exchange(stream: &mut Stream, request: &[u8]) -> io::Result<Vec<u8>> {
    wire::write(stream, &request).await?;
    wire::read(stream, wire::LARGEST_SMALL).await
}
