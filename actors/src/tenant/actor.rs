//! One tenant's actor: it lets requests in that must not run beside their likes, and proposes what
//! was decided. It never waits for a commit before taking the next message.

use std::sync::Arc;

use janua_storage::command::{Outcome, Proposal};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;

use super::Shared;
use super::gate::{Gate, Gates, Turn};
use crate::refusal::Refusal;

/// What the tenant's actor is asked.
pub(crate) enum TenantMessage {
    /// Propose this and say what it came to.
    Propose(Box<Proposal>, oneshot::Sender<Result<Outcome, Refusal>>),
    /// Let a request in, when it is its turn.
    Enter {
        /// Where to.
        gate: Gate,
        /// How many may be inside at once.
        most: usize,
        /// Gone unanswered when too many wait.
        turn: oneshot::Sender<Turn>,
    },
    /// A request has gone out again.
    Leave(Gate),
}

/// It never leaves the node.
impl ractor::Message for TenantMessage {}

/// The actor of one tenant.
pub(crate) struct TenantActor;

pub(crate) struct State {
    tenant: Arc<Shared>,
    gates: Gates,
}

impl Actor for TenantActor {
    type Msg = TenantMessage;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        myself: ActorRef<TenantMessage>,
        tenant: Arc<Shared>,
    ) -> Result<State, ActorProcessingErr> {
        *tenant.actor.write() = Some(myself);
        Ok(State { tenant, gates: Gates::default() })
    }

    async fn handle(
        &self,
        myself: ActorRef<TenantMessage>,
        message: TenantMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TenantMessage::Propose(proposal, reply) => {
                let shard = state.tenant.shard.clone();
                ractor::concurrency::spawn(async move {
                    let outcome = shard.write(*proposal).await;
                    let _ = reply.send(outcome);
                });
            }
            TenantMessage::Enter { gate, most, turn } => {
                state.gates.enter(gate, most, turn, &myself);
            }
            TenantMessage::Leave(gate) => state.gates.leave(&gate, &myself),
        }
        Ok(())
    }

    /// A session's actor that failed is made anew by the next request for it.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<TenantMessage>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = event {
            metrics::counter!("janua_actor_failures_total", "actor" => "session").increment(1);
            tracing::error!(tenant = %state.tenant.id, %error, "a session's actor failed");
        }
        Ok(())
    }
}
