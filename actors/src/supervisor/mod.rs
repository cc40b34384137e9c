//! The root of the tree. Tenants' actors are restarted when they fail, at once at first, more slowly
//! when they keep failing; sessions' actors sleep and wake below them.

mod eraser;
mod fence;
mod sweeper;
mod texts;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use janua_storage::ids::{ShardId, TenantNumber};
use janua_storage::moment::Moment;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;

use self::eraser::Eraser;
use self::sweeper::Sweeper;
use self::texts::Texts;
use crate::capability::api_keys::KeyUses;
use crate::directory::Node;
use crate::mail::Postman;
use crate::refusal::Refusal;
use crate::session::Touches;
use crate::tenant::{Shared, TenantActor};

/// How often quiet sessions are put to sleep and expired records looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// Failures within this time make the next restart wait longer.
const MEMORY: Duration = Duration::from_secs(60);

/// The longest wait before a restart.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What the supervisor is asked.
pub(crate) enum SupervisorMessage {
    /// Start this tenant's actor, and keep it up.
    Watch(Arc<Shared>, oneshot::Sender<()>),
    /// Start it again.
    Restart(Arc<Shared>),
    /// Stop the actors of a shard: this node leads it no more, or anew.
    Fence(ShardId),
    /// Look after what is quiet and what has expired.
    KeepHouse,
    /// Start the postman again.
    RestartPostman,
}

/// It never leaves the node.
impl ractor::Message for SupervisorMessage {}

/// The root of the tree.
pub(crate) struct Supervisor;

pub(crate) struct State {
    node: Arc<Node>,
    watched: HashMap<ActorId, Arc<Shared>>,
    failures: HashMap<TenantNumber, (u32, Moment)>,
    sweeper: Arc<tokio::sync::Mutex<Sweeper>>,
    errands: Arc<tokio::sync::Mutex<Errands>>,
}

/// What the leader of a shard does for it in the background, beside sweeping.
struct Errands {
    node: Arc<Node>,
    texts: Texts,
    eraser: Eraser,
}

impl Errands {
    fn new(node: Arc<Node>) -> Self {
        Self { texts: Texts::new(node.clone()), eraser: Eraser::new(node.clone()), node }
    }

    async fn run(&self) {
        if self.node.places.is_configured() {
            let node = self.node.clone();
            let looking = tokio::task::spawn_blocking(move || node.places.look_at_file());
            drop(looking.await);
        }
        match sweeper::tenants(&self.node) {
            Ok(tenants) => {
                self.texts.send_due(&tenants).await;
                self.eraser.erase(&tenants).await;
            }
            Err(refusal) => tracing::debug!(%refusal, "no errands"),
        }
    }
}

impl Supervisor {
    /// Has a tenant's actor started, unless it runs.
    pub async fn watch(
        supervisor: &ActorRef<SupervisorMessage>,
        tenant: Arc<Shared>,
    ) -> Result<(), Refusal> {
        let (sender, started) = oneshot::channel();
        let gone = || Refusal::unavailable("the supervisor has stopped");
        supervisor.cast(SupervisorMessage::Watch(tenant, sender)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())
    }
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = State;
    type Arguments = Arc<Node>;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        node: Arc<Node>,
    ) -> Result<State, ActorProcessingErr> {
        start_postman(&node, &myself).await?;
        myself.send_interval(HOUSEKEEPING, || SupervisorMessage::KeepHouse);
        node.shards.iter().for_each(|home| fence::follow(home, myself.clone()));
        Ok(State {
            sweeper: Arc::new(tokio::sync::Mutex::new(Sweeper::new(node.clone()))),
            errands: Arc::new(tokio::sync::Mutex::new(Errands::new(node.clone()))),
            node,
            watched: HashMap::new(),
            failures: HashMap::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Watch(tenant, started) => {
                if tenant.actor.read().is_none() {
                    state.start(tenant, &myself).await?;
                }
                let _ = started.send(());
            }
            SupervisorMessage::Restart(tenant) => state.start(tenant, &myself).await?,
            SupervisorMessage::Fence(shard) => state.fence(shard),
            SupervisorMessage::RestartPostman => start_postman(&state.node, &myself).await?,
            SupervisorMessage::KeepHouse => {
                let awake = state.node.sessions.passivate(state.node.clock.now());
                #[expect(clippy::cast_precision_loss, reason = "a gauge of thousands")]
                metrics::gauge!("janua_session_actors").set(awake as f64);
                let (sweeper, node) = (state.sweeper.clone(), state.node.clone());
                ractor::concurrency::spawn(async move {
                    // A round that takes longer than the pause is not overtaken by the next.
                    if let Ok(mut sweeper) = sweeper.try_lock() {
                        Touches::write_down(&node).await;
                        KeyUses::write_down(&node).await;
                        sweeper.sweep().await;
                    }
                });
                let errands = state.errands.clone();
                ractor::concurrency::spawn(async move {
                    if let Ok(errands) = errands.try_lock() {
                        errands.run().await;
                    }
                });
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisionEvent::ActorFailed(actor, error) = event else { return Ok(()) };
        if let Some(tenant) = state.watched.remove(&actor.get_id()) {
            metrics::counter!("janua_actor_failures_total", "actor" => "tenant").increment(1);
            tracing::error!(tenant = %tenant.id, %error, "a tenant's actor failed");
            let wait = state.wait_before_restart(tenant.number);
            myself.send_after(wait, move || SupervisorMessage::Restart(tenant));
        } else {
            metrics::counter!("janua_actor_failures_total", "actor" => "postman").increment(1);
            tracing::error!(%error, "the postman failed");
            myself.send_after(LONGEST_WAIT, || SupervisorMessage::RestartPostman);
        }
        Ok(())
    }
}

async fn start_postman(
    node: &Arc<Node>,
    myself: &ActorRef<SupervisorMessage>,
) -> Result<(), ActorProcessingErr> {
    Actor::spawn_linked(None, Postman, node.clone(), myself.get_cell()).await?;
    Ok(())
}

impl State {
    async fn start(
        &mut self,
        tenant: Arc<Shared>,
        myself: &ActorRef<SupervisorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        let supervisor = myself.get_cell();
        let (actor, _) = Actor::spawn_linked(None, TenantActor, tenant.clone(), supervisor).await?;
        self.watched.insert(actor.get_id(), tenant);
        Ok(())
    }

    /// None at first; doubling from a tenth of a second while it keeps failing.
    fn wait_before_restart(&mut self, tenant: TenantNumber) -> Duration {
        let now = self.node.clock.now();
        let (count, last) = self.failures.get(&tenant).copied().unwrap_or((0, now));
        let count = if now.since(last) > MEMORY { 0 } else { count };
        self.failures.insert(tenant, (count + 1, now));
        match count {
            0 => Duration::ZERO,
            count => (Duration::from_millis(50) * (1 << count.min(10))).min(LONGEST_WAIT),
        }
    }
}
