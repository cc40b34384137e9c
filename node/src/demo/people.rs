//! People at work on the cluster: they register, log in, refresh, read and log out, in several tenants
//! and through all nodes, and hold every node to what another has acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use janua_storage::secret::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::{Client, Credential, Outcome, Request};
use super::facts::Fact;
use crate::failure::Failure;
use crate::offline::failed;

/// Over how many tenants people are spread, and so over how many shards.
const TENANTS: usize = 6;

/// How often a session is refreshed before it ends.
const REFRESHES: usize = 4;

const PASSWORD: &str = "Seven-quiet-rivers-82!";

/// Where people have their accounts.
#[derive(Debug)]
pub struct Tenant {
    publishable_key: String,
    /// What its server reads users with.
    pub secret_key: String,
}

/// What all people share.
pub struct World {
    /// How they reach the cluster.
    pub client: Client,
    ending: AtomicBool,
}

impl World {
    /// A world in which nobody works yet.
    pub fn new(client: Client) -> Self {
        Self { client, ending: AtomicBool::new(false) }
    }

    /// Nothing more is begun; what was acknowledged is still checked.
    pub fn ends(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
}

/// Has so many people work until the world ends and all that was acknowledged has been checked.
pub async fn work(world: Arc<World>, operator: Secret, count: usize) -> Result<(), Failure> {
    let tenants = make_tenants(&world, &operator).await?;
    let mut people = JoinSet::new();
    for (number, tenant) in (0..count).zip(tenants.iter().cycle()) {
        let person = Person { number, tenant: tenant.clone(), world: world.clone() };
        people.spawn(person.works());
    }
    people.join_all().await;
    Ok(())
}

async fn make_tenants(world: &World, operator: &Secret) -> Result<Vec<Arc<Tenant>>, Failure> {
    let mut tenants = Vec::new();
    // One of unknown outcome may have been made: the next try takes the next name.
    for number in 1.. {
        if tenants.len() == TENANTS || world.is_ending() {
            break;
        }
        let request = Request {
            method: Method::POST,
            path: "/admin/tenants",
            credential: Credential::Bearer(operator.expose()),
            body: json!({ "slug": format!("demo-{number}") }),
        };
        match world.client.ask(&request, None).await.1 {
            Outcome::Yes(made) => tenants.push(Arc::new(Tenant {
                publishable_key: text(&made, "publishableKey"),
                secret_key: text(&made, "secretKey"),
            })),
            Outcome::No(status, code) => {
                return Err(failed(format!("a tenant was refused: {status} {code}")));
            }
            Outcome::Unknown => {}
        }
    }
    Ok(tenants)
}

/// Somebody, with one account after the other.
struct Person {
    number: usize,
    tenant: Arc<Tenant>,
    world: Arc<World>,
}

/// A session's present tokens.
struct Tokens {
    access: String,
    refresh: String,
}

/// One account, and what was acknowledged of it and is to be checked, with who has acknowledged it.
struct Account<'a> {
    owner: &'a Person,
    email: String,
    facts: Vec<(usize, Fact)>,
}

impl Person {
    async fn works(self) {
        for life in 0.. {
            if self.world.is_ending() {
                break;
            }
            let email = format!("person-{}-{life}@example.com", self.number);
            let mut account = Account { owner: &self, email, facts: Vec::new() };
            // None: an outcome is unknown, and what would follow from it is not begun.
            let _ = account.is_used().await;
            account.is_known_elsewhere().await;
        }
    }
}

impl Account<'_> {
    /// A registration, a login, some refreshes and reads, and the end of the session.
    async fn is_used(&mut self) -> Option<()> {
        self.registers().await?;
        let mut session = self.logs_in().await?;
        for _ in 0..REFRESHES {
            self.reads(&session).await;
            session = self.refreshes(&session).await?;
        }
        // While its session is good: later it is good no more.
        self.is_known_elsewhere().await;
        self.logs_out(session).await
    }

    async fn registers(&mut self) -> Option<()> {
        let body = json!({ "email": self.email, "password": PASSWORD });
        let (node, made) = self.writes("/auth/register", body).await?;
        let fact = Fact::Account { id: text(&made["user"], "id"), email: self.email.clone() };
        self.facts.push((node, fact));
        Some(())
    }

    async fn logs_in(&mut self) -> Option<Tokens> {
        let body = json!({ "email": self.email, "password": PASSWORD });
        let (node, made) = self.writes("/auth/login", body).await?;
        Some(self.is_given(node, &made["session"]))
    }

    async fn refreshes(&mut self, session: &Tokens) -> Option<Tokens> {
        let body = json!({ "refreshToken": session.refresh });
        let (node, made) = self.writes("/auth/refresh", body).await?;
        Some(self.is_given(node, &made))
    }

    async fn logs_out(&mut self, session: Tokens) -> Option<()> {
        let body = json!({ "refreshToken": session.refresh });
        let (node, _) = self.writes("/auth/logout", body).await?;
        self.facts.push((node, Fact::Ended { token: session.access }));
        Some(())
    }

    fn is_given(&mut self, node: usize, tokens: &Value) -> Tokens {
        let access = text(tokens, "accessToken");
        self.facts.push((node, Fact::Alive { token: access.clone() }));
        Tokens { access, refresh: text(tokens, "refreshToken") }
    }

    async fn reads(&self, session: &Tokens) {
        let request = Request {
            method: Method::GET,
            path: "/sessions",
            credential: Credential::Bearer(&session.access),
            body: Value::Null,
        };
        // What it should say, the checks say.
        drop(self.owner.world.client.ask(&request, None).await);
    }

    /// Asks for a write that the cluster has every reason to make: a refusal means that it has
    /// forgotten what it acknowledged before. Gives the node that acknowledged it, and its data.
    async fn writes(&self, path: &str, body: Value) -> Option<(usize, Value)> {
        let Person { tenant, world, .. } = self.owner;
        if world.is_ending() {
            return None;
        }
        let credential = Credential::Key(&tenant.publishable_key);
        let request = Request { method: Method::POST, path, credential, body };
        match world.client.ask(&request, None).await {
            (node, Outcome::Yes(data)) => {
                world.client.tally.acknowledged();
                Some((node, data))
            }
            (_, Outcome::No(status, code)) => {
                world.client.tally.lost(format!("{path} of {}: {status} {code}", self.email));
                None
            }
            (_, Outcome::Unknown) => None,
        }
    }

    /// Asks other nodes about all that was acknowledged, again and again until they answer.
    async fn is_known_elsewhere(&mut self) {
        let Person { tenant, world, .. } = self.owner;
        for (node, fact) in self.facts.drain(..) {
            let mut path = String::new();
            let question = fact.question(tenant, &mut path);
            let holds = loop {
                let (_, answer) = world.client.ask(&question, Some(node)).await;
                if let Some(holds) = fact.holds(&answer) {
                    break holds;
                }
            };
            match holds {
                true => world.client.tally.checked(),
                false => world.client.tally.lost(format!("{} ({})", fact.told(), self.email)),
            }
        }
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
