//! The straight line that every request takes:
//! `router::find → caller::resolve → limits::take → access::check → body::read → handler`,
//! and the way back, on which every answer gets the headers that all answers have.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use hyper::body::Body;
use janua_actors::tenant::TenantRef;
use janua_storage::ids::TenantNumber;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::app::{App, Door};
use crate::call::Call;
use crate::caller;
use crate::endpoint::Endpoint;
use crate::error::{Code, Error};
use crate::limits::counted::nearest;
use crate::limits::key::Network;
use crate::limits::{Shown, Who};
use crate::observe::{Finished, Present};
use crate::output::Response;
use crate::pages::{self, Reader};
use crate::{access, body, cors, forwarded, headers, idempotency, observe, request_id};

/// How many pieces of a body wait for their handler.
const PIECES: usize = 4;

/// What the way in leaves for the way back.
#[derive(Default)]
struct Trail<'a> {
    endpoint: Option<&'a Endpoint>,
    /// What counting it left to show, once it has been counted: nothing, where the limit is off.
    counted: Option<Option<Shown>>,
    tenant: Option<TenantRef>,
    reader: Option<Reader>,
}

/// The answer to a request that came from `peer` through `door`.
pub async fn answer<B>(app: &Arc<App>, door: Door, peer: IpAddr, request: Request<B>) -> Response
where
    B: Body<Data = Bytes> + Unpin,
{
    let started = Instant::now();
    let _present = Present::in_gauge(&app.in_flight);
    let (head, body) = request.into_parts();
    let request_id = request_id::of(&head.headers, || app.request_id());
    let client = forwarded::client(peer, &head.headers, &app.settings.trusted_proxies);
    let (method, version) = (head.method.clone(), head.version);
    let page = cors::origin(&head.headers).is_some().then(|| head.headers.clone());

    let mut trail = Trail::default();
    let deadline = started + patience(app, door, &head);
    let request = Incoming { head, body, client, request_id: request_id.clone() };
    let answered = guard(app, deadline, handle(app, door, request, &mut trail)).await;
    let mut response = answered.unwrap_or_else(|error| match &trail.reader {
        Some(reader) => reader.told(error),
        None => error.into_response(),
    });

    let uncounted = || app.limits.peek(&anonymous(Network::of(client)));
    let shown = trail.counted.unwrap_or_else(uncounted);
    finish(app, &mut response, &request_id, shown);
    if let Some(page) = &page {
        admit(app, &method, page, trail.tenant, &mut response).await;
    }
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
    let Incoming { mut head, body, client, request_id } = request;
    check_head(app, &head)?;
    if head.method == Method::OPTIONS {
        return options(app, door, &head);
    }
    let (endpoint, parameters) = app.router(door).find(&head.method, head.uri.path())?;
    trail.endpoint = Some(endpoint);
    trail.reader = Reader::of(endpoint, &head);
    pages::speak_for_browser(app, endpoint, &mut head);

    let resolved = caller::resolve(app, endpoint.access, &head.headers).await;
    // Whoever could not be recognised is counted too: recognising costs the most.
    let network = Network::of(client);
    let who = resolved.as_ref().map_or_else(|_| anonymous(network), |caller| caller.who(network));
    let (shown, taken) = app.limits.take(endpoint.limit, &who);
    trail.counted = Some(shown);
    taken?;
    let caller = resolved?;
    trail.tenant = caller.tenant.clone();
    access::check(endpoint.access, &caller)?;

    let settings = &app.settings;
    let (body, lines) = if endpoint.takes_lines {
        (Bytes::new(), Some(body))
    } else if endpoint.takes_body {
        let (most, within) = (settings.sizes.body, settings.timeouts.body);
        let read = body::read(&head.headers, body, endpoint.media_type, most, within).await?;
        (read, None)
    } else {
        (Bytes::new(), None)
    };
    let idempotency = idempotency::of(&head, endpoint, &caller, &body)?;
    let call = Call {
        app: Arc::clone(app),
        caller,
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        parameters,
        client,
        request_id,
        pieces: Mutex::default(),
        idempotency,
    };
    match lines {
        Some(lines) => handle_lines(endpoint, call, lines).await,
        None => endpoint.handle(call, body).await,
    }
}

/// Lets the handler read the body while it arrives.
async fn handle_lines<B>(endpoint: &Endpoint, call: Call, body: B) -> Result<Response, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (sender, pieces) = mpsc::channel(PIECES);
    *call.pieces.lock() = Some(pieces);
    let (app, headers) = (call.app.clone(), call.headers.clone());
    let (most, within) = (app.settings.sizes.import, app.settings.timeouts.body);
    let mut arriving = pin!(body::hand_over(&headers, body, most, within, sender));
    let mut handling = endpoint.handle(call, Bytes::new());
    tokio::select! {
        answer = &mut handling => answer,
        () = &mut arriving => handling.await,
    }
}

/// How long a request may take.
fn patience(app: &App, door: Door, head: &Parts) -> Duration {
    let endpoint = app.router(door).find(&head.method, head.uri.path());
    let timeouts = &app.settings.timeouts;
    match endpoint {
        Ok((endpoint, _)) if endpoint.takes_lines => timeouts.import,
        _ => timeouts.request,
    }
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

fn anonymous(network: Network) -> Who {
    Who::anonymous(TenantNumber::DEFAULT.0, network)
}

fn finish(app: &App, response: &mut Response, request_id: &HeaderValue, shown: Option<Shown>) {
    let of_address = response.extensions_mut().remove::<Shown>();
    let shown = nearest(shown, of_address);
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, request_id.clone());
    headers.insert(headers::NODE, app.node.clone());
    headers::rate_limit(headers, shown);
    headers::secure(headers, app.https);
    cors::vary(headers);
}

/// Lets a page read the answer if the tenant of the request says so, else the default one.
///
/// Decision: a browser asks beforehand (preflight) without the headers that name a tenant. Where the
/// request to come may be any tenant's, because there is no default or because a header that names
/// one is announced, the page may send it, and the answer is judged by the tenant that it then
/// names. Nothing is lost by that: what a page sends carries no credential that it does not know.
async fn admit(
    app: &App,
    method: &Method,
    page: &HeaderMap,
    tenant: Option<TenantRef>,
    response: &mut Response,
) {
    let Some(origin) = cors::origin(page) else { return };
    let tenant = match tenant {
        Some(tenant) => Some(tenant),
        None => caller::named_tenant(app, page).await,
    };
    let headers = response.headers_mut();
    if let Some(tenant) = tenant
        && let Ok(settings) = tenant.settings().await
    {
        cors::admit(headers, origin, &settings.allowed_origins);
    }
    let may_be_any_tenants = !caller::claims_a_tenant(page)
        && (app.settings.default_tenant.is_none() || cors::will_name_a_tenant(page));
    if cors::is_preflight(method, page) && !cors::is_admitted(headers) && may_be_any_tenants {
        cors::let_ask(headers, origin);
    }
    cors::strike_unadmitted(headers);
}
