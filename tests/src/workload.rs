//! People at work on a cluster while it is in trouble, and what they were told.
//!
//! Each person has a profile that is written and read, and a session that is used, refreshed and at
//! some point revoked, through whichever node chance names. Nobody waits for the trouble to end: an
//! answer that does not come in time counts as lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::chance::Chance;
use crate::history::Register;
use crate::node::{Api, send};
use crate::people::{PASSWORD, Session, User};
use crate::response::Response;

/// How long anybody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The value of a session's register once it is revoked.
const REVOKED: u64 = 1;

/// Somebody at work.
#[derive(Clone)]
struct Person {
    user: User,
    session: Session,
    session_id: String,
    profile: Register,
    validity: Register,
}

/// Everybody at work, until told to stop.
pub struct Workload {
    people: Vec<Person>,
    tasks: JoinSet<Told>,
    stop: Arc<AtomicBool>,
}

/// What one task was told, beside the registers.
#[derive(Default)]
struct Told {
    /// Addresses whose registration was answered, with the key that it was asked under.
    registered: Vec<String>,
    /// What broke a promise.
    broken: Vec<String>,
}

/// What all were told.
pub struct Outcome {
    people: Vec<Person>,
    registered: Vec<String>,
    broken: Vec<String>,
}

impl Workload {
    /// `count` people at work through these nodes, as the seed says.
    pub async fn start(nodes: &[Api], seed: u64, count: usize) -> Self {
        let mut people = Vec::new();
        for number in 0..count {
            let user = User::registers(nodes[0].clone(), &format!("w{seed}-{number}")).await;
            let session = user.logs_in().await;
            let session_id = session.id().await;
            let (profile, validity) = (Register::default(), Register::default());
            people.push(Person { user, session, session_id, profile, validity });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (number, person) in people.iter().enumerate() {
            for task in 0..4 {
                let chance = Chance::from_seed(seed ^ ((number as u64) << 32) ^ (task << 8));
                let worker = Worker {
                    person: person.clone(),
                    nodes: nodes.iter().map(Api::over_new_connections).collect(),
                    chance,
                    stop: stop.clone(),
                    told: Told::default(),
                };
                match task {
                    0 => tasks.spawn(worker.refreshes()),
                    1 => tasks.spawn(worker.registers(format!("r{seed}-{number}"))),
                    _ => tasks.spawn(worker.reads_and_writes(task)),
                };
            }
        }
        Self { people, tasks, stop }
    }

    /// Some of them revoke their sessions now.
    pub async fn revoke_some(&mut self, nodes: &[Api], chance: &mut Chance) {
        for person in self.people.clone() {
            if chance.below(2) == 0 {
                let node = nodes[chance.below(nodes.len() as u64) as usize].over_new_connections();
                self.tasks.spawn(async move {
                    person.revokes(&node).await;
                    Told::default()
                });
            }
        }
    }

    /// Lets everybody finish what they are at.
    pub async fn ends(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let told = self.tasks.join_all().await;
        let (mut registered, mut broken) = (vec![], vec![]);
        for told in told {
            registered.extend(told.registered);
            broken.extend(told.broken);
        }
        Outcome { people: self.people, registered, broken }
    }
}

impl Outcome {
    /// How many answers there were.
    pub fn answers(&self) -> usize {
        let answers = |person: &Person| person.profile.answers() + person.validity.answers();
        self.registered.len() + self.people.iter().map(answers).sum::<usize>()
    }

    /// Holds a healed cluster to everything that was answered.
    pub async fn is_kept(&self, nodes: &[Api]) {
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
        for (number, email) in self.registered.iter().enumerate() {
            let node = &nodes[number % nodes.len()];
            let login = node.login(email, PASSWORD).await;
            assert_eq!(login.status, 200, "{email} was registered and is lost: {}", login.text);
        }
        for person in &self.people {
            for node in nodes {
                person.looks(node).await;
            }
            for (what, register) in [("profile", &person.profile), ("session", &person.validity)] {
                assert!(
                    register.is_linearizable(),
                    "no truth explains the {what} of {}:\n{}",
                    person.user.email,
                    register.told()
                );
            }
        }
    }
}

impl Person {
    fn request(&self, node: &Api, method: Method, path: &str) -> reqwest::RequestBuilder {
        node.request(method, path).bearer_auth(&self.session.access_token).timeout(PATIENCE)
    }

