//! The way to other nodes, as openraft sees it: one for each shard and target, all on the same
//! links. Without links, every peer is unreachable.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, FuturesOrdered};
use futures::{Stream, StreamExt};
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{BasicNode, OptionalSend};
use tokio::sync::oneshot;

use super::{LogId, Types};
use crate::engine::link::wire::{Answer, Request};
use crate::engine::link::{Link, Lost, Peer, snapshot};
use crate::engine::snapshot::SnapshotFile;
use crate::ids::ShardId;

/// Runs of entries that are under way to one peer at once.
const PIPELINE: usize = 16;
/// How long a peer may take to have entries on disk. That it lives is watched elsewhere.
const APPEND_DEADLINE: Duration = Duration::from_secs(5);
/// How long entries for a peer without a connection wait for one, before Raft is told.
///
/// Decision: Raft sends again as soon as it is told, and would do nothing else for as long as the
/// peer is away, while the living wait for their entries.
const AWAY: Duration = Duration::from_secs(1);
/// Between attempts to reach a peer.
const BACKOFF: Duration = Duration::from_millis(50);

/// Makes the ways from one shard.
#[derive(Clone)]
pub struct Network {
    /// Whose traffic it is.
    pub shard: ShardId,
    /// Where it goes.
    pub link: Option<Arc<Link>>,
}

/// The way to one peer.
pub struct ToPeer {
    shard: ShardId,
    node: u64,
    way: Option<(Arc<Link>, Arc<Peer>)>,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = ToPeer;

    async fn new_client(&mut self, target: u64, _node: &BasicNode) -> ToPeer {
        let way = self.link.as_ref().map(|link| (link.clone(), link.peer(target)));
        ToPeer { shard: self.shard, node: target, way }
    }
}

type Failure = RPCError<Types>;
type Answered = oneshot::Receiver<Result<Answer, Lost>>;

fn unreachable(problem: impl ToString) -> Failure {
    Unreachable::from_string(problem).into()
}

impl ToPeer {
    fn way(&self) -> Result<&(Arc<Link>, Arc<Peer>), Failure> {
        self.way.as_ref().ok_or_else(|| unreachable("this node has no links"))
    }

    async fn ask(&self, request: Request, deadline: Duration) -> Result<Answer, Failure> {
        let (_, peer) = self.way()?;
        let answered = peer.ask(self.shard, request).map_err(unreachable)?;
        peer.answer(answered, deadline).await.map_err(unreachable)
    }

    async fn ask_vote(
        &self,
        request: Request,
        option: &RPCOption,
    ) -> Result<VoteResponse<Types>, Failure> {
        match self.ask(request, option.hard_ttl()).await? {
            Answer::Vote(answer) => Ok(answer),
            _ => Err(unreachable("an answer to something else")),
        }
    }
}

/// Entries that are under way.
struct Sent {
    previous: Option<LogId>,
    last: Option<LogId>,
    answer: Result<AppendEntriesResponse<Types>, Failure>,
}

/// Entries on their way to one peer.
struct Pipeline<S> {
    peer: Arc<Peer>,
    shard: ShardId,
    /// `None` at its end.
    input: Option<S>,
    sent: FuturesOrdered<BoxFuture<'static, Sent>>,
    /// The last entry of each of them, in the same order.
    lasts: VecDeque<Option<LogId>>,
}

impl<S> Pipeline<S> {
    fn send(&mut self, request: AppendEntriesRequest<Types>) {
        let previous = request.prev_log_id;
        let last = request.entries.last().map(|entry| entry.log_id).or(previous);
        let answered = self.peer.ask(self.shard, Request::Append(request));
        self.lasts.push_back(last);
        self.sent.push_back(Box::pin(sent(self.peer.clone(), (previous, last), answered)));
    }
}

impl Sent {
    /// Whether this answer would be taken for one to the next request as well, whose last entry
    /// this is.
    ///
    /// Decision: openraft finds what was answered by its last entry, and counts the sending time of
    /// the last request that has this one. A request without entries has that of the one before it.
    /// Its time would extend the lease though the peer has not seen it, so the answer that comes
    /// with it speaks for both.
    fn says_too_much(&self, next: Option<&Option<LogId>>) -> bool {
        let is_success = matches!(&self.answer, Ok(answer) if answer.is_success());
        is_success && next.is_some_and(|next| *next <= self.last)
    }
}

type AppendResult = Result<StreamAppendResult<Types>, Failure>;

