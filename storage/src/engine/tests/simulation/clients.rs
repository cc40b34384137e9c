//! Clients: they set and read the profiles of a few users, ask again with the same operation id until
//! they know what became of a write, and note what they hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::history::{Event, History};
use super::machine::{Directory, Node};
use crate::capability::users::{self, Changes, Register, Update, User};
use crate::codec;
use crate::command::{Command, Outcome, Proposal};
use crate::engine::tests::Dice;
use crate::engine::{Shard, Unavailable};
use crate::event::Origin;
use crate::fault::Fault;
use crate::idempotency::Ticket;
use crate::ids::{TenantNumber, UserId};
use crate::keys;
use crate::moment::Moment;
use crate::records::Records;

/// Users whose profiles are written and read.
pub const KEYS: u64 = 3;
/// Clients at work.
pub const CLIENTS: u64 = 4;

const TENANT: TenantNumber = TenantNumber(1);
/// How long a client waits for one answer.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long it asks before it gives up on a read, and on one write in so many.
const RESIGNATION: Duration = Duration::from_secs(4);
const RESIGNED: u64 = 20;
/// The longest rest between two questions, in milliseconds.
const REST: u64 = 80;

/// Asks a node something, and waits for the answer for a while.
pub async fn ask<T, F>(node: Node, work: impl FnOnce(Arc<Shard>) -> F) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let work = work(node.shard().clone());
    node.handle.spawn(async move {
        // Whoever asked may have gone.
        drop(answer.send(work.await));
    });
    drop(node);
    timeout(PATIENCE, answered).await.ok()?.ok()
}

/// The id of the operation that writes a value.
pub fn operation(value: u64) -> [u8; 32] {
    let mut operation = [0; 32];
    operation[..8].copy_from_slice(&value.to_be_bytes());
    operation
}

fn user(key: u64) -> UserId {
    UserId::new(1, key.into())
}

fn proposal(proposed: Moment, value: u64, command: users::Command) -> Proposal {
    Proposal {
        tenant: TENANT,
        proposed,
        seed: [7; 32],
        origin: Origin::default(),
        idempotency: Some(Ticket {
            digest: operation(value),
            request: operation(value),
            secrets: None,
            expires: proposed.after(Duration::from_secs(24 * 3_600)),
        }),
        command: Command::Users(command),
    }
}

fn register(key: u64) -> users::Command {
    users::Command::Register(Box::new(Register {
        id: user(key),
        email: format!("user{key}@example.com"),
        first_name: None,
        last_name: None,
        metadata: "0".into(),
        password: "$argon2id$".into(),
        start: None,
    }))
}

fn update(key: u64, value: u64) -> users::Command {
    let changes = Changes { metadata: Some(value.to_string()), ..Changes::default() };
    users::Command::Update(Box::new(Update { user: user(key), changes }))
}

/// What clients share.
#[derive(Clone)]
pub struct Shared {
    /// The nodes that run.
    pub directory: Directory,
    /// Where they note what happens.
    pub history: History,
    /// Whether they are to stop.
    pub over: Arc<AtomicBool>,
    /// How many questions there were: the next value to write, or the number of a read.
    pub questions: Arc<AtomicU64>,
}

/// A client.
pub struct Client {
    shared: Shared,
    dice: Dice,
    /// Who leads, as it was last told.
    leader: Option<u64>,
}

impl Client {
    /// A client that knows nobody.
    pub fn new(shared: &Shared, dice: Dice) -> Self {
        Self { shared: shared.clone(), dice, leader: None }
    }

    /// Makes the users that are written and read.
    pub async fn prepare(&mut self) {
        for key in 0..KEYS {
            self.propose(u64::MAX - key, &|| register(key), None).await;
        }
    }

    /// Asks until it is to stop.
    pub async fn work(mut self) {
        while !self.shared.over.load(Ordering::Relaxed) {
            let key = self.dice.roll(KEYS);
            match self.dice.roll(5) {
                0..3 => self.read(key).await,
                _ => self.write(key).await,
            }
            self.rest(REST).await;
        }
    }

    /// Reads each key until it is answered.
    pub async fn read_all(&mut self) {
        for key in 0..KEYS {
            let answers = self.shared.history.answers();
            while self.shared.history.answers() == answers {
                self.read(key).await;
            }
        }
    }

    async fn write(&mut self, key: u64) {
        let value = self.shared.questions.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.history.note(Event::Writes { key, value });
        let resigns = (self.dice.roll(RESIGNED) == 0).then(|| Instant::now() + RESIGNATION);
        if self.propose(value, &|| update(key, value), resigns).await {
            self.shared.history.note(Event::Written { key, value });
        }
    }

    /// Whether it was done, as far as it is known when the client gives up.
    async fn propose(
        &mut self,
        value: u64,
        command: &(dyn Fn() -> users::Command + Sync),
        resigns: Option<Instant>,
    ) -> bool {
        while resigns.is_none_or(|at| Instant::now() < at) {
            if let Some(node) = self.choose(8) {
                let (clock, command) = (node.clock.clone(), command());
                let asked = ask(node, |shard| async move {
                    shard.write(proposal(clock(), value, command)).await
                });
                match asked.await {
                    Some(Ok(outcome)) => return done(value, &outcome),
                    Some(Err(problem)) => self.heed(&problem),
                    None => self.leader = None,
                }
            }
            self.rest(40).await;
        }
        false
    }

    async fn read(&mut self, key: u64) {
        let question = self.shared.questions.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.history.note(Event::Reads { key, question });
        let resigns = Instant::now() + RESIGNATION;
        while Instant::now() < resigns {
            // Whoever has lost its place without knowing it is asked as well.
            if let Some(node) = self.choose(2) {
                let asked = ask(node, |shard| async move {
                    let view = shard.read().await?;
                    let failed = |fault: Fault| Unavailable::new(fault.to_string());
                    let record = view.get(&keys::user(TENANT, user(key))).map_err(failed)?;
                    let record = record.ok_or_else(|| Unavailable::new("there is no such user"))?;
                    codec::decode::<User>(&record).map_err(failed)
                });
                match asked.await {
                    Some(Ok(user)) => {
                        let value = user.profile.metadata.parse().expect("a number");
                        return self.shared.history.note(Event::Read { key, question, value });
                    }
                    Some(Err(problem)) => self.heed(&problem),
                    None => self.leader = None,
                }
            }
            self.rest(40).await;
        }
    }

    /// Whom to ask: the leader as it was told, but for one time in so many.
    fn choose(&mut self, stray: u64) -> Option<Node> {
        let nodes = self.shared.directory.lock();
        let strays = self.dice.roll(stray) == 0;
        let leader = self.leader.filter(|_| !strays).and_then(|leader| nodes.get(&leader).cloned());
        leader.or_else(|| {
            let at = self.dice.roll(nodes.len() as u64);
            nodes.values().nth(at as usize).cloned()
        })
    }

    fn heed(&mut self, problem: &Unavailable) {
        self.leader = problem.leader();
    }

    async fn rest(&mut self, longest_ms: u64) {
        sleep(Duration::from_millis(1 + self.dice.roll(longest_ms))).await;
    }
}

fn done(value: u64, outcome: &Outcome) -> bool {
    assert!(outcome.is_ok(), "write {value} was refused: {outcome:?}");
    true
}
