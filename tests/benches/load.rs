//! The load generator: clients on raw keep-alive connections, each with a connection of its own and
//! one request in flight, and what they measured.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::machine::cpu_of;

/// An answer, as a client sees it.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// One client: what it sends next, and what it makes of the answer.
pub trait Client: Send + 'static {
    /// The next request; none when it has nothing more to ask.
    fn next(&mut self) -> Option<Request<Full<Bytes>>>;

    /// Whether the answer was a good one.
    fn answered(&mut self, answer: Answer) -> bool;
}

/// What a load came to.
pub struct Measured {
    /// Good answers.
    pub good: u64,
    /// Others.
    pub bad: u64,
    /// How long the load lasted.
    pub elapsed: Duration,
    /// Microseconds from sending to the end of the answer, of good answers.
    pub latency: Histogram<u64>,
    /// The same of the others.
    pub bad_latency: Histogram<u64>,
    /// CPU time that the server used.
    pub cpu: Duration,
}

impl Measured {
    /// Good answers a second.
    pub fn rate(&self) -> f64 {
        self.good as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of the server's CPU for each answer.
    pub fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.good + self.bad).max(1) as f64
    }

    /// A quantile of the latency of good answers, in milliseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// For the table.
    pub fn summary(&self) -> String {
        format!(
            "{:.0}/s, {:.0} µs CPU each, p50 {:.2} ms, p99 {:.2} ms",
            self.rate(),
            self.cpu_each(),
            self.quantile(0.5),
            self.quantile(0.99)
        )
    }
}

/// Counts of one client.
struct Counts {
    good: u64,
    bad: u64,
    latency: Histogram<u64>,
    bad_latency: Histogram<u64>,
}

impl Counts {
    fn new() -> Self {
        Self { good: 0, bad: 0, latency: histogram(), bad_latency: histogram() }
    }

    fn record(&mut self, good: bool, took: Duration) {
        let micros = took.as_micros() as u64;
        let (count, histogram) = match good {
            true => (&mut self.good, &mut self.latency),
            false => (&mut self.bad, &mut self.bad_latency),
        };
        *count += 1;
        histogram.saturating_record(micros);
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).expect("the bounds are in order")
}

/// When a client sends.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As soon as its last request is answered.
    Flat,
    /// At fixed times, this far apart, however long answers take.
    Every(Duration),
}

/// Where a load goes, and whose CPU it costs.
pub struct Target {
    /// Addresses; each client has one of them, in turn.
    pub addresses: Vec<String>,
    /// The processes behind them.
    pub processes: Vec<u32>,
}

impl Target {
    fn cpu(&self) -> Duration {
        self.processes.iter().map(|process| cpu_of(*process)).sum()
    }
}

/// Runs the clients against a server until the time is over or they have nothing more to ask; they
/// are given back for a next round.
pub async fn run<C: Client>(
    address: &str,
    process: u32,
    clients: Vec<C>,
    time: Duration,
    pace: Pace,
) -> (Measured, Vec<C>) {
    let target = Target { addresses: vec![address.into()], processes: vec![process] };
    run_on(&target, clients, time, pace).await
}

/// The same against several servers.
pub async fn run_on<C: Client>(
    target: &Target,
    clients: Vec<C>,
    time: Duration,
    pace: Pace,
) -> (Measured, Vec<C>) {
    let mut connected = Vec::new();
    for (client, address) in clients.into_iter().zip(target.addresses.iter().cycle()) {
        connected.push((connect(address).await, client));
    }
    let (before, begun) = (target.cpu(), Instant::now());
    let mut tasks = JoinSet::new();
    let count = connected.len() as u32;
    for (number, (connection, client)) in connected.into_iter().enumerate() {
        let offset = match pace {
            Pace::Flat => Duration::ZERO,
            Pace::Every(apart) => apart * number as u32 / count,
        };
        tasks.spawn(drive(connection, client, begun, time, pace, offset));
    }
    let results = tasks.join_all().await;
    let mut measured = Measured {
        good: 0,
        bad: 0,
        elapsed: begun.elapsed(),
        latency: histogram(),
        bad_latency: histogram(),
        cpu: target.cpu().saturating_sub(before),
    };
    let mut clients = Vec::new();
    for (counts, client) in results {
        measured.good += counts.good;
        measured.bad += counts.bad;
        measured.latency += counts.latency;
        measured.bad_latency += counts.bad_latency;
        clients.push(client);
    }
    (measured, clients)
}

async fn drive<C: Client>(
    mut connection: SendRequest<Full<Bytes>>,
    mut client: C,
    begun: Instant,
    time: Duration,
    pace: Pace,
    offset: Duration,
) -> (Counts, C) {
    let mut counts = Counts::new();
    let mut due = begun + offset;
    while begun.elapsed() < time {
        if let Pace::Every(apart) = pace {
            tokio::time::sleep_until(due.into()).await;
            due += apart;
        }
        let Some(request) = client.next() else { break };
        let sent = Instant::now();
        let answer = send(&mut connection, request).await;
        counts.record(client.answered(answer), sent.elapsed());
    }
    (counts, client)
}

async fn connect(address: &str) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("the server accepts");
    stream.set_nodelay(true).expect("a socket option");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    // Ends with its sender.
    tokio::runtime::Handle::current().spawn(connection);
    sender
}

async fn send(connection: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Answer {
    connection.ready().await.expect("the connection is kept alive");
    let response = connection.send_request(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole answer").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A `POST` of JSON.
pub fn post(path: &str, body: String) -> Request<Full<Bytes>> {
    let request = Request::builder().method(Method::POST).uri(path);
    let request = request.header(HOST, "localhost").header(CONTENT_TYPE, "application/json");
    request.body(Full::from(body)).expect("a request")
}

/// A `GET` with a bearer token.
pub fn get(path: &str, token: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(Method::GET).uri(path).header(HOST, "localhost");
    let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    request.body(Full::default()).expect("a request")
}
