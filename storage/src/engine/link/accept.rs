//! The cluster's port. A stranger gets nothing: a connection has a short time to show a certificate
//! of the cluster, few may be busy with it, and of one address fewer still. Beyond that the oldest
//! goes: whoever holds places open and says nothing must not keep members out.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::identity::{Channel, is_of};
use super::wire::{self, Hello, Welcome};
use super::{Link, Stream, inbound, snapshot};

/// How long a connection may take to say who it is.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Connections that have not yet said who they are: in all, and of one address.
const HALF_OPEN: usize = 128;
const HALF_OPEN_OF_ADDRESS: usize = 32;
/// When no connection can be taken, for want of descriptors.
const RESPITE: Duration = Duration::from_millis(50);
/// Refused connections are logged no more often than this.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The connections that have not yet said who they are, the oldest first.
#[derive(Default)]
struct Waiting {
    places: VecDeque<(u64, IpAddr, CancellationToken)>,
    of_address: HashMap<IpAddr, usize>,
    next: u64,
}

impl Waiting {
    fn take(&mut self, at: usize) -> Option<CancellationToken> {
        let (_, address, ended) = self.places.remove(at)?;
        if let Some(count) = self.of_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&address);
            }
        }
        Some(ended)
    }

    /// Which one goes if there is to be one more of this address.
    fn in_the_way(&self, address: IpAddr) -> Option<usize> {
        if self.of_address.get(&address).is_some_and(|count| *count >= HALF_OPEN_OF_ADDRESS) {
            return self.places.iter().position(|(_, of, _)| *of == address);
        }
        (self.places.len() >= HALF_OPEN).then_some(0)
    }
}

#[derive(Default)]
struct Door {
    waiting: Mutex<Waiting>,
    logged: Mutex<Option<Instant>>,
}

/// A place among the connections that have not yet said who they are.
struct Place {
    door: Arc<Door>,
    address: IpAddr,
    number: u64,
    /// Another one has needed the place.
    ended: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.door.waiting.lock();
        let at = waiting.places.binary_search_by_key(&self.number, |(number, ..)| *number);
        if let Ok(at) = at {
            waiting.take(at);
        }
    }
}

impl Door {
    fn place(self: &Arc<Self>, address: IpAddr) -> Place {
        let mut waiting = self.waiting.lock();
        let oldest = waiting.in_the_way(address).and_then(|at| waiting.take(at));
        if let Some(oldest) = oldest {
            oldest.cancel();
        }
        let (number, ended) = (waiting.next, CancellationToken::new());
        waiting.next += 1;
        *waiting.of_address.entry(address).or_default() += 1;
        waiting.places.push_back((number, address, ended.clone()));
        Place { door: self.clone(), address, number, ended }
    }

    /// Whoever knocks in vain all the time must not fill the log.
    fn note(&self, address: IpAddr, problem: &io::Error) {
        let mut logged = self.logged.lock();
        if logged.is_none_or(|last| last.elapsed() >= LOG_EVERY) {
            *logged = Some(Instant::now());
            tracing::warn!(%address, %problem, "a connection to the cluster's port was refused");
        }
        metrics::counter!("janua_cluster_refused_total").increment(1);
    }
}

/// Takes connections until the link closes.
pub async fn accept(link: Arc<Link>, listener: TcpListener) {
    let door = Arc::new(Door::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = link.closed() => return,
        };
        let (stream, address) = match accepted {
            Ok((stream, from)) => (stream, from.ip()),
            Err(error) => {
                tracing::warn!(%error, "no connection of another node can be taken");
                sleep(RESPITE).await;
                continue;
            }
        };
        let place = door.place(address);
        let link = link.clone();
        link.runtime.clone().spawn(async move {
            let served = tokio::select! {
                served = meet(link.clone(), stream, place) => served,
                () = link.closed() => Ok(()),
            };
            drop(served);
        });
    }
}

async fn meet(link: Arc<Link>, stream: TcpStream, place: Place) -> io::Result<()> {
    let met = tokio::select! {
        met = timeout(HANDSHAKE, introduce(&link, stream)) => met.ok(),
        () = place.ended.cancelled() => None,
    };
    let met = met.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()));
    let (stream, channel, from) = met.inspect_err(|problem| {
        place.door.note(place.address, problem);
    })?;
    drop(place);
    serve(&link, (stream, channel, from)).await
}

