//! Routing: which node answers. A tenant's requests go to the leader of its shard, and what concerns
//! no tenant to the leader of shard 0. Ids, tokens and secrets name their tenant, so finding the shard
//! costs nothing; what only the cluster's own records tell is read from this node's replica.
//!
//! Decision: a replica may lag behind, so what it knows is good for finding the way, and what it does
//! not know has to be said by the leader of shard 0. Whether a tenant, a session or a key is good is
//! judged by the leader of the tenant's own shard alone.

use std::sync::Arc;
use std::time::Duration;

use janua_storage::fault::Fault;
use janua_storage::ids::{ShardId, TenantId, TenantNumber};
use janua_storage::secret::Secret;
use janua_storage::view::View;
use quick_cache::sync::Cache;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::capability::api_keys::named_by;
use crate::directory::{Directory, Node};
use crate::gateway::Gateway;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::tenant::{Held, Shared};

/// Where a shard is led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this node.
    Here,
    /// On this one, to which there is a link.
    There(u64),
}

/// How often a leader that is not known is asked for again.
const RECHECK: Duration = Duration::from_millis(25);

/// Longer than any request.
const LONG: Duration = Duration::from_secs(3600);

/// Of so many tenants that are led elsewhere the keys are held.
const MOST_FOLLOWED: usize = 1000;

/// Keys of tenants that other nodes lead, to verify tokens with before they are sent there.
pub(crate) struct Followed(Cache<TenantNumber, Arc<Held>>);

impl Default for Followed {
    fn default() -> Self {
        Self(Cache::new(MOST_FOLLOWED))
    }
}

impl Node {
    /// What this node's replica has of a tenant that another node leads.
    pub fn followed(self: &Arc<Self>, number: TenantNumber) -> Option<Arc<Held>> {
        let known = self.followed.0.get(&number);
        let current = |held: &Arc<Held>| held.stamp == self.stamps.tenant(number);
        if let Some(held) = known.filter(current) {
            return Some(held);
        }
        let records = self.shards.of(number).follow().ok()?;
        let tenant = View::new(&records, number).tenant().ok()??;
        let held = Shared::new(tenant.id, number, self.clone()).follow().ok()?;
        self.followed.0.insert(number, held.clone());
        Some(held)
    }

    /// See [`Directory::place_of`].
    pub async fn place_of(
        &self,
        shard: ShardId,
        asked: Option<u64>,
        hint: Option<u64>,
    ) -> Result<Place, Refusal> {
        let no_such_shard = || Refusal::unavailable(format!("there is no shard {shard}"));
        let mut leadership = self.shards.get(shard).ok_or_else(no_such_shard)?.leadership();
        let stopped = || Refusal::unavailable("the shard has stopped");
        let gateway = self.gateway.get();
        let mut links = gateway.map(Gateway::changes);
        loop {
            let leader = {
                let now = leadership.borrow_and_update();
                if now.leads {
                    return Ok(Place::Here);
                }
                if now.stopped && gateway.is_none() {
                    return Err(stopped());
                }
                let untried = |leader: &u64| asked != Some(*leader);
                let heard = || gateway.and_then(|gateway| gateway.leader_of(shard));
                now.leader.filter(untried).or(hint).or_else(heard).or(now.leader)
            };
            if let Some(gateway) = gateway
                && let Some(leader) = leader.filter(|leader| *leader != gateway.node())
                && gateway.reaches(leader)
            {
                return Ok(Place::There(leader));
            }
            tokio::select! {
                changed = leadership.changed() => changed.map_err(|_| stopped())?,
                () = changed(links.as_mut()) => {}
                // What others say of themselves is looked at now and then.
                () = sleep(RECHECK) => {}
            }
        }
    }
}

impl Directory {
    /// Whether this node is to answer for a tenant; the refusal says where else. A node without others
    /// answers for all.
    pub fn led_here(&self, number: TenantNumber) -> Result<(), Refusal> {
        let home = self.node().shards.of(number);
        if home.is_leader() || self.gateway().is_none() { Ok(()) } else { Err(home.elsewhere()) }
    }

    /// The shard of a tenant.
    pub fn shard_of(&self, number: TenantNumber) -> ShardId {
        self.node().shards.shard_of(number)
    }

    /// Where a shard is led, as soon as that is known and there is a way to it. The node that was
    /// `asked` last and does not lead is asked again only if nothing better is known than it had
    /// itself to say: `hint`. Waits for as long as it takes.
    pub async fn place_of(
        &self,
        shard: ShardId,
        asked: Option<u64>,
        hint: Option<u64>,
    ) -> Result<Place, Refusal> {
        self.node().place_of(shard, asked, hint).await
    }

    /// Who leads a shard, as this node knows it.
    pub fn leader_of(&self, shard: ShardId) -> Option<u64> {
        let known = self.node().shards.get(shard)?.leadership().borrow().leader;
        known.or_else(|| self.gateway()?.leader_of(shard))
    }

    /// Returns once another node than this peer leads the shard.
    pub async fn moved_from(&self, shard: ShardId, peer: u64) {
        let Some(home) = self.node().shards.get(shard) else { return };
        let mut leadership = home.leadership();
        loop {
            let known = leadership.borrow_and_update().leader;
            let heard = known.or_else(|| self.gateway()?.leader_of(shard));
            if heard.is_some_and(|leader| leader != peer) {
                return;
            }
            // Without a replica of its own, a node is told of no change.
            let look = if known.is_some() { LONG } else { RECHECK };
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() { sleep(LONG).await },
                () = sleep(look) => {}
            }
        }
    }

    /// The settings of the tenant whose API key or else whose id this is, as this node's replicas have
    /// them: perhaps older than what its leader knows.
    pub fn followed_settings(
        &self,
        key: Option<&Secret>,
        id: Option<&TenantId>,
    ) -> Option<Arc<Settings>> {
        let records = self.node().shards.of(TenantNumber::CLUSTER).follow().ok()?;
        let cluster = View::new(&records, TenantNumber::CLUSTER);
        let number = match key {
            Some(key) => cluster.bootstrap_key(&key.hash()).ok()?.or_else(|| named_by(key)),
            None => cluster.tenant_number(id?).ok()?,
        };
        Some(self.node().followed(number?)?.settings.clone())
    }

    /// Looks something up in the cluster's own records: a find in this node's replica stands, and
    /// that there is nothing is said by the leader of shard 0.
    pub(crate) async fn of_cluster<T>(
        &self,
        look: impl Fn(&View<'_>) -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>, Refusal> {
        let home = self.node().shards.of(TenantNumber::CLUSTER);
        if !home.is_leader()
            && let Ok(records) = home.follow()
            && let Some(found) = look(&View::new(&records, TenantNumber::CLUSTER))?
        {
            return Ok(Some(found));
        }
        let records = home.read().await?;
        Ok(look(&View::new(&records, TenantNumber::CLUSTER))?)
    }
}

async fn changed(links: Option<&mut watch::Receiver<u64>>) {
    let changed = match links {
        Some(links) => links.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}
