//! What operators see of requests: one log line and a few metrics each. Routes appear as declared,
//! never as sent: a path or a query may hold a token.

use std::sync::OnceLock;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use metrics::{Counter, Gauge, Histogram, Label};

/// The statuses that get a counter of their own per route; others are counted by their class.
const STATUSES: [u16; 18] =
    [200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 423, 429, 500, 503];

/// The metrics of one route, looked up once and then held: looking up costs more than counting.
pub struct RouteMetrics {
    /// None where requests of any method are counted.
    method: Option<Method>,
    route: &'static str,
    duration: OnceLock<Histogram>,
    requests: [OnceLock<Counter>; STATUSES.len()],
}

impl RouteMetrics {
    /// The metrics of a route, registered when first used.
    pub const fn new(method: Option<Method>, route: &'static str) -> Self {
        let requests = [const { OnceLock::new() }; STATUSES.len()];
        Self { method, route, duration: OnceLock::new(), requests }
    }

    fn record(&self, status: StatusCode, duration: Duration) {
        let known = STATUSES.iter().position(|known| *known == status.as_u16());
        match known {
            Some(index) => self.requests[index].get_or_init(|| self.counter(status)).increment(1),
            None => self.counter(status).increment(1),
        }
        let register = || metrics::histogram!("janua_http_request_seconds", self.labels());
        self.duration.get_or_init(register).record(duration);
    }

    fn counter(&self, status: StatusCode) -> Counter {
        let mut labels = self.labels();
        labels.push(Label::new("status", status.as_str().to_owned()));
        metrics::counter!("janua_http_requests_total", labels)
    }

    fn labels(&self) -> Vec<Label> {
        let method = self.method.as_ref();
        let method = method.map(|method| Label::new("method", method.as_str().to_owned()));
        method.into_iter().chain([Label::new("route", self.route)]).collect()
    }
}

/// Requests that match no endpoint.
static UNMATCHED: RouteMetrics = RouteMetrics::new(None, "unmatched");

/// What a finished request leaves behind.
pub struct Finished<'a> {
    /// The method, as sent.
    pub method: &'a Method,
    /// The route, if it matched one.
    pub route: Option<&'a RouteMetrics>,
    /// What was answered.
    pub status: StatusCode,
    /// How long it took.
    pub duration: Duration,
    /// The request's id.
    pub request_id: &'a HeaderValue,
    /// The node that answered.
    pub node: &'a str,
}

/// Counts a request and writes its log line: what went wrong at `info`, the rest at `debug`.
pub fn record(finished: &Finished<'_>) {
    let metrics = finished.route.unwrap_or(&UNMATCHED);
    metrics.record(finished.status, finished.duration);
    let method = finished.method.as_str();
    let status = finished.status.as_u16();
    let duration_ms = finished.duration.as_micros() as f64 / 1000.0;
    let request_id = finished.request_id.to_str().unwrap_or_default();
    let (route, node) = (metrics.route, finished.node);
    if status >= 400 {
        tracing::info!(method, route, status, duration_ms, request_id, node, "request");
    } else {
        tracing::debug!(method, route, status, duration_ms, request_id, node, "request");
    }
}

/// One more in a gauge, until dropped: a client that goes away leaves nothing behind.
pub struct Present(Gauge);

impl Present {
    /// Raises the gauge.
    pub fn in_gauge(gauge: &Gauge) -> Self {
        gauge.increment(1);
        Self(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
