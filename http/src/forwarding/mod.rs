//! Forwarding: any node answers any client. The pipeline runs where a request came in; where it turns
//! out that another node leads the shard that is needed, the whole request goes there, through the
//! same pipeline, and its answer comes back.
//!
//! Decision: nothing about an endpoint says where it runs. A tenant that is led elsewhere cannot be
//! had from the directory, and whoever wanted it, be it the caller's recognition or a handler that
//! found the tenant in a secret, is given up and done again there. So a handler reads what it needs
//! before it writes, and writes once.
//!
//! Decision: one hop. The node that is asked and does not lead either says so, and the one that
//! received the request follows the leader, until the client's time is over.
//!
//! Decision: a request is counted once, by the first node that recognised its tenant, which is where
//! the tenant is led; the count goes along. Only who cannot be recognised without any tenant is
//! counted where that was found out.

mod codec;
mod worker;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use janua_actors::gateway::{LOST, Lost};
use janua_actors::refusal::Elsewhere;
use janua_actors::routing::Place;
use janua_storage::ids::ShardId;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::app::App;
use crate::asked::Asked;
use crate::body::{Payload, Sending, Stream};
use crate::cors;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::idempotency;
use crate::output::Response;
use crate::pipeline::{self, Trail};

pub(crate) use codec::{NotHere, Request};
pub(crate) use worker::Colleague;

use codec::Reply;

/// For how long a leader that can be reached is looked for: longer than it takes to elect one. A node
/// without others waits to lead its own shards.
const LEADERLESS: Duration = Duration::from_secs(3);
const ALONE: Duration = Duration::from_secs(1);

/// How long the former leader of a shard may take to answer once there is another.
const GRACE: Duration = Duration::from_millis(100);

/// For how long a request that repeats safely is made again: less than the ten seconds in which a
/// spent refresh token still gives its successor, so that a retry never looks like a theft.
const REPEATS_FOR: Duration = Duration::from_secs(8);

/// Time that is kept back for the way of an answer.
const RETURN: Duration = Duration::from_millis(20);

/// Between tries, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// Why a try has not come to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The leader of a shard has to be asked.
    Elsewhere(Elsewhere),
    /// Something was proposed to this shard, and it is unknown what came of it.
    Unsettled(ShardId),
}

/// What a try that came to no answer has left.
struct Tried {
    route: Route,
    /// Who leads, as the node sees it that was asked.
    hint: Option<u64>,
}

impl Tried {
    fn here(route: Route) -> Self {
        Self { route, hint: None }
    }
}

/// A request under way to the node that can answer it.
pub(crate) struct Journey<'j, 'a, B> {
    app: &'a Arc<App>,
    asked: &'j Asked,
    body: &'j mut Payload<B>,
    trail: &'j mut Trail<'a>,
    started: Instant,
    deadline: Instant,
    search: Search,
}

/// The search for the leader of a shard.
#[derive(Default)]
struct Search {
    shard: Option<ShardId>,
    /// Who was asked in this round, and does not lead.
    asked: BTreeSet<u64>,
    /// How long nobody has been at work on the request, all shards together.
    lasted: Duration,
}

impl Search {
    /// The leader of this shard is looked for.
    fn is_for(&mut self, shard: ShardId) {
        if self.shard != Some(shard) {
            *self = Self { shard: Some(shard), lasted: self.lasted, ..Self::default() };
        }
    }

    /// Somebody is asked, in a new round if that was asked before.
    fn asks(&mut self, peer: u64) {
        if !self.asked.insert(peer) {
            self.asked = BTreeSet::from([peer]);
        }
    }
}

impl<'j, 'a, B: Stream> Journey<'j, 'a, B> {
    /// Of this request, which came at the first of these times, and whose client waits until the other.
    pub fn new(
        app: &'a Arc<App>,
        asked: &'j Asked,
        body: &'j mut Payload<B>,
        trail: &'j mut Trail<'a>,
        (started, deadline): (Instant, Instant),
    ) -> Self {
        Self { app, asked, body, trail, started, deadline, search: Search::default() }
    }

    /// Follows the leader of the shard that is needed, until somebody answers or time is over.
    pub async fn follow(mut self, route: Route) -> Response {
        let mut tried = Tried::here(route);
        let (mut unsettled, mut pause) = (false, Duration::ZERO);
        let answered = loop {
            if let Route::Unsettled(_) = tried.route {
                if !self.may_repeat() {
                    break Err(unknown());
                }
                if self.repeats_safely() {
                    self.deadline = self.deadline.min(self.started + REPEATS_FOR);
                }
                unsettled = true;
            }
            if !self.body.is_whole() {
                break Err(unknown());
            }
            match self.again(&tried, pause).await {
                Ok(Ok(response)) => break Ok(response),
                Ok(Err(next)) => tried = next,
                Err(error) => break Err(error),
            }
            metrics::counter!("janua_forwarding_retries_total").increment(1);
            pause = (pause * 2).clamp(PAUSES.0, PAUSES.1);
        };
        let answered = answered.and_then(|response| self.settled(unsettled, response));
        answered.unwrap_or_else(|error| {
            let mut response = error.into_response();
            pipeline::dress(self.app, self.asked, self.trail, &mut response);
            cors::judge_as_followed(self.app, self.asked, response.headers_mut());
            response
        })
    }

