//! One connection: HTTP/1.1 or HTTP/2, whichever it speaks, until it ends, idles or is told to go.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

use super::activity::{Activity, Stale, Watched};
use super::{Phase, Server};
use crate::app::Door;
use crate::pipeline;
use crate::settings::Settings;

/// Spawns the streams of HTTP/2 connections on the server's runtime.
#[derive(Clone)]
pub struct Spawner(Handle);

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

/// The headers that hyper takes over HTTP/1.1 unless it is told otherwise.
const UNTOLD: usize = 100;

/// How many times as large a head may be for hyper as for us. What waits for the rest of one is held
/// in memory, so that it cannot be any number.
const ABOVE_OURS: usize = 4;

/// hyper, within the settings. Its own limits lie above the pipeline's, which answer with the
/// envelope; hyper's answer with a bare status.
pub fn protocol(settings: &Settings) -> auto::Builder<Spawner> {
    let head = settings.sizes.head.max(8 * 1024) * ABOVE_OURS;
    let list = u32::try_from(head).unwrap_or(u32::MAX);
    let mut builder = auto::Builder::new(Spawner(Handle::current()));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(head);
    // Only where it must be: once it is told, hyper allocates room for them with every request.
    if settings.sizes.headers >= UNTOLD {
        builder.http1().max_headers(settings.sizes.headers + 1);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.connections.streams)
        .max_header_list_size(list)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(settings.timeouts.idle / 2)
        .keep_alive_timeout(settings.timeouts.head);
    builder
}

/// Serves a connection to its end.
pub async fn run<S>(server: &Arc<Server>, stream: S, peer: IpAddr, door: Door)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let in_flight = activity.begin(request.version() == Version::HTTP_2);
        let app = Arc::clone(&server.app);
        async move {
            let mut response = pipeline::answer(&app, door, peer, request).await;
            // An answer that is still to come keeps its connection from looking idle.
            response.body_mut().hold(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(server.http.serve_connection(io, service));
    let timeouts = &server.app.settings.timeouts;
    let mut phase = server.phase.clone();
    let mut look = tokio::time::interval(look_every(timeouts.head.min(timeouts.idle)));
    let mut told_to_go = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke off");
                }
                return;
            }
            _ = phase.changed() => {
                if *phase.borrow() == Phase::Stopped {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => match activity.stale(timeouts) {
                None => {}
                Some(Stale::Idle) if !told_to_go => {
                    told_to_go = true;
                    connection.as_mut().graceful_shutdown();
                }
                Some(stale) => {
                    tracing::debug!(?stale, "a connection was closed");
                    return;
                }
            },
        }
    }
}

/// Often enough that a timeout is late by a quarter at most.
fn look_every(shortest: Duration) -> Duration {
    (shortest / 4).max(Duration::from_millis(10))
}
