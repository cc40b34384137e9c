//! What is said between nodes: frames of a length (four bytes, big-endian) and a message.
//!
//! Invariant: a frame that is longer than its channel allows ends the connection. One that is not
//! understood does not: it may come from a newer version, and whoever asked is told.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::codec;
use crate::engine::raft::{SnapshotMeta, Types, Vote};
use crate::moment::Moment;

/// What begins with no id and is no request, in both directions: pings and pongs.
const UNANSWERED: u32 = 1;
/// The largest frame of Raft traffic: as many entries as one may carry, each as large as a request.
pub const LARGEST: usize = 128 * 1024 * 1024;
/// The largest first frame of a connection.
pub const LARGEST_HELLO: usize = 4 * 1024;
/// The largest frame of the control channel, and the largest head of a snapshot.
pub const LARGEST_SMALL: usize = 1024 * 1024;

/// The first frame of each end: who speaks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// The cluster, if its id is known already.
    pub cluster: Option<[u8; 16]>,
    /// Who speaks; 0 if it has no number yet.
    pub from: u64,
    /// To whom; 0 for whoever it is.
    pub to: u64,
    /// The newest version of commands and records that it speaks; to who has no number yet, the one
    /// that the cluster has agreed on, which a node must speak that joins.
    pub data: u16,
    /// Where it is reached.
    pub address: String,
}

/// The answer to a hello.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Welcome {
    /// Go on.
    Yes(Hello),
    /// Go away; why.
    No(String),
}

/// From the end that connected, on the Raft channel. Append-only: what comes later begins with an id,
/// as a request does, by which it is answered where it is not understood.
#[derive(Serialize, Deserialize)]
pub enum Outgoing {
    /// To a shard.
    Request {
        /// Comes back with the answer.
        id: u64,
        /// Which shard.
        shard: u16,
        /// What is asked.
        request: Request,
    },
    /// Whoever hears this answers.
    Ping {
        /// Whether the sender is about to stop, or must not lead for another reason.
        leaving: bool,
        /// What it leads: shard and term.
        leads: Vec<(u16, u64)>,
        /// What time it is there, once that is known.
        time: Option<Moment>,
    },
}

/// From the end that accepted. Append-only, in the same way.
#[derive(Serialize, Deserialize)]
pub enum Incoming {
    /// The answer to a request.
    Answer {
        /// Of the request.
        id: u64,
        /// What it came to.
        answer: Result<Answer, String>,
    },
    /// To a ping.
    Pong,
}

/// What Raft asks. Append-only.
#[derive(Serialize, Deserialize)]
pub enum Request {
    /// Entries, or none: a heartbeat.
    Append(AppendEntriesRequest<Types>),
    /// A vote.
    Vote(VoteRequest<Types>),
    /// Whether a vote would be given.
    PreVote(VoteRequest<Types>),
    /// To lead from now on.
    Transfer(TransferLeaderRequest<Types>),
}

/// What Raft answers. Append-only.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    /// To entries.
    Append(AppendEntriesResponse<Types>),
    /// To a vote or a pre-vote.
    Vote(VoteResponse<Types>),
    /// To a transfer.
    Transfer(TransferLeaderResponse<Types>),
}

/// The head of a snapshot; its bytes follow bare.
#[derive(Serialize, Deserialize)]
pub struct SnapshotHead {
    /// Of which shard.
    pub shard: u16,
    /// The leader that sends it.
    pub vote: Vote,
    /// What it stands for.
    pub meta: SnapshotMeta,
    /// How long it is.
    pub bytes: u64,
}

/// A frame of the Raft channel, as far as it is understood.
pub enum Read<T> {
    /// What it says.
    Understood(T),
    /// It comes from a newer version; the id that it begins with, if it does.
    Unknown(Option<u64>),
}

impl<T: DeserializeOwned> Read<T> {
    fn of(frame: &[u8]) -> Self {
        match codec::decode(frame) {
            Ok(message) => Self::Understood(message),
            Err(_) => {
                let front: Option<(u32, u64)> = codec::decode_front(frame);
                Self::Unknown(front.filter(|(kind, _)| *kind != UNANSWERED).map(|(_, id)| id))
            }
        }
    }
}

/// Adds a message to what is going to be written.
pub fn put<T: Serialize>(buffer: &mut BytesMut, message: &T) -> io::Result<()> {
    let content = codec::encode(message).map_err(io::Error::other)?;
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    buffer.reserve(4 + content.len());
    buffer.put_u32(length);
    buffer.put_slice(&content);
    Ok(())
}

/// Writes one message.
pub async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    put(&mut buffer, message)?;
    to.write_all(&buffer).await?;
    to.flush().await
}

/// Reads one message, and nothing beyond it: what follows may be for somebody else.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    largest: usize,
) -> io::Result<T> {
    let length = from.read_u32().await? as usize;
    if length > largest {
        return Err(too_long());
    }
    let mut content = vec![0; length];
    from.read_exact(&mut content).await?;
    codec::decode(&content).map_err(io::Error::other)
}

fn too_long() -> io::Error {
    io::Error::other("a frame that is too long")
}

/// Reads messages. Giving up a wait loses nothing.
pub struct Reader<R> {
    from: R,
    buffer: BytesMut,
    largest: usize,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Messages that are at most so long.
    pub fn new(from: R, largest: usize) -> Self {
        Self { from, buffer: BytesMut::new(), largest }
    }

    /// The next message, if it is understood; an error at the end of the stream.
    pub async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Read<T>> {
        loop {
            if let Some(content) = self.buffered()? {
                return Ok(Read::of(&content));
            }
            if self.from.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn buffered(&mut self) -> io::Result<Option<BytesMut>> {
        let Some(length) = self.buffer.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)) else {
            return Ok(None);
        };
        let length = length as usize;
        if length > self.largest {
            return Err(too_long());
        }
        if self.buffer.len() < 4 + length {
            // Room for what is announced, but not before some of it has come.
            self.buffer.reserve((4 + length - self.buffer.len()).min(256 * 1024));
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length)))
    }
}
