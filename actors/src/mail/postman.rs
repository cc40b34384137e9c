//! The postman of a node: sends what lies in the outboxes of the tenants whose shards this node leads,
//! at least once each. It is told of a mail when the entry that posts it is in place, looks through an
//! outbox when the node begins to lead its shard, and never polls. What it holds can be read again.
//!
//! Decision: how often a mail was tried is not recorded. After a takeover the new leader tries at once.

mod round;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use janua_storage::ids::{MailId, ShardId, TenantNumber};
use janua_storage::moment::Moment;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinSet;

use self::round::Rounds;
use super::relay::{Connections, MOST_CONNECTIONS};
use super::render::Rendered;
use crate::directory::Node;
use crate::home::Home;

/// The wait after the first failure; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How soon an outbox that could not be looked through is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the postman is told.
pub(crate) enum PostmanMessage {
    /// A mail was put into an outbox of a shard that this node may lead.
    Posted(TenantNumber, MailId),
    /// This node has begun to lead a shard: its outboxes may hold what others left.
    Leads(ShardId),
    /// What these outboxes hold.
    Found(Vec<(TenantNumber, MailId)>),
    /// The time of a mail may have come.
    Look,
    /// An attempt is over; whether another one has to follow.
    Tried(TenantNumber, MailId, Attempt),
}

/// It never leaves the node.
impl ractor::Message for PostmanMessage {}

/// How an attempt to send a mail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The server took it.
    Sent,
    /// There is nothing to send any more, or it is another node's to send.
    Gone,
    /// It has to be tried again.
    Failed,
}

/// The postman of a node.
pub(crate) struct Postman;

pub(crate) struct State {
    node: Arc<Node>,
    rounds: Arc<Rounds>,
    /// `None` where mails are kept.
    server: Option<Connections>,
    /// What has to be sent, by when.
    due: BTreeSet<(Moment, TenantNumber, MailId)>,
    /// Everything that is due or under way, with the failures so far.
    known: HashMap<(TenantNumber, MailId), u32>,
    under_way: u32,
    /// Whether the last attempt failed.
    is_failing: bool,
    /// The next look that was asked for.
    next_look: Option<Moment>,
    _watches: JoinSet<()>,
}

impl Actor for Postman {
    type Msg = PostmanMessage;
    type State = State;
    type Arguments = Arc<Node>;

