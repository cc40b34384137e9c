//! Clients at work on a cluster that is being changed. Each request goes to one node and, if that does
//! not answer it, once more to another; a request that fails twice has failed.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::node::{Api, Node, send};
use crate::people::{Session, User};
use crate::response::Response;

/// How long anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between the requests of one client.
const PACE: Duration = Duration::from_millis(10);

/// Everybody at work.
pub struct Clients {
    office: Arc<Office>,
    tasks: JoinSet<()>,
}

/// What they share.
#[derive(Default)]
struct Office {
    nodes: Mutex<Vec<Api>>,
    is_over: AtomicBool,
    answers: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Office {
    fn opens(&self, node: &Node) {
        self.nodes.lock().expect("no holder panics").push(node.api.over_new_connections());
    }
}

impl Clients {
    /// So many clients, at these nodes.
    pub async fn of(nodes: &[Node], count: u64) -> Self {
        let office = Arc::new(Office::default());
        nodes.iter().for_each(|node| office.opens(node));
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let user = nodes[0].register(&format!("client-{number}")).await;
            let (office, chance) = (office.clone(), Chance::from_seed(number));
            tasks.spawn(Client { office, user, chance }.works());
        }
        Self { office, tasks }
    }

    /// A node that has joined.
    pub fn may_use(&self, node: &Node) {
        self.office.opens(node);
    }

    /// A node that has left.
    pub fn leave_alone(&self, node: &Node) {
        let mut nodes = self.office.nodes.lock().expect("no holder panics");
        nodes.retain(|known| known.base() != node.api.base());
    }

    /// Lets them finish; nothing may have failed.
    pub async fn are_content(self) {
        self.office.is_over.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
        let failures = self.office.failures.lock().expect("no holder panics").clone();
        let answers = self.office.answers.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "{} of {answers} failed: {failures:#?}", failures.len());
        assert!(answers > 20, "only {answers} answers");
    }
}

struct Client {
    office: Arc<Office>,
    user: User,
    chance: Chance,
}

impl Client {
    async fn works(mut self) {
        while !self.office.is_over.load(Ordering::Relaxed) {
            let Session { access_token, .. } = self.user.session.clone();
            let (email, password) = (self.user.email.clone(), self.user.password.clone());
            let number = self.chance.below(1_000_000);
            match self.chance.below(3) {
                0 => {
                    let body = json!({ "firstName": format!("v{number}") });
                    let write = |api: &Api| {
                        let request = api.request(Method::PUT, "/users/me");
                        request.bearer_auth(&access_token).json(&body)
                    };
                    self.asks("write", write).await;
                }
                1 => {
                    let body = json!({ "email": email, "password": password });
                    let log_in = |api: &Api| api.request(Method::POST, "/auth/login").json(&body);
                    // A user has at most 200 sessions: the oldest of more ends, so it moves to the new one.
                    if let Some(answer) = self.asks("log in", log_in).await {
                        self.user.session = Session::of(&self.user.api, answer.data());
                    }
                }
                _ => {
                    let read = |api: &Api| {
                        api.request(Method::GET, "/users/me").bearer_auth(&access_token)
                    };
                    self.asks("read", read).await;
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// The answer to a request, which is made a second time at another node if need be.
    async fn asks(
        &mut self,
        what: &str,
        request: impl Fn(&Api) -> RequestBuilder,
    ) -> Option<Response> {
        let nodes = self.office.nodes.lock().expect("no holder panics").clone();
        let first = self.chance.below(nodes.len() as u64) as usize;
        let second = (first + 1 + self.chance.below(nodes.len() as u64 - 1) as usize) % nodes.len();
        let mut told = Vec::new();
        for node in [first, second] {
            match send(request(&nodes[node]).timeout(PATIENCE)).await {
                Ok(answer) if answer.status == 200 => {
                    self.office.answers.fetch_add(1, Ordering::Relaxed);
                    return Some(answer);
                }
                Ok(answer) => told.push(format!("{}: {}", answer.status, answer.text)),
                Err(error) => told.push(format!("{error:?}")),
            }
        }
        let failure = format!("{what}: {}", told.join(" / "));
        self.office.failures.lock().expect("no holder panics").push(failure);
        None
    }
}
