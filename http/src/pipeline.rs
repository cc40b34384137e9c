//! The straight line that every request takes:
//! `router::find → caller::resolve → limits::take → access::check → body::read → handler`,
//! and the way back, on which every answer gets the headers that all answers have.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Version};
use hyper::body::Body;
use janua_actors::refusal::Vouched;
use janua_actors::tenant::TenantRef;
use janua_storage::ids::TenantNumber;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::app::{App, Door};
use crate::asked::Asked;
use crate::body::{Payload, Stream};
use crate::call::Call;
use crate::caller::{self, Caller, Claimed, Credential};
use crate::endpoint::{Access, Endpoint, Limit};
use crate::error::Error;
use crate::forwarding::{self, Journey, Route};
use crate::limits::counted::nearest;
use crate::limits::key::Network;
use crate::limits::{Shown, Who};
use crate::observe::{Finished, Present};
use crate::output::Response;
use crate::pages;
use crate::{access, cors, forwarded, head, headers, idempotency, observe, request_id};

/// How many pieces of a body wait for their handler.
const PIECES: usize = 4;

/// What the way in leaves for the way back, and one try for the next.
#[derive(Default)]
pub(crate) struct Trail<'a> {
    /// The version that it came in by; none where another node has received it.
    pub version: Option<Version>,
    pub endpoint: Option<&'a Endpoint>,
    /// What counting it left to show, once it has been counted: nothing, where the limit is off.
    pub counted: Option<Option<Shown>>,
    /// What need not be found out again by another node.
    pub vouched: Vouched,
    /// Whether it has come as far as its handler, be it on another node.
    pub admitted: bool,
    /// Whether it has in this try.
    pub handled: bool,
    pub tenant: Option<TenantRef>,
    /// The tenant that its handler found named by a secret.
    pub named: Arc<OnceLock<TenantRef>>,
}

impl Trail<'_> {
    /// What another node has left of the request that it sends.
    pub fn of_forwarded(request: &forwarding::Request) -> Self {
        Self {
            counted: request.counted,
            vouched: request.vouched,
            admitted: request.admitted,
            ..Self::default()
        }
    }

    /// Takes over what was found out where it was sent, and by whom not to be answered.
    pub fn take_over(&mut self, not_here: &forwarding::NotHere) {
        self.learn(not_here.elsewhere.vouched);
        self.counted = self.counted.or(not_here.counted);
        self.admitted |= not_here.admitted;
    }

    /// Whether the body is one of lines, read as it comes.
    pub fn takes_lines(&self) -> bool {
        self.endpoint.is_some_and(|endpoint| endpoint.takes_lines)
    }

    /// What was found out need not be found out again.
    pub fn learn(&mut self, vouched: Vouched) {
        self.vouched.token = vouched.token.or(self.vouched.token);
        self.vouched.operator |= vouched.operator;
    }
}

/// The answer to a request that came from `peer` through `door`.
pub async fn answer<B>(app: &Arc<App>, door: Door, peer: IpAddr, request: Request<B>) -> Response
where
    B: Body<Data = Bytes> + Unpin + Send,
{
    let started = Instant::now();
    let _present = Present::in_gauge(&app.in_flight);
    let (mut head, body) = request.into_parts();
    pages::speak_for_browser(app, door, &mut head);
    let asked = Asked {
        door,
        client: forwarded::client(peer, &head.headers, &app.settings.trusted_proxies),
        request_id: request_id::of(&head.headers, || app.request_id()),
        operation: app.operation(),
        method: head.method,
        uri: head.uri,
        headers: head.headers.into(),
    };
    let mut body = Payload::Waiting(body);
    let mut trail = Trail { version: Some(head.version), ..Trail::default() };
    let deadline = started + patience(app, &asked);
    let mut response = match attempt(app, &asked, &mut body, &mut trail, deadline).await {
        Ok(response) => response,
        Err(route) => {
            let (asked, body, trail) = (&asked, &mut body, &mut trail);
            // Boxed: most requests need no journey, and should not carry the room for one.
            let times = (started, deadline);
            Box::pin(Journey::new(app, asked, body, trail, times).follow(route)).await
        }
    };
    finish(app, &asked, &mut response);
    if head.version == Version::HTTP_2 {
        // Its connections end by GOAWAY; the header is malformed there (RFC 9113 §8.2.2).
        response.headers_mut().remove(CONNECTION);
    }
    observe::record(&Finished {
        method: &asked.method,
        route: trail.endpoint.map(|endpoint| &endpoint.metrics),
        status: response.status(),
        duration: started.elapsed(),
        request_id: &asked.request_id,
        node: &app.settings.node_name,
    });
    if asked.method == Method::HEAD { headers::without_body(response) } else { response }
}

/// One try to answer it on this node.
pub(crate) async fn attempt<'a, B: Stream>(
    app: &'a Arc<App>,
    asked: &Asked,
    body: &mut Payload<B>,
    trail: &mut Trail<'a>,
    deadline: Instant,
) -> Result<Response, Route> {
    (trail.tenant, trail.named, trail.handled) = Default::default();
    let answered = guard(app, deadline, handle(app, asked, body, trail)).await;
    let mut response = match answered {
        Ok(response) => response,
        Err(error) => match error.route() {
            Some(route) => return Err(route),
            None => pages::told(trail.endpoint, asked, error),
        },
    };
    dress(app, asked, trail, &mut response);
    if cors::origin(&asked.headers).is_some() {
        match cors::judge(app, asked, trail, &mut response).await {
            // What a handler has done is not done again for the sake of this.
            Err(_) if trail.handled => cors::judge_at_last(app, asked, &mut response),
            judged => judged?,
        }
    }
    Ok(response)
}