    async fn pre_start(
        &self,
        myself: ActorRef<PostmanMessage>,
        node: Arc<Node>,
    ) -> Result<State, ActorProcessingErr> {
        let server = node.mail.relay.as_ref().map(super::Relay::connections);
        let mut watches = JoinSet::new();
        if server.is_some() {
            for shard in node.shards.iter() {
                watches.spawn(watch(shard.clone(), myself.clone()));
            }
        }
        *node.postman.write() = Some(myself);
        Ok(State {
            rounds: Arc::new(Rounds::new(node.clone())),
            node,
            server,
            due: BTreeSet::new(),
            known: HashMap::new(),
            under_way: 0,
            is_failing: false,
            next_look: None,
            _watches: watches,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<PostmanMessage>,
        message: PostmanMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PostmanMessage::Posted(tenant, mail) if state.server.is_none() => {
                state.announce(tenant, mail).await;
            }
            PostmanMessage::Posted(tenant, mail) => state.add(tenant, mail),
            PostmanMessage::Leads(shard) => state.look_through(shard, &myself),
            PostmanMessage::Found(mails) => {
                mails.into_iter().for_each(|(tenant, mail)| state.add(tenant, mail));
            }
            PostmanMessage::Look => state.next_look = None,
            PostmanMessage::Tried(tenant, mail, attempt) => state.note(tenant, mail, attempt),
        }
        state.send_what_is_due(&myself);
        Ok(())
    }
}

/// Tells the postman each time that this node begins to lead `shard`.
async fn watch(shard: Home, postman: ActorRef<PostmanMessage>) {
    let mut leadership = shard.leadership();
    let mut led = None;
    loop {
        let now = leadership.borrow_and_update().clone();
        let leads = now.leads.then_some(now.term);
        if leads != led {
            led = leads;
            if leads.is_some() && postman.cast(PostmanMessage::Leads(shard.id())).is_err() {
                return;
            }
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

impl State {
    fn add(&mut self, tenant: TenantNumber, mail: MailId) {
        if self.leads(tenant) && self.known.insert((tenant, mail), 0).is_none() {
            self.due.insert((self.node.clock.now(), tenant, mail));
        }
    }

    fn leads(&self, tenant: TenantNumber) -> bool {
        self.node.shards.of(tenant).is_leader()
    }

    /// Looks through the outboxes of a shard, beside the mailbox.
    fn look_through(&self, shard: ShardId, myself: &ActorRef<PostmanMessage>) {
        let (rounds, myself) = (self.rounds.clone(), myself.clone());
        ractor::concurrency::spawn(async move {
            match rounds.waiting(shard).await {
                Ok(found) => {
                    let _ = myself.cast(PostmanMessage::Found(found));
                }
                Err(refusal) => {
                    tracing::debug!(%shard, %refusal, "an outbox could not be looked through");
                    myself.send_after(LOOK_AGAIN, move || PostmanMessage::Leads(shard));
                }
            }
        });
    }

    fn note(&mut self, tenant: TenantNumber, mail: MailId, attempt: Attempt) {
        self.under_way -= 1;
        match attempt {
            Attempt::Sent | Attempt::Gone => {
                self.known.remove(&(tenant, mail));
            }
            Attempt::Failed => {
                let failures = self.known.entry((tenant, mail)).or_default();
                *failures += 1;
                let wait = FIRST_WAIT * (1 << (*failures - 1).min(20));
                let due = self.node.clock.now().after(wait.min(LONGEST_WAIT));
                self.due.insert((due, tenant, mail));
                self.is_failing = true;
            }
        }
        if attempt == Attempt::Sent && std::mem::take(&mut self.is_failing) {
            // The server is back: nobody waits longer than that.
            let now = self.node.clock.now();
            let waiting = std::mem::take(&mut self.due);
            self.due = waiting.into_iter().map(|(_, tenant, mail)| (now, tenant, mail)).collect();
        }
    }

    /// Sends what is due, as many at once as there are connections, and has itself woken for the next.
    fn send_what_is_due(&mut self, myself: &ActorRef<PostmanMessage>) {
        let Some(server) = self.server.clone() else { return };
        let now = self.node.clock.now();
        while self.under_way < MOST_CONNECTIONS
            && let Some((due, tenant, mail)) = self.due.first().copied()
        {
            if due > now {
                return self.look_at(due, now, myself);
            }
            self.due.pop_first();
            if !self.leads(tenant) {
                self.known.remove(&(tenant, mail));
                continue;
            }
            self.under_way += 1;
            let (rounds, server, myself) = (self.rounds.clone(), server.clone(), myself.clone());
            ractor::concurrency::spawn(async move {
                let ended = rounds.send(tenant, mail, &server).await;
                let _ = myself.cast(PostmanMessage::Tried(tenant, mail, ended));
            });
        }
    }

    fn look_at(&mut self, due: Moment, now: Moment, myself: &ActorRef<PostmanMessage>) {
        if self.next_look.is_none_or(|look| look > due) {
            self.next_look = Some(due);
            myself.send_after(due.since(now), || PostmanMessage::Look);
        }
    }

    /// Says on the log which mail was kept. Invariant: a link is named only where nothing is sent and
    /// the cluster is reached by a loopback address; it is a secret like any other elsewhere.
    async fn announce(&self, number: TenantNumber, mail: MailId) {
        if !self.leads(number) {
            return;
        }
        match self.rounds.kept(number, mail).await {
            Ok(Some(Rendered { to, subject, link, .. })) if self.node.mail.logs_links => {
                tracing::info!(to, subject, link, "a mail is kept for /admin/outbox");
            }
            Ok(Some(Rendered { to, subject, .. })) => {
                tracing::info!(to, subject, "a mail is kept for /admin/outbox");
            }
            Ok(None) => {}
            Err(refusal) => tracing::debug!(%refusal, "a kept mail could not be read"),
        }
    }
}
