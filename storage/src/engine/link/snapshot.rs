//! A snapshot on its way to another replica: on a connection of its own, so that it delays no
//! heartbeat, in pieces, and taken only when every byte has arrived as it was sent.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use openraft::alias::SnapshotOf;
use openraft::raft::SnapshotResponse;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::wire::{self, SnapshotHead};
use super::{Channel, Link, Peer, Stream};
use crate::engine::blocking;
use crate::engine::raft::{SnapshotMeta, Types, Vote};
use crate::engine::shard::Shard;
use crate::engine::snapshot::{Received, SnapshotFile};
use crate::ids::ShardId;

/// Bytes that are read and written at once.
const PIECE: usize = 256 * 1024;
/// How long one piece may take on its way.
const PIECE_DEADLINE: Duration = Duration::from_secs(10);
/// How long the other side may take to put a whole snapshot in place.
const INSTALL_DEADLINE: Duration = Duration::from_secs(600);

type Response = Result<SnapshotResponse<Types>, String>;

/// Sends a snapshot, and returns what the other side says once it is in place there.
pub async fn send(
    link: &Link,
    peer: &Peer,
    shard: ShardId,
    vote: Vote,
    meta: SnapshotMeta,
    snapshot: SnapshotFile,
) -> io::Result<SnapshotResponse<Types>> {
    let _turn = peer.snapshot.acquire().await.map_err(io::Error::other)?;
    let _place = link.snapshots.acquire().await.map_err(io::Error::other)?;
    let stream = link.connect(peer.node(), Channel::Snapshot).await?;
    let head = SnapshotHead { shard: shard.0, vote, meta, bytes: snapshot.bytes() };
    tokio::select! {
        biased;
        sent = send_by(stream, head, snapshot) => sent,
        too_old = link.outgrows(peer.node()) => Err(io::Error::other(too_old)),
    }
}

async fn send_by(
    mut stream: Stream,
    head: SnapshotHead,
    snapshot: SnapshotFile,
) -> io::Result<SnapshotResponse<Types>> {
    let bytes = head.bytes;
    wire::write(&mut stream, &head).await?;
    let mut at = 0;
    while at < bytes {
        let source = snapshot.clone();
        let piece = blocking::run(move || source.piece(at, PIECE)).await??;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        within(PIECE_DEADLINE, stream.write_all(&piece)).await?;
        at += piece.len() as u64;
    }
    within(PIECE_DEADLINE, stream.flush()).await?;
    let response: Response =
        within(INSTALL_DEADLINE, wire::read(&mut stream, wire::LARGEST_SMALL)).await?;
    response.map_err(io::Error::other)
}

async fn within<T>(deadline: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(deadline, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Receives a snapshot and puts it in place.
pub async fn receive(link: &Arc<Link>, from: u64, mut stream: Stream) -> io::Result<()> {
    let head: SnapshotHead =
        within(PIECE_DEADLINE, wire::read(&mut stream, wire::LARGEST_SMALL)).await?;
    let shard = link.shard(head.shard).ok_or(io::ErrorKind::NotFound)?;
    let received = shard.core.snapshots.receive(shard.id(), from)?;
    let response: Response = match take(&shard, &mut stream, &head, &received).await {
        Ok(response) => Ok(response),
        Err(problem) => {
            tracing::warn!(shard = head.shard, from, problem, "a snapshot was not taken");
            Err(problem)
        }
    };
    // What was put in place has another name by now.
    drop(received);
    wire::write(&mut stream, &response).await
}

async fn take(
    shard: &Arc<Shard>,
    stream: &mut Stream,
    head: &SnapshotHead,
    received: &Received,
) -> Result<SnapshotResponse<Types>, String> {
    let text = |error: io::Error| error.to_string();
    let mut at = 0;
    while at < head.bytes {
        let mut piece = vec![0; PIECE.min((head.bytes - at) as usize)];
        within(PIECE_DEADLINE, stream.read_exact(&mut piece)).await.map_err(text)?;
        let (file, length) = (received.snapshot.clone(), piece.len() as u64);
        blocking::run(move || file.write_piece(at, &piece)).await.flatten().map_err(text)?;
        at += length;
        // Its leader lives, whatever else is held up.
        shard.pulse.heard(shard.pulse.now());
    }
    let (file, id) = (received.snapshot.clone(), shard.id());
    let checked = blocking::run(move || {
        file.sync()?;
        file.verify(id, || ControlFlow::Continue(()))?;
        file.meta(id)
    });
    let meta = checked.await.map_err(|error| error.to_string())?.map_err(|f| f.to_string())?;
    if meta != head.meta {
        return Err("the snapshot is not the one that was announced".into());
    }
    let running = shard.running().ok_or("the shard does not run")?;
    let snapshot = SnapshotOf::<Types, SnapshotFile> { meta, snapshot: received.snapshot.clone() };
    let installed = running.raft.install_full_snapshot(head.vote, snapshot).await;
    installed.map_err(|error| error.to_string())
}
