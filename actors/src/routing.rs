//! Routing: which node answers. A tenant's requests go to the leader of its shard, and what concerns
//! no tenant to the leader of shard 0. Ids, tokens and secrets name their tenant, so finding the shard
//! costs nothing; what only the cluster's own records tell is read from this node's replica.
//!
//! Decision: a replica may lag behind, so what it knows is good for finding the way, and what it does
//! not know has to be said by the leader of shard 0. Whether a tenant, a session or a key is good is
//! judged by the leader of the tenant's own shard alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use janua_storage::fault::Fault;
use janua_storage::ids::{ShardId, TenantId, TenantNumber};
use janua_storage::secret::Secret;
use janua_storage::view::View;
use quick_cache::sync::Cache;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::capability::api_keys::named_by;
use crate::directory::{Directory, Node};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::tenant::{Held, Shared};

/// Where a shard is led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this node.
    Here,
    /// On this one, to which there is a link; in this term, or a later one.
    There {
        /// Which one.
        node: u64,
        /// The latest term that is known.
        term: u64,
    },
}

/// How soon a node that has said that it does not lead is asked again, when nobody knows better.
const ASK_AGAIN: Duration = Duration::from_millis(25);

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
        // A replica that is told nothing may hold keys that are good no more.
        self.shards.of(number).heard_leader()?;
        self.last_known(number)
    }

    /// The same, however long ago that was.
    fn last_known(self: &Arc<Self>, number: TenantNumber) -> Option<Arc<Held>> {
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

    /// Who leads a shard in the latest term that this node knows of: by its own replica, as long as
    /// that is told, or by what other nodes say.
    pub fn leader_of(&self, shard: ShardId) -> Option<(u64, u64)> {
        let heard = self.gateway.get().and_then(|gateway| gateway.leader_of(shard));
        self.shards.get(shard)?.heard_leader().max(heard)
    }

    /// See [`Directory::place_of`].
    pub async fn place_of(
        &self,
        shard: ShardId,
        asked: &BTreeSet<u64>,
        hint: Option<u64>,
    ) -> Result<Place, Refusal> {
        let no_such_shard = || Refusal::unavailable(format!("there is no shard {shard}"));
        let mut leadership = self.shards.get(shard).ok_or_else(no_such_shard)?.leadership();
        let stopped = || Refusal::unavailable("the shard has stopped");
        let Some(gateway) = self.gateway.get() else {
            let led = leadership.wait_for(|now| now.leads || now.stopped).await;
            let leads = led.is_ok_and(|now| now.leads);
            return if leads { Ok(Place::Here) } else { Err(stopped()) };
        };
        let (mut links, mut leaders) = (gateway.changes(), gateway.moves());
        let again = Instant::now() + ASK_AGAIN;
        loop {
            if leadership.borrow_and_update().leads {
                return Ok(Place::Here);
            }
            links.mark_unchanged();
            leaders.mark_unchanged();
            let known = self.leader_of(shard);
            let term = known.map_or(0, |(term, _)| term);
            let known = known.map(|(_, leader)| leader);
            let reached = |leader: &u64| *leader != gateway.node() && gateway.answers(*leader);
            let candidates = || known.into_iter().chain(hint).filter(reached);
            let untried = candidates().find(|leader| !asked.contains(leader));
            let tried = candidates().next();
            let in_turn = untried.or(tried.filter(|_| Instant::now() >= again));
            if let Some(node) = in_turn {
                return Ok(Place::There { node, term });
            }
            tokio::select! {
                () = changed(&mut leadership) => {}
                () = changed(&mut links) => {}
                () = changed(&mut leaders) => {}
                () = sleep_until(again), if tried.is_some() => {}
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

    /// Where a shard is led, as soon as that is known and there is a way to it. Nodes that were `asked`
    /// before and do not lead are asked again only when nobody knows better, nor does `hint`, which
    /// one of them has given. Waits for as long as it takes.
    pub async fn place_of(
        &self,
        shard: ShardId,
        asked: &BTreeSet<u64>,
        hint: Option<u64>,
    ) -> Result<Place, Refusal> {
        self.node().place_of(shard, asked, hint).await
    }

    /// Who leads a shard, as this node knows it.
    pub fn leader_of(&self, shard: ShardId) -> Option<u64> {
        self.node().leader_of(shard).map(|(_, leader)| leader)
    }

    /// Returns once another node than this peer is known to lead the shard, in a later term than this.
    pub async fn moved_from(&self, shard: ShardId, peer: u64, term: u64) {
        let (Some(home), Some(gateway)) = (self.node().shards.get(shard), self.gateway()) else {
            return std::future::pending().await;
        };
        let (mut leadership, mut leaders) = (home.leadership(), gateway.moves());
        loop {
            leadership.mark_unchanged();
            leaders.mark_unchanged();
            let known = self.node().leader_of(shard);
            if known.is_some_and(|(later, leader)| leader != peer && later > term) {
                return;
            }
            tokio::select! {
                () = changed(&mut leadership) => {}
                () = changed(&mut leaders) => {}
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
        Some(self.node().last_known(number?)?.settings.clone())
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

/// Returns at the next change; never, if there will be none.
async fn changed<T>(watched: &mut watch::Receiver<T>) {
    if watched.changed().await.is_err() {
        std::future::pending().await
    }
}
