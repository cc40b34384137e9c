//! The straight line that every request takes:
//! `router::find → caller::resolve → limits::take → access::check → body::read → handler`,
//! and the way back, on which every answer gets the headers that all answers have.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Version};
use hyper::body::Body;
use janua_storage::ids::TenantNumber;
use tokio::time::Instant;

use crate::app::{App, Door};
use crate::call::Call;
use crate::caller;
use crate::endpoint::Endpoint;
use crate::error::{Code, Error};
use crate::limits::key::Network;
use crate::limits::{Shown, Who};
use crate::observe::{Finished, Present};
use crate::output::Response;
use crate::{access, body, cors, forwarded, headers, observe, request_id};

/// What the way in leaves for the way back.
#[derive(Default)]
struct Trail<'a> {
    endpoint: Option<&'a Endpoint>,
    shown: Option<Shown>,
}

/// The answer to a request that came from `peer` through `door`.
pub async fn answer<B>(app: &Arc<App>, door: Door, peer: IpAddr, request: Request<B>) -> Response
where
    B: Body<Data = Bytes> + Unpin,
{
    let started = Instant::now();
    let _present = Present::in_gauge(&app.in_flight);
    let (head, body) = request.into_parts();
    let request_id = request_id::of(&head.headers, &app.services.request_id);
    let client = forwarded::client(peer, &head.headers, &app.settings.trusted_proxies);
    let (method, version) = (head.method.clone(), head.version);
    let origin = cors::origin(&head.headers).cloned();

    let mut trail = Trail::default();
    let request = Incoming {
        head,
        body,
        client,
        request_id: request_id.clone(),
        deadline: started + app.settings.timeouts.request,
    };
    let answered = guard(app, request.deadline, handle(app, door, request, &mut trail)).await;
    let mut response = answered.unwrap_or_else(Error::into_response);

    let anonymous = || Who::anonymous(TenantNumber::DEFAULT.0, Network::of(client));
    let shown = trail.shown.or_else(|| app.limits.peek(&anonymous()));
    finish(app, &mut response, &request_id, shown, origin.as_ref());
    if version == Version::HTTP_2 {
        // Its connections end by GOAWAY; the header is malformed there (RFC 9113 §8.2.2).
        response.headers_mut().remove(CONNECTION);
    }
    observe::record(&Finished {
        method: &method,
        route: trail.endpoint.map(|endpoint| &endpoint.metrics),
        status: response.status(),
        duration: started.elapsed(),
        request_id: &request_id,
        node: &app.settings.node_name,
    });
    if method == Method::HEAD { headers::without_body(response) } else { response }
}

struct Incoming<B> {
    head: Parts,
    body: B,
    client: IpAddr,
    request_id: HeaderValue,
    deadline: Instant,
}

async fn handle<'a, B>(
    app: &'a Arc<App>,
    door: Door,
    request: Incoming<B>,
    trail: &mut Trail<'a>,
) -> Result<Response, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let Incoming { head, body, client, request_id, deadline } = request;
    check_head(app, &head)?;
    if head.method == Method::OPTIONS {
        return options(app, door, &head);
    }
    let (endpoint, parameters) = app.router(door).find(&head.method, head.uri.path())?;
    trail.endpoint = Some(endpoint);

    let caller = caller::resolve(&head.headers).await?;
    let who = caller.who(Network::of(client));
    let (shown, taken) = app.limits.take(endpoint.limit, &who);
    trail.shown = shown;
    taken?;
    access::check(endpoint.access, &caller)?;

    let body = if endpoint.takes_body {
        let settings = &app.settings;
        body::read(&head.headers, body, settings.sizes.body, settings.timeouts.body).await?
    } else {
        Bytes::new()
    };
    let headers = head.headers;
    let app = Arc::clone(app);
    let call = Call { app, caller, headers, parameters, client, request_id, deadline };
    endpoint.handle(call, body).await
}

/// hyper has limits of its own, above these, that it answers without an envelope.
fn check_head(app: &App, head: &Parts) -> Result<(), Error> {
    let sizes = &app.settings.sizes;
    let line = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    let size = |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let total = line + head.headers.iter().map(size).sum::<usize>();
    if head.headers.len() > sizes.headers || total > sizes.head {
        let message = format!(
            "Send at most {} headers, and {} bytes of them with the path",
            sizes.headers, sizes.head
        );
        return Err(Error::new(Code::HeadersTooLarge, message).closing());
    }
    Ok(())
}

fn options(app: &App, door: Door, head: &Parts) -> Result<Response, Error> {
    let path = app.router(door).path(head.uri.path()).ok_or_else(Error::not_found)?;
    Ok(cors::options(&path.allow, cors::is_preflight(&head.method, &head.headers)))
}

/// A handler that takes too long, or panics, is answered for.
async fn guard(
    app: &App,
    deadline: Instant,
    handling: impl Future<Output = Result<Response, Error>>,
) -> Result<Response, Error> {
    let handling = AssertUnwindSafe(handling).catch_unwind();
    match tokio::time::timeout_at(deadline, handling).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => {
            let cause = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let cause = cause.or_else(|| panic.downcast_ref::<String>().cloned());
            let node = &app.settings.node_name;
            tracing::error!(cause, node, "a handler panicked");
            Err(Error::internal())
        }
        Err(_) => {
            let message =
                "The answer took too long; it is safe to try again with the same Idempotency-Key";
            Err(Error::unavailable(message, Duration::from_secs(1)))
        }
    }
}

fn finish(
    app: &App,
    response: &mut Response,
    request_id: &HeaderValue,
    shown: Option<Shown>,
    origin: Option<&HeaderValue>,
) {
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, request_id.clone());
    headers::rate_limit(headers, shown);
    headers::secure(headers, app.https);
    cors::vary(headers);
    if let Some(_origin) = origin {
        cors::strike_unadmitted(headers);
    }
}
