//! How people reach the cluster: through every node in turn that looked ready lately, as behind a load
//! balancer, no faster than the demo's rate, and once more through another node where an answer fails
//! to come.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::tally::Tally;
use crate::failure::Failure;
use crate::offline::failed;

/// How long anybody waits for an answer; a new leader is found well within it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// `X-API-Key`.
    Key(&'a str),
    /// `Authorization: Bearer`.
    Bearer(&'a str),
}

/// What is asked.
#[derive(Debug)]
pub struct Request<'a> {
    /// A POST gets an `Idempotency-Key`.
    pub method: Method,
    /// Beginning with a slash.
    pub path: &'a str,
    /// Who asks.
    pub credential: Credential<'a>,
    /// Sent as JSON, unless it is null.
    pub body: Value,
}

/// What came of a request.
#[derive(Debug)]
pub enum Outcome {
    /// `data` of the answer.
    Yes(Value),
    /// Status and code of a refusal.
    No(StatusCode, String),
    /// No answer, or that there is none now: nobody knows what has happened.
    Unknown,
}

/// One node, as clients see it.
struct Door {
    base: String,
    ready: AtomicBool,
}

/// All people share one.
pub struct Client {
    http: reqwest::Client,
    doors: Vec<Door>,
    turn: AtomicUsize,
    keys: AtomicU64,
    pace: Mutex<Interval>,
    /// What has been counted.
    pub tally: Tally,
}

impl Client {
    /// A client of the nodes at these base URLs, for so many requests a second at most.
    pub fn new(bases: impl Iterator<Item = String>, rate: u32) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let mut pace = interval(Duration::from_secs(1) / rate);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            http: http.map_err(failed)?,
            doors: bases.map(|base| Door { base, ready: AtomicBool::new(false) }).collect(),
            turn: AtomicUsize::new(0),
            keys: AtomicU64::new(0),
            pace: Mutex::new(pace),
            tally: Tally::default(),
        })
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.doors.len()
    }

    /// Remembers whether a node is ready.
    pub fn mark(&self, node: usize, ready: bool) {
        self.doors[node].ready.store(ready, Ordering::Relaxed);
    }

    /// Whether a node looked ready lately.
    pub fn is_ready(&self, node: usize) -> bool {
        self.doors[node].ready.load(Ordering::Relaxed)
    }

    /// A request to one node, neither paced nor counted.
    pub fn request(&self, node: usize, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.doors[node].base))
    }

    /// Asks a node other than `but`, and once more another one, under the same `Idempotency-Key`, when
    /// there is no answer. Gives the node that answered last.
    pub async fn ask(&self, request: &Request<'_>, but: Option<usize>) -> (usize, Outcome) {
        let key = format!("demo-{}", self.keys.fetch_add(1, Ordering::Relaxed));
        let first = self.choose(but);
        match self.ask_at(first, request, &key).await {
            Outcome::Unknown => {
                let second = self.choose(but.or(Some(first)));
                (second, self.ask_at(second, request, &key).await)
            }
            answer => (first, answer),
        }
    }

    /// The next node in turn that is ready and not `but`; if there is none, the next that is not `but`.
    fn choose(&self, but: Option<usize>) -> usize {
        let (turn, count) = (self.turn.fetch_add(1, Ordering::Relaxed), self.doors.len());
        let mut others = (0..count).map(|step| turn.wrapping_add(step) % count);
        let next = others.clone().find(|node| Some(*node) != but);
        let ready = others.find(|node| Some(*node) != but && self.is_ready(*node));
        ready.or(next).unwrap_or_default()
    }

    async fn ask_at(&self, node: usize, request: &Request<'_>, key: &str) -> Outcome {
        self.pace.lock().await.tick().await;
        let mut sent = self.request(node, request.method.clone(), request.path);
        sent = match request.credential {
            Credential::Key(key) => sent.header("X-API-Key", key),
            Credential::Bearer(token) => sent.bearer_auth(token),
        };
        if request.method == Method::POST {
            sent = sent.header("Idempotency-Key", key);
        }
        if !request.body.is_null() {
            sent = sent.json(&request.body);
        }
        let outcome = outcome(sent).await.unwrap_or(Outcome::Unknown);
        self.tally.asked(!matches!(outcome, Outcome::Unknown));
        outcome
    }
}

async fn outcome(request: RequestBuilder) -> reqwest::Result<Outcome> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Ok(Outcome::Unknown);
    }
    let mut body: Value = response.json().await?;
    Ok(match status.is_success() {
        true => Outcome::Yes(body["data"].take()),
        false => Outcome::No(status, body["error"]["code"].as_str().unwrap_or_default().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn people_ask_the_nodes_in_turn_that_look_ready() {
        let bases = ["a", "b", "c"].map(str::to_owned).into_iter();
        let client = Client::new(bases, 1000).unwrap();
        for node in [0, 2] {
            client.mark(node, true);
        }
        let chosen: Vec<_> = (0..4).map(|_| client.choose(None)).collect();
        assert!(chosen.contains(&0) && chosen.contains(&2) && !chosen.contains(&1), "{chosen:?}");
        assert!((0..4).all(|_| client.choose(Some(0)) == 2));
        client.mark(2, false);
        assert!((0..4).all(|_| client.choose(Some(0)) != 0), "nobody is asked about himself");
    }
}
