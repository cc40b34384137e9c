//! Gates: what must not run beside its likes waits its turn. Twins of one idempotent request go one
//! by one, as do registrations of one address; guesses at one address, as many at once as may be wrong.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use ractor::ActorRef;
use tokio::sync::oneshot;

use super::{TenantMessage, TenantRef};
use crate::refusal::Refusal;

/// How many requests of a tenant may wait before all its gates.
const MOST_WAITING: usize = 8192;

/// What is entered one by one, or few by few.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Gate {
    /// Requests with one idempotency key.
    Twins([u8; 32]),
    /// Guesses at one address.
    Guesses(String),
    /// Registrations of one address.
    Registrations(String),
}

/// Being inside. Dropped, it lets the next one in.
pub(crate) struct Turn {
    gate: Gate,
    actor: ActorRef<TenantMessage>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // An actor that has stopped has forgotten its gates.
        let _ = self.actor.cast(TenantMessage::Leave(self.gate.clone()));
    }
}

/// The gates of one tenant.
#[derive(Default)]
pub(super) struct Gates {
    open: HashMap<Gate, Crowd>,
    waiting: usize,
}

struct Crowd {
    inside: usize,
    most: usize,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

impl Gates {
    pub fn enter(
        &mut self,
        gate: Gate,
        most: usize,
        turn: oneshot::Sender<Turn>,
        actor: &ActorRef<TenantMessage>,
    ) {
        if self.waiting >= MOST_WAITING {
            return;
        }
        let crowd = self.open.entry(gate.clone()).or_insert_with(|| Crowd {
            inside: 0,
            most,
            waiting: VecDeque::new(),
        });
        crowd.waiting.push_back(turn);
        self.waiting += 1;
        self.admit(&gate, actor);
    }

    pub fn leave(&mut self, gate: &Gate, actor: &ActorRef<TenantMessage>) {
        if let Some(crowd) = self.open.get_mut(gate) {
            crowd.inside = crowd.inside.saturating_sub(1);
            self.admit(gate, actor);
        }
    }

    /// Lets in who may. A turn that nobody takes any more comes back as `Leave`.
    fn admit(&mut self, gate: &Gate, actor: &ActorRef<TenantMessage>) {
        let Some(crowd) = self.open.get_mut(gate) else { return };
        while crowd.inside < crowd.most
            && let Some(next) = crowd.waiting.pop_front()
        {
            self.waiting -= 1;
            if !next.is_closed() {
                crowd.inside += 1;
                let _ = next.send(Turn { gate: gate.clone(), actor: actor.clone() });
            }
        }
        if crowd.inside == 0 && crowd.waiting.is_empty() {
            self.open.remove(gate);
        }
    }
}

impl TenantRef {
    /// Waits for a turn at `gate`, which lets in `most` at once.
    pub(crate) async fn enter(&self, gate: Gate, most: usize) -> Result<Turn, Refusal> {
        let turn = self.send(|turn| TenantMessage::Enter { gate, most, turn }).await?;
        turn.ok_or_else(|| match self.0.shard.is_leader() {
            true => Refusal::Overloaded { retry_after: Duration::from_secs(1) },
            false => self.0.shard.elsewhere(),
        })
    }
}
