//! One actor for each session in use: whether it is valid, its refresh, its signs of life. It comes
//! when the session is used, and goes when the session is quiet.

mod actor;
mod registry;
mod touches;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use janua_storage::capability::sessions::Session;
use janua_storage::capability::users::User;
use janua_storage::command::{Command, Outcome};
use janua_storage::event::Origin;
use janua_storage::idempotency::Ticket;
use janua_storage::ids::{SessionId, TenantNumber, UserId};
use ractor::ActorRef;
use tokio::sync::oneshot;

pub(crate) use actor::{SessionActor, SessionMessage};
pub(crate) use registry::Registry;
pub(crate) use touches::Touches;

use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// How many requests of one session may be under way at once.
const MOST_WAITING: usize = 1024;

/// A session and its user, as of the request that asked.
#[derive(Debug, Clone)]
pub struct Live {
    /// Whose.
    pub user: User,
    /// Which.
    pub session: Session,
}

/// Where a session is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub tenant: TenantNumber,
    pub user: UserId,
    pub session: SessionId,
}

/// A session's actor, as callers hold it.
#[derive(Clone)]
pub(crate) struct SessionRef {
    actor: ActorRef<SessionMessage>,
    door: Arc<Door>,
}

#[derive(Default)]
struct Door {
    inside: AtomicUsize,
    last_used_ms: AtomicU64,
}

struct Inside(Arc<Door>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SessionRef {
    fn enter(&self) -> Result<Inside, Refusal> {
        let inside = Inside(self.door.clone());
        if self.door.inside.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            return Err(Refusal::Overloaded { retry_after: Duration::from_secs(1) });
        }
        Ok(inside)
    }
}

impl TenantRef {
    /// The session and its user, if it is valid at this moment.
    pub(crate) async fn check(
        &self,
        user: UserId,
        session: SessionId,
    ) -> Result<Arc<Live>, Refusal> {
        self.ask(user, session, SessionMessage::Check).await?
    }

    /// Lets the session's actor propose a change of its own.
    pub(crate) async fn change(
        &self,
        user: UserId,
        session: SessionId,
        change: Change,
    ) -> Result<Outcome, Refusal> {
        let change = Box::new(change);
        self.ask(user, session, |reply| SessionMessage::Change(change.clone(), reply)).await?
    }

    /// Asks the session's actor, activating it first where it sleeps; once more when it went to
    /// sleep meanwhile.
    async fn ask<T>(
        &self,
        user: UserId,
        session: SessionId,
        message: impl Fn(oneshot::Sender<T>) -> SessionMessage,
    ) -> Result<T, Refusal> {
        let key = SessionKey { tenant: self.0.number, user, session };
        let registry = &self.0.node.sessions;
        for _ in 0..3 {
            let found = registry.find(key, &self.0).await?;
            let _inside = found.enter()?;
            let (sender, answer) = oneshot::channel();
            if found.actor.cast(message(sender)).is_ok()
                && let Ok(answer) = answer.await
            {
                return Ok(answer);
            }
            registry.forget(&key, &found);
        }
        Err(Refusal::unavailable("the session's actor does not stay up"))
    }
}

/// A change of a session that its actor proposes.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub origin: Origin,
    pub ticket: Option<Ticket>,
    pub command: Command,
}