/// The next answer of a pipeline, and what is left of it.
async fn next_answer<S>(
    pipeline: Option<Pipeline<S>>,
) -> Option<(AppendResult, Option<Pipeline<S>>)>
where
    S: Stream<Item = AppendEntriesRequest<Types>> + Send + Unpin + 'static,
{
    let mut pipeline = pipeline?;
    loop {
        let room = pipeline.input.is_some() && pipeline.sent.len() < PIPELINE;
        let Pipeline { input, sent, .. } = &mut pipeline;
        let request = tokio::select! {
            biased;
            Some(sent) = sent.next() => {
                pipeline.lasts.pop_front();
                if sent.says_too_much(pipeline.lasts.front()) {
                    continue;
                }
                return Some(answered(sent, pipeline));
            }
            request = next_of(input), if room => request,
            else => return None,
        };
        match request {
            Some(request) => pipeline.send(request),
            None => pipeline.input = None,
        }
    }
}

async fn next_of<S: Stream + Unpin>(input: &mut Option<S>) -> Option<S::Item> {
    input.as_mut()?.next().await
}

/// An error ends the pipeline: what follows it was not taken either.
fn answered<S>(sent: Sent, rest: Pipeline<S>) -> (AppendResult, Option<Pipeline<S>>) {
    match sent.answer {
        Ok(answer) => {
            let result = answer.into_stream_result(sent.previous, sent.last);
            let rest = result.is_ok().then_some(rest);
            (Ok(result), rest)
        }
        Err(failure) => (Err(failure), None),
    }
}

async fn sent(
    peer: Arc<Peer>,
    request: (Option<LogId>, Option<LogId>),
    answered: Result<Answered, Lost>,
) -> Sent {
    let (previous, last) = request;
    let answer = match answered {
        Ok(answered) => peer.answer(answered, APPEND_DEADLINE).await,
        Err(lost) => Err(lost),
    };
    let answer = match answer {
        Ok(Answer::Append(answer)) => Ok(answer),
        Ok(_) => Err(unreachable("an answer to something else")),
        Err(lost) => Err(unreachable(lost)),
    };
    Sent { previous, last, answer }
}

impl RaftNetworkV2<Types> for ToPeer {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, Failure> {
        match self.ask(Request::Append(request), APPEND_DEADLINE).await? {
            Answer::Append(answer) => Ok(answer),
            _ => Err(unreachable("an answer to something else")),
        }
    }

    /// Sends further entries while the earlier ones are on their way to the other disk. The link
    /// keeps their order, and the answers are taken in it.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, AppendResult>, Failure>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let (_, peer) = self.way()?;
            if !peer.up_within(AWAY).await {
                return Err(unreachable(Lost::Unreached(self.node)));
            }
            let pipeline = Pipeline {
                peer: peer.clone(),
                shard: self.shard,
                input: Some(input),
                sent: FuturesOrdered::new(),
                lasts: VecDeque::new(),
            };
            let answers: BoxStream<'s, _> = Box::pin(stream::unfold(Some(pipeline), next_answer));
            Ok(answers)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Failure> {
        self.ask_vote(Request::Vote(request), &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, Failure> {
        self.ask_vote(Request::PreVote(request), &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let no_links = || StreamingError::Unreachable(Unreachable::from_string("no links"));
        let (link, peer) = self.way.as_ref().ok_or_else(no_links)?;
        let (meta, file) = (snapshot.meta, snapshot.snapshot);
        let unsent = |problem: String| {
            tracing::warn!(
                node = self.node,
                shard = self.shard.0,
                problem,
                "a snapshot was not sent"
            );
            StreamingError::Unreachable(Unreachable::from_string(problem))
        };
        let sending = async {
            // As with entries: Raft tries again at once.
            if !peer.up_within(AWAY).await {
                return Err(unsent(Lost::Unreached(self.node).to_string()));
            }
            // Whoever is gone must not keep the others from theirs until a deadline has passed.
            tokio::select! {
                biased;
                sent = snapshot::send(link, peer, self.shard, vote, meta, file) => {
                    sent.map_err(|error| unsent(error.to_string()))
                }
                () = peer.down() => Err(unsent(Lost::Unreached(self.node).to_string())),
            }
        };
        tokio::select! {
            biased;
            sent = sending => sent,
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, Failure> {
        match self.ask(Request::Transfer(request), option.hard_ttl()).await? {
            Answer::Transfer(answer) => Ok(answer),
            _ => Err(unreachable("an answer to something else")),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(BACKOFF)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> Option<LogId> {
        Some(LogId::new(3.into(), index))
    }

    #[test]
    fn an_answer_speaks_for_no_request_that_came_after_it() {
        let answer = |answer| Sent { previous: at(6), last: at(7), answer };
        let success = answer(Ok(AppendEntriesResponse::Success));
        assert!(success.says_too_much(Some(&at(7))), "the next one carries no entries");
        assert!(!success.says_too_much(Some(&at(8))));
        assert!(!success.says_too_much(None));
        let conflict = answer(Ok(AppendEntriesResponse::Conflict));
        assert!(!conflict.says_too_much(Some(&at(7))), "what was refused is told at once");
        assert!(!answer(Err(unreachable("gone"))).says_too_much(Some(&at(7))));
    }
}