/// Which node answers, and what is left of the limit that the request was counted in.
pub(crate) fn dress(app: &App, asked: &Asked, trail: &Trail<'_>, response: &mut Response) {
    let uncounted = || app.limits.peek(&anonymous(Network::of(asked.client)));
    let of_address = response.extensions_mut().remove::<Shown>();
    let shown = nearest(trail.counted.unwrap_or_else(uncounted), of_address);
    let headers = response.headers_mut();
    headers.insert(headers::NODE, app.node.clone());
    headers::rate_limit(headers, shown);
}

async fn handle<'a, B: Stream>(
    app: &'a Arc<App>,
    asked: &Asked,
    body: &mut Payload<B>,
    trail: &mut Trail<'a>,
) -> Result<Response, Error> {
    head::check(app, asked, trail.version)?;
    if asked.method == Method::OPTIONS {
        return options(app, asked);
    }
    let (endpoint, parameters) = app.find(asked.door, &asked.method, asked.uri.path())?;
    trail.endpoint = Some(endpoint);

    let claimed = Claimed { headers: &asked.headers, door: asked.door };
    let resolved =
        caller::resolve(app, endpoint.access, claimed, trail.vouched, trail.admitted).await;
    count(app, endpoint, asked, &resolved, trail)?;
    let caller = resolved?;
    trail.tenant = caller.tenant.clone();
    trail.vouched.operator |= matches!(caller.credential, Credential::Operator);
    access::check(endpoint.access, &caller)?;

    let whole = if endpoint.takes_body {
        body.whole(endpoint.media_type, &asked.headers, &app.settings).await?
    } else {
        Bytes::new()
    };
    let call = Call {
        app: Arc::clone(app),
        idempotency: idempotency::of(asked, endpoint, &caller, &whole)?,
        operation: asked.operation,
        caller,
        is_head: asked.method == Method::HEAD,
        query: asked.uri.query().unwrap_or_default().to_owned(),
        headers: asked.headers.clone(),
        parameters,
        client: asked.client,
        request_id: asked.request_id.clone(),
        pieces: Mutex::default(),
        named: trail.named.clone(),
    };
    (trail.admitted, trail.handled) = (true, true);
    if endpoint.takes_lines {
        handle_lines(endpoint, call, body).await
    } else {
        endpoint.handle(call, whole).await
    }
}

/// Lets the handler read the body while it arrives.
async fn handle_lines<B: Stream>(
    endpoint: &Endpoint,
    call: Call,
    body: &mut Payload<B>,
) -> Result<Response, Error> {
    let (sender, pieces) = mpsc::channel(PIECES);
    *call.pieces.lock() = Some(pieces);
    let (app, headers) = (call.app.clone(), call.headers.clone());
    let mut arriving = pin!(body.hand_over(&headers, &app.settings, sender));
    let mut handling = endpoint.handle(call, Bytes::new());
    tokio::select! {
        answer = &mut handling => answer,
        () = &mut arriving => handling.await,
    }
}

/// How long a request may take.
fn patience(app: &App, asked: &Asked) -> Duration {
    let endpoint = app.find(asked.door, &asked.method, asked.uri.path());
    let timeouts = &app.settings.timeouts;
    match endpoint {
        Ok((endpoint, _)) if endpoint.takes_lines => timeouts.import,
        _ => timeouts.request,
    }
}

/// Counts a request, unless another node has. Whoever could not be recognised is counted too:
/// recognising costs the most. What has to go elsewhere is counted there.
fn count(
    app: &App,
    endpoint: &Endpoint,
    asked: &Asked,
    resolved: &Result<Caller, Error>,
    trail: &mut Trail<'_>,
) -> Result<(), Error> {
    if trail.counted.is_some() {
        return Ok(());
    }
    let network = Network::of(asked.client);
    let who = match resolved {
        Ok(caller) => {
            let of_a_tenant = !matches!(endpoint.access, Access::Service | Access::Operator);
            if caller.tenant.is_none() && of_a_tenant && endpoint.limit != Limit::Free {
                // Its bucket is the default tenant's, and is kept by the node that leads that.
                app.directory()?.led_here(TenantNumber::DEFAULT)?;
            }
            caller.who(network)
        }
        Err(error) => match error.route() {
            Some(_) => return Ok(()),
            None => anonymous(network),
        },
    };
    let (shown, taken) = app.limits.take(endpoint.limit, &who);
    trail.counted = Some(shown);
    taken
}

fn options(app: &App, asked: &Asked) -> Result<Response, Error> {
    if asked.uri.path() == "*" {
        // The server as a whole (RFC 9110 §9.3.7).
        return Ok(cors::options(&HeaderValue::from_static(head::METHODS), false));
    }
    let allow = app.allow(asked.door, asked.uri.path()).ok_or_else(Error::not_found)?;
    Ok(cors::options(&allow, cors::is_preflight(&asked.method, &asked.headers)))
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

fn finish(app: &App, asked: &Asked, response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, asked.request_id.clone());
    headers::secure(headers, app.https);
    cors::vary(headers);
}
