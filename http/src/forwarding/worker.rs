//! The other end: answers what another node has received, by the same pipeline.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use http_body_util::{BodyExt, Collected, Full};
use janua_actors::gateway::{Answer, Piece, Pieces, Worker};
use tokio::time::Instant;

use super::Route;
use super::codec::{self, NotHere};
use crate::app::App;
use crate::body::{END, Fault, PIECE, Payload};
use crate::pipeline::{self, Trail};
use crate::stream::Body;

/// The floor, as other nodes call it.
pub(crate) struct Colleague(Weak<App>);

impl Colleague {
    /// Of this floor, for as long as it stands.
    pub fn of(app: &Arc<App>) -> Self {
        Self(Arc::downgrade(app))
    }
}

impl Worker for Colleague {
    fn work(
        &self,
        request: Bytes,
        pieces: Option<Pieces>,
        within: Duration,
    ) -> BoxFuture<'static, Answer> {
        let app = self.0.upgrade();
        Box::pin(async move {
            let deadline = Instant::now() + within;
            // A floor that is taken down, and a request that cannot be read, get no answer, and
            // their sender knows what to make of that.
            let (Some(app), Some(request)) = (app, codec::read_request(request)) else {
                return Answer::Whole(Bytes::new(), Bytes::new());
            };
            answer(&app, request, pieces, deadline).await
        })
    }
}

async fn answer(
    app: &Arc<App>,
    request: codec::Request,
    pieces: Option<Pieces>,
    deadline: Instant,
) -> Answer {
    let mut trail = Trail::of_forwarded(&request);
    let mut body: Payload<Full<Bytes>> = match pieces {
        Some(pieces) => Payload::Pulled(pieces),
        None => Payload::Read(request.body),
    };
    let answered = pipeline::attempt(app, &request.asked, &mut body, &mut trail, deadline).await;
    match answered {
        Ok(response) => {
            let (head, body) = response.into_parts();
            match body {
                Body::Whole(whole) => {
                    let Ok(whole) = whole.collect().await.map(Collected::to_bytes);
                    Answer::Whole(codec::answer(&head, false), whole)
                }
                Body::Stream(..) => Answer::Pieces(codec::answer(&head, true), pieces_of(body)),
            }
        }
        Err(Route::Elsewhere(elsewhere)) => {
            let hint =
                app.directory().ok().and_then(|directory| directory.leader_of(elsewhere.shard));
            trail.learn(elsewhere.vouched);
            Answer::Whole(codec::not_here(&NotHere::of(elsewhere, hint, &trail)), Bytes::new())
        }
        Err(Route::Unsettled(shard)) => Answer::Whole(codec::unsettled(shard), Bytes::new()),
    }
}

/// What of an answer is still to come, and how it ended.
fn pieces_of(body: Body) -> BoxStream<'static, Piece> {
    let next = |body: Option<Body>| async {
        let mut body = body?;
        loop {
            return Some(match body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => ((PIECE, piece), Some(body)),
                    Err(_) => continue,
                },
                Some(Err(_)) => ((Fault::Broken.code(), Bytes::new()), None),
                None => ((END, Bytes::new()), None),
            });
        }
    };
    Box::pin(stream::unfold(Some(body), next))
}

/// The answer of another node as it arrives.
pub(super) fn body_of(pieces: Pieces) -> Body {
    let next = |pieces: Option<Pieces>| async {
        let mut pieces = pieces?;
        match pieces.next().await {
            Some(mut piece) if piece.first() == Some(&PIECE) => {
                Some((Ok(piece.split_off(1)), Some(pieces)))
            }
            Some(piece) if piece.first() == Some(&END) => None,
            _ => Some((Err("the other node broke off".into()), None)),
        }
    };
    Body::stream(stream::unfold(Some(pieces), next))
}