/// Serves whoever is there, until the connection ends, or is to go on no longer.
pub(super) async fn serve(
    link: &Arc<Link>,
    (stream, channel, from): (Stream, Channel, u64),
) -> io::Result<()> {
    tokio::select! {
        biased;
        served = attend(link, stream, channel, from) => served,
        too_old = link.outgrows(from) => Err(io::Error::other(too_old)),
    }
}

async fn attend(link: &Arc<Link>, stream: Stream, channel: Channel, from: u64) -> io::Result<()> {
    match channel {
        Channel::Raft => {
            // Whoever reaches this node can be reached again.
            link.notice(from).notify_one();
            inbound::serve(link, from, stream).await
        }
        Channel::Snapshot => snapshot::receive(link, from, stream).await,
        Channel::Control => control(link, from, stream).await,
        Channel::Actors => {
            // Whoever is not listened to comes again.
            drop(link.actors.try_send((from, stream)));
            Ok(())
        }
    }
}

/// TLS, and who is there.
async fn introduce(link: &Link, stream: TcpStream) -> io::Result<(Stream, Channel, u64)> {
    stream.set_nodelay(true)?;
    let stream = TlsAcceptor::from(link.identity().server()).accept(stream).await?;
    let (certificate, channel) = {
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(|chain| chain.first().cloned());
        (shown, Channel::agreed(session.alpn_protocol()))
    };
    let channel = channel.ok_or_else(|| io::Error::other("it does not say what it wants"))?;
    let is_of = |node| certificate.is_some_and(|certificate| is_of(&certificate, node));
    greet(link, Stream::Server(stream), channel, is_of).await
}

/// Hears who is there, and says whether they may go on.
pub(super) async fn greet(
    link: &Link,
    mut stream: Stream,
    channel: Channel,
    is_of: impl FnOnce(u64) -> bool,
) -> io::Result<(Stream, Channel, u64)> {
    let hello: Hello = wire::read(&mut stream, wire::LARGEST_HELLO).await?;
    if !is_of(hello.from) {
        return Err(io::Error::other("it is not the node that it says it is"));
    }
    if hello.from == 0 && channel != Channel::Control {
        return Err(io::Error::other("it is no member"));
    }
    let welcome = link.welcome(&hello);
    wire::write(&mut stream, &welcome).await?;
    match welcome {
        Welcome::Yes(_) => Ok((stream, channel, hello.from)),
        Welcome::No(reason) => Err(io::Error::other(reason)),
    }
}

/// Answers requests one by one.
async fn control(link: &Link, from: u64, mut stream: Stream) -> io::Result<()> {
    loop {
        let request: Vec<u8> = wire::read(&mut stream, wire::LARGEST_SMALL).await?;
        let control = link.control.get().cloned();
        let control = control.ok_or_else(|| io::Error::other("the node is starting"))?;
        wire::write(&mut stream, &control(from, request).await).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn the_oldest_silent_connection_makes_room() {
        let door = Arc::new(Door::default());
        let mut places: Vec<_> =
            (0..HALF_OPEN_OF_ADDRESS).map(|_| door.place(address(1))).collect();
        let other = door.place(address(2));
        places.push(door.place(address(1)));
        assert!(places[0].ended.is_cancelled());
        assert!(places[1..].iter().all(|place| !place.ended.is_cancelled()));
        places.truncate(2);
        places.push(door.place(address(1)));
        assert!(!places[1].ended.is_cancelled() && !other.ended.is_cancelled());
        drop((places, other));
        let waiting = door.waiting.lock();
        assert!(waiting.places.is_empty() && waiting.of_address.is_empty());
    }

    #[test]
    fn no_number_of_addresses_takes_more_places_than_there_are() {
        let door = Arc::new(Door::default());
        let places: Vec<_> = (0..=HALF_OPEN).map(|at| door.place(address(at as u8))).collect();
        assert!(places[0].ended.is_cancelled() && !places[1].ended.is_cancelled());
        assert_eq!(door.waiting.lock().places.len(), HALF_OPEN);
    }
}