    /// One more try, at whoever leads now.
    async fn again(
        &mut self,
        tried: &Tried,
        pause: Duration,
    ) -> Result<Result<Response, Tried>, Error> {
        let shard = match tried.route {
            Route::Elsewhere(elsewhere) => {
                self.trail.learn(elsewhere.vouched);
                elsewhere.shard
            }
            Route::Unsettled(shard) => shard,
        };
        let begun = Instant::now();
        sleep_until((begun + pause).min(self.deadline)).await;
        let directory = self.app.directory()?;
        self.search.is_for(shard);
        let patience = match directory.gateway() {
            Some(_) => LEADERLESS.saturating_sub(self.search.lasted),
            None => ALONE,
        };
        let place = directory.place_of(shard, &self.search.asked, tried.hint);
        let until = (begun + patience).min(self.deadline);
        let place = timeout_at(until, place).await.map_err(|_| leaderless())?;
        self.search.lasted += begun.elapsed();
        Ok(match place? {
            Place::Here => {
                let (app, asked, deadline) = (self.app, self.asked, self.deadline);
                let here = pipeline::attempt(app, asked, self.body, self.trail, deadline).await;
                here.map_err(Tried::here)
            }
            Place::There { node, term } => self.ask(node, term, shard).await?,
        })
    }

    /// Has another node answer.
    async fn ask(
        &mut self,
        peer: u64,
        term: u64,
        shard: ShardId,
    ) -> Result<Result<Response, Tried>, Error> {
        self.search.asks(peer);
        let directory = self.app.directory()?;
        let Some(gateway) = directory.gateway() else { return Err(leaderless()) };
        let wants_body = self.trail.endpoint.is_some_and(|endpoint| endpoint.takes_body);
        let body = self.body.read_if(wants_body, &self.asked.headers, &self.app.settings).await;
        let head = codec::request(self.asked, self.trail, body.as_ref().err().copied());
        let body = body.unwrap_or_default();
        let left = self.deadline.saturating_duration_since(Instant::now()).saturating_sub(RETURN);
        tracing::debug!(
            request_id = self.asked.request_id.to_str().unwrap_or_default(),
            %shard,
            node = gateway.name_of(peer),
            "a request goes to another node"
        );
        let (lines, settings) =
            (self.trail.takes_lines() && !self.body.is_empty(), &self.app.settings);
        let replied = tokio::select! {
            biased;
            replied = async {
                if lines {
                    let mut body = Sending(self.body, settings);
                    gateway.forward_pieces(peer, head, &mut body, left).await
                } else {
                    gateway.forward(peer, head, body, left).await
                }
            } => replied,
            () = async {
                directory.moved_from(shard, peer, term).await;
                sleep(GRACE).await;
            } => Err(Lost::Unknown),
            () = gateway.has_lost(peer) => {
                self.search.lasted += LOST;
                Err(Lost::Unknown)
            }
        };
        let tried = |route, hint| Ok(Err(Tried { route, hint }));
        match replied.map(codec::reply) {
            Ok(Some(Reply::Answer(response))) => Ok(Ok(response)),
            Ok(Some(Reply::NotHere(not_here))) => {
                self.trail.take_over(&not_here);
                tried(Route::Elsewhere(not_here.elsewhere), not_here.hint)
            }
            Ok(Some(Reply::Unsettled(shard))) => tried(Route::Unsettled(shard), None),
            Ok(None) => {
                tracing::warn!(node = gateway.name_of(peer), "a node could not read a request");
                Err(leaderless())
            }
            Err(Lost::Busy) => {
                let message = "The server is busy; try again shortly";
                Err(Error::unavailable(message, Duration::from_secs(1)))
            }
            Err(Lost::Unreachable) => tried(Route::Elsewhere(Elsewhere::to(shard)), None),
            Err(Lost::Unknown) if !self.changes() => {
                tried(Route::Elsewhere(Elsewhere::to(shard)), None)
            }
            Err(Lost::Unknown) => tried(Route::Unsettled(shard), None),
        }
    }

    /// Whether a request whose outcome is unknown may be made again: it changes nothing, or what it
    /// does once it does twice, or its operation id tells that it was made before.
    fn may_repeat(&self) -> bool {
        let alone = self.app.directory().map_or(true, |directory| directory.gateway().is_none());
        let has_key =
            self.asked.method == Method::POST && idempotency::is_given(&self.asked.headers);
        let once = self.asked.operation.is_some() || has_key || self.repeats_safely();
        !alone && (once || !self.changes())
    }

    /// Whether it may change something.
    fn changes(&self) -> bool {
        let by_method = !self.asked.method.is_safe();
        self.trail.endpoint.map_or(by_method, Endpoint::changes)
    }

    fn repeats_safely(&self) -> bool {
        self.trail.endpoint.is_some_and(|endpoint| endpoint.repeats_safely)
    }

    /// What to make of an answer to a request that may have been done before. It may then say no for
    /// that very reason, and nobody can tell.
    fn settled(&self, unsettled: bool, response: Response) -> Result<Response, Error> {
        let gone = matches!(
            response.status(),
            StatusCode::UNAUTHORIZED
                | StatusCode::NOT_FOUND
                | StatusCode::GONE
                | StatusCode::PRECONDITION_FAILED
        );
        if unsettled && gone && self.changes() { Err(unknown()) } else { Ok(response) }
    }
}

fn leaderless() -> Error {
    let message = "The node that has to answer is not known at the moment; try again shortly";
    Error::unavailable(message, Duration::from_secs(1))
}

fn unknown() -> Error {
    let message = "It is not known whether the request was carried out; look, or try again with the \
                   same Idempotency-Key";
    Error::unavailable(message, Duration::from_secs(1))
}
