//! What another node asks of this one's shards.
//!
//! Invariant: requests reach a shard in the order in which they came, while many are under way.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use openraft::raft::VoteRequest;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::wire::{self, Answer, Incoming, Outgoing, Read, Reader, Request};
use super::{Link, Stream};
use crate::engine::raft::Types;
use crate::engine::shard::Shard;

/// Requests of one node that are under way at once; beyond it, its connection is not read.
const UNDER_WAY: usize = 1024;
/// Answers that wait to be written.
const WAITING: usize = 2048;

/// Serves a connection until it ends.
pub async fn serve(link: &Arc<Link>, from: u64, stream: Stream) -> io::Result<()> {
    let (read, write) = tokio::io::split(stream);
    let (answers, waiting) = mpsc::channel(WAITING);
    tokio::select! {
        // Answers first: there are no more of them than were asked for, and a flood of questions would
        // take all the time that the task has.
        biased;
        ended = write_all(write, waiting) => ended,
        ended = read_all(link, from, Reader::new(read, wire::LARGEST), answers) => ended,
    }
}

async fn read_all(
    link: &Arc<Link>,
    from: u64,
    mut reader: Reader<impl tokio::io::AsyncRead + Unpin>,
    answers: mpsc::Sender<Incoming>,
) -> io::Result<()> {
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(answer) = under_way.next() => answers.send(answer).await.map_err(gone)?,
            message = reader.next::<Outgoing>(), if under_way.len() < UNDER_WAY => match message? {
                Read::Unknown(id) => {
                    tracing::debug!(from, "a node of a newer version asks what is not understood");
                    let Some(id) = id else { continue };
                    let answer = Err("it does not understand the question".into());
                    answers.send(Incoming::Answer { id, answer }).await.map_err(gone)?;
                }
                Read::Understood(Outgoing::Ping { leaving, leads, time }) => {
                    link.heed(from, leaving, &leads);
                    link.hear(from, time);
                    answers.send(Incoming::Pong).await.map_err(gone)?;
                }
                Read::Understood(Outgoing::Request { id, request: Request::Transfer(_), .. })
                    if link.is_astray() =>
                {
                    let answer = Err("its clock does not go with the others'".into());
                    answers.send(Incoming::Answer { id, answer }).await.map_err(gone)?;
                }
                Read::Understood(Outgoing::Request { id, shard, request }) => {
                    // They are polled first in the order in which they are put here.
                    under_way.push(answer(link.shard(shard), id, request));
                }
            },
        }
    }
}

async fn answer(shard: Option<Arc<Shard>>, id: u64, request: Request) -> Incoming {
    let answer = match shard {
        Some(shard) => handle(&shard, request).await,
        None => Err("there is no such shard".into()),
    };
    Incoming::Answer { id, answer }
}

async fn handle(shard: &Shard, request: Request) -> Result<Answer, String> {
    let running = shard.running().ok_or("the shard does not run")?;
    let raft = &running.raft;
    match request {
        Request::Append(request) => {
            let answer = raft.append_entries(request).await.map_err(text)?;
            if !matches!(answer, openraft::raft::AppendEntriesResponse::HigherVote(_)) {
                // openraft grants the lease when it gets to the request, which is before now: who
                // stood earlier would refuse itself.
                shard.pulse.heard(shard.pulse.now());
            }
            Ok(Answer::Append(answer))
        }
        Request::Vote(request) => {
            may_vote_for(shard, &request)?;
            shard.pulse.may_vote(request.leadership_transfer)?;
            let answer = raft.vote(request).await.map_err(text)?;
            if answer.vote_granted {
                shard.pulse.heard(shard.pulse.now());
            }
            Ok(Answer::Vote(answer))
        }
        Request::PreVote(request) => {
            may_vote_for(shard, &request)?;
            shard.pulse.may_vote(false)?;
            raft.pre_vote(request).await.map(Answer::Vote).map_err(text)
        }
        Request::Transfer(request) => {
            if shard.core.log.lacks_what_it_held() {
                return Err("it has given up what it held, and cannot lead without it".into());
            }
            raft.handle_transfer_leader(request).await.map(Answer::Transfer).map_err(text)
        }
    }
}

/// A vote goes to nobody who has less than this node has ever had, though it has given that up.
fn may_vote_for(shard: &Shard, request: &VoteRequest<Types>) -> Result<(), String> {
    match request.last_log_id < shard.core.log.held() {
        true => Err("it once held more than the candidate has".into()),
        false => Ok(()),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn write_all(
    mut to: impl AsyncWrite + Unpin,
    mut waiting: mpsc::Receiver<Incoming>,
) -> io::Result<()> {
    let (mut buffer, mut round) = (BytesMut::new(), Vec::new());
    while waiting.recv_many(&mut round, WAITING).await > 0 {
        // What is answered at the same moment rides together.
        tokio::task::yield_now().await;
        while let Ok(more) = waiting.try_recv() {
            round.push(more);
        }
        for answer in round.drain(..) {
            wire::put(&mut buffer, &answer)?;
        }
        to.write_all(&buffer).await?;
        to.flush().await?;
        buffer.clear();
    }
    Ok(())
}
