//! The other end: answers what another node has received, by the same pipeline.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use janua_actors::gateway::{Pieces, Worker};
use tokio::time::Instant;

use super::Route;
use super::codec::{self, NotHere};
use crate::app::App;
use crate::body::Payload;
use crate::pipeline::{self, Trail};

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
    ) -> BoxFuture<'static, (Bytes, Bytes)> {
        let app = self.0.upgrade();
        Box::pin(async move {
            let deadline = Instant::now() + within;
            // A floor that is taken down, and a request that cannot be read, get no answer, and
            // their sender knows what to make of that.
            let (Some(app), Some(request)) = (app, codec::read_request(request)) else {
                return (Bytes::new(), Bytes::new());
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
) -> (Bytes, Bytes) {
    let mut trail = Trail::of_forwarded(&request);
    let mut body: Payload<Full<Bytes>> = match pieces {
        Some(pieces) => Payload::Pulled(pieces),
        None => Payload::Read(request.body),
    };
    let answered = pipeline::attempt(app, &request.asked, &mut body, &mut trail, deadline).await;
    match answered {
        Ok(response) => {
            let (head, body) = response.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes);
            (codec::answer(&head), body.unwrap_or_default())
        }
        Err(Route::Elsewhere(elsewhere)) => {
            let hint =
                app.directory().ok().and_then(|directory| directory.leader_of(elsewhere.shard));
            trail.learn(elsewhere.vouched);
            (codec::not_here(&NotHere::of(elsewhere, hint, &trail)), Bytes::new())
        }
        Err(Route::Unsettled(shard)) => (codec::unsettled(shard), Bytes::new()),
    }
}
