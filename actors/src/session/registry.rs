//! Which sessions have an actor. Bounded: when there are too many, the least used one sleeps.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use janua_storage::ids::TenantNumber;
use janua_storage::moment::Moment;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter};
use ractor::Actor;

use super::{SessionActor, SessionKey, SessionRef};
use crate::refusal::Refusal;
use crate::tenant::Shared;

/// A session unused for this long has its actor put to sleep.
const QUIET: Duration = Duration::from_secs(60);

/// The actors of a node's sessions.
pub(crate) struct Registry(Cache<SessionKey, SessionRef, UnitWeighter, DefaultHashBuilder, Sleep>);

/// Stops the actor of an entry that has to go.
#[derive(Clone, Default)]
struct Sleep;

impl Lifecycle<SessionKey, SessionRef> for Sleep {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: SessionKey, session: SessionRef) {
        session.actor.stop(None);
    }
}

impl Registry {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self(Cache::with(most, most as u64, UnitWeighter, DefaultHashBuilder::default(), Sleep))
    }

    /// The session's actor, made if there is none.
    pub async fn find(&self, key: SessionKey, tenant: &Arc<Shared>) -> Result<SessionRef, Refusal> {
        let found = match self.0.get(&key) {
            Some(found) => found,
            None => self.0.get_or_insert_async(&key, activate(key, tenant)).await?,
        };
        found.door.last_used_ms.store(tenant.node.clock.now().0, Ordering::Relaxed);
        Ok(found)
    }

    /// Takes out an actor that does not answer, unless another has taken its place.
    pub fn forget(&self, key: &SessionKey, dead: &SessionRef) {
        self.0.remove_if(key, |found| found.actor.get_id() == dead.actor.get_id());
    }

    /// Stops the actors of all sessions of the tenants for which `of_shard` holds.
    pub fn fence(&self, of_shard: impl Fn(TenantNumber) -> bool) {
        self.0.retain(|key, session| {
            let stays = !of_shard(key.tenant);
            if !stays {
                session.actor.stop(Some("fenced".into()));
            }
            stays
        });
    }

    /// Puts the actors of quiet sessions to sleep, and says how many are awake.
    pub fn passivate(&self, now: Moment) -> usize {
        self.0.retain(|_, session| {
            let used = Moment(session.door.last_used_ms.load(Ordering::Relaxed));
            let quiet = now.since(used) > QUIET && session.door.inside.load(Ordering::Relaxed) == 0;
            if quiet {
                session.actor.stop(None);
            }
            !quiet
        });
        self.0.len()
    }
}

async fn activate(key: SessionKey, tenant: &Arc<Shared>) -> Result<SessionRef, Refusal> {
    let supervisor = tenant.actor.read().clone();
    let supervisor = supervisor.ok_or_else(|| tenant.absent("the tenant's actor is starting"))?;
    let arguments = (key, tenant.clone());
    let (actor, _) = Actor::spawn_linked(None, SessionActor, arguments, supervisor.get_cell())
        .await
        .map_err(|error| Refusal::unavailable(error.to_string()))?;
    Ok(SessionRef { actor, door: Arc::default() })
}