    /// Reads the profile with the session.
    async fn looks(&self, node: &Api) {
        let (value, valid) = (self.profile.reads(), self.validity.reads());
        let Ok(answer) = send(self.request(node, Method::GET, "/users/me")).await else { return };
        match answer.status {
            200 => {
                valid.was(0);
                value.was(number(answer.data()["firstName"].as_str()));
            }
            401 => valid.was(REVOKED),
            _ => {}
        }
    }

    /// Writes the profile with the session.
    async fn notes(&self, node: &Api, value: u64) {
        let (written, valid) = (self.profile.writes(value), self.validity.reads());
        let body = json!({ "firstName": format!("v{value}") });
        let request = self.request(node, Method::PUT, "/users/me").json(&body);
        let Ok(answer) = send(request).await else { return };
        match answer.status {
            200 => {
                valid.was(0);
                written.is_done();
            }
            401 => {
                valid.was(REVOKED);
                written.is_refused();
            }
            _ => {}
        }
    }

    /// Ends the session from the other one.
    async fn revokes(&self, node: &Api) {
        let revoked = self.validity.writes(REVOKED);
        let path = format!("/sessions/{}", self.session_id);
        let request = node.request(Method::DELETE, &path);
        let request = request.bearer_auth(&self.user.session.access_token).timeout(PATIENCE);
        let Ok(answer) = send(request).await else { return };
        if answer.status == 200 {
            revoked.is_done();
        }
    }
}

/// One task of a person.
struct Worker {
    person: Person,
    nodes: Vec<Api>,
    chance: Chance,
    stop: Arc<AtomicBool>,
    told: Told,
}

impl Worker {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn node(&mut self) -> Api {
        self.nodes[self.chance.below(self.nodes.len() as u64) as usize].clone()
    }

    async fn breathes(&mut self) {
        // Pace, not a wait for anything: a history of thousands of operations could not be judged.
        tokio::time::sleep(Duration::from_millis(20 + self.chance.below(60))).await;
    }

    async fn reads_and_writes(mut self, task: u64) -> Told {
        for turn in 1.. {
            if !self.goes_on() {
                break;
            }
            let node = self.node();
            match self.chance.below(3) {
                0 => self.person.notes(&node, task * 1_000_000 + turn).await,
                _ => self.person.looks(&node).await,
            }
            self.breathes().await;
        }
        self.told
    }

    /// Spends each refresh token twice at once, through two nodes: there is one successor.
    async fn refreshes(mut self) -> Told {
        let mut token = self.person.user.session.refresh_token.clone();
        while self.goes_on() {
            let (one, other) = (self.node(), self.node());
            let (one, other) = tokio::join!(refresh(&one, &token), refresh(&other, &token));
            let successors: Vec<_> = [&one, &other]
                .into_iter()
                .flatten()
                .filter(|answer| answer.status == 200)
                .map(|answer| answer.text_of("refreshToken"))
                .collect();
            if successors.windows(2).any(|pair| pair[0] != pair[1]) {
                self.told.broken.push(format!("one refresh token had two successors: {token}"));
            }
            match successors.into_iter().next() {
                Some(successor) => token = successor,
                // Whether it was spent is not known, and after ten seconds asking would tell thief
                // from owner: this session is left alone.
                None => break,
            }
            self.breathes().await;
        }
        self.told
    }

    /// Registers people, again and again under one key until that is answered.
    async fn registers(mut self, name: String) -> Told {
        for turn in 0.. {
            let email = format!("{name}-{turn}@example.com");
            while self.goes_on() {
                let node = self.node();
                let request = node.request(Method::POST, "/auth/register").timeout(PATIENCE);
                let body = json!({ "email": email, "password": PASSWORD });
                let request = request.header("Idempotency-Key", &email).json(&body);
                match send(request).await {
                    Ok(answer) if answer.status == 201 => {
                        self.told.registered.push(email.clone());
                        break;
                    }
                    Err(_) => {}
                    Ok(answer) if [503, 429].contains(&answer.status) => {}
                    Ok(answer) => {
                        let broken = format!("registering {email} was answered {}", answer.text);
                        self.told.broken.push(broken);
                        break;
                    }
                }
                self.breathes().await;
            }
            if !self.goes_on() {
                break;
            }
            self.breathes().await;
        }
        self.told
    }
}

async fn refresh(node: &Api, token: &str) -> Option<Response> {
    let request = node.request(Method::POST, "/auth/refresh").timeout(PATIENCE);
    send(request.json(&json!({ "refreshToken": token }))).await.ok()
}

/// The number in a name such as `v12`; 0 where there is none.
fn number(name: Option<&str>) -> u64 {
    name.and_then(|name| name.strip_prefix('v')?.parse().ok()).unwrap_or_default()
}
