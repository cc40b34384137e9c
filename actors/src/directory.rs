//! The directory finds tenants, and with them everything else. One a node. A tenant whose shard another
//! node leads is not found here: the refusal says where.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use janua_storage::engine::Shards;
use janua_storage::ids::{SessionId, TenantId, TenantNumber, UserId};
use janua_storage::seal::Key;
use janua_storage::view::View;
use ractor::{Actor, ActorRef};

use crate::clock::SharedClock;
use crate::gateway::{Gateway, Links};
use crate::hashing::{Cost, HashingPool};
use crate::home::Homes;
use crate::refusal::{Refusal, Vouched};
use crate::routing::Followed;
use crate::session::{Live, Registry, Touches};
use crate::settings::Settings;
use crate::stamps::Stamps;
use crate::supervisor::{Supervisor, SupervisorMessage};
use crate::tenant::{Shared, TenantRef};
use crate::tokens::{TokenCache, VerifiedToken, key_of};

/// How actors are set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// What tenants start from.
    pub defaults: Settings,
    /// Cost of password hashes.
    pub cost: Cost,
    /// `iss` of access tokens.
    pub issuer: String,
    /// How many live sessions a user may have.
    pub sessions_per_user: u32,
    /// After how long a signing key gives way to a new one.
    pub signing_key_ttl: Duration,
    /// How many sessions may have an actor at once.
    pub live_sessions: usize,
    /// How many access tokens are remembered as verified.
    pub verified_tokens: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            defaults: Settings::default(),
            cost: Cost::default(),
            issuer: "http://localhost:3000".into(),
            sessions_per_user: 200,
            signing_key_ttl: Duration::from_secs(90 * 24 * 3600),
            live_sessions: 10_000,
            verified_tokens: 50_000,
        }
    }
}

/// What all actors of a node share.
pub(crate) struct Node {
    pub shards: Homes,
    pub gateway: OnceLock<Gateway>,
    pub clock: SharedClock,
    pub hashing: HashingPool,
    pub stamps: Arc<Stamps>,
    pub sessions: Registry,
    pub touches: Touches,
    pub tokens: TokenCache,
    pub followed: Followed,
    pub defaults: Settings,
    pub issuer: String,
    pub cluster_key: Key,
    pub sessions_per_user: u32,
    pub signing_key_ttl: Duration,
}

/// Finds tenants and sessions. Cloning gives another handle on the same directory.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    node: Arc<Node>,
    supervisor: ActorRef<SupervisorMessage>,
    tenants: DashMap<TenantNumber, TenantRef>,
    numbers: DashMap<TenantId, TenantNumber>,
}

/// Somebody who is logged in, as of the request that asked.
#[derive(Clone)]
pub struct Caller {
    /// Where.
    pub tenant: TenantRef,
    /// The session and its user.
    pub live: Arc<Live>,
}

impl Caller {
    /// Who.
    pub fn user(&self) -> UserId {
        self.live.session.user
    }

    /// In which session.
    pub fn session(&self) -> SessionId {
        self.live.session.id
    }
}

impl Directory {
    /// Starts the supervisor, and the threads that hash.
    pub async fn start(
        shards: Arc<Shards>,
        cluster_key: Key,
        clock: SharedClock,
        options: Options,
    ) -> Result<Self, Refusal> {
        let hashing = HashingPool::start(options.cost, clock.clone())
            .map_err(|error| Refusal::unavailable(error.to_string()))?;
        let stamps = Arc::new(Stamps::new());
        for shard in shards.iter() {
            let stamps = stamps.clone();
            shard.observe(Arc::new(move |effects| stamps.heed(effects)));
        }
        let node = Arc::new(Node {
            shards: Homes::new(shards),
            gateway: OnceLock::new(),
            clock,
            hashing,
            stamps,
            sessions: Registry::new(options.live_sessions),
            touches: Touches::default(),
            tokens: TokenCache::new(options.verified_tokens),
            followed: Followed::default(),
            defaults: options.defaults,
            issuer: options.issuer,
            cluster_key,
            sessions_per_user: options.sessions_per_user,
            signing_key_ttl: options.signing_key_ttl,
        });
        let (supervisor, _) = Actor::spawn(None, Supervisor, node.clone())
            .await
            .map_err(|error| Refusal::unavailable(error.to_string()))?;
        let inner = Inner { node, supervisor, tenants: DashMap::new(), numbers: DashMap::new() };
        Ok(Self(Arc::new(inner)))
    }

    /// Keeps links to the other nodes of the cluster from now on. What they lead is then sent to them.
    pub async fn connect(&self, links: Arc<dyn Links>) -> Result<(), Refusal> {
        let gateway = Gateway::start(&self.0.node, links).await?;
        self.0.node.gateway.set(gateway).map_err(|_| Refusal::unavailable("connected before"))
    }

    /// The way to other nodes, on a node of a cluster.
    pub fn gateway(&self) -> Option<&Gateway> {
        self.0.node.gateway.get()
    }

    /// Stops every actor. What they hold can be rebuilt.
    pub async fn stop(&self) {
        if let Some(gateway) = self.gateway() {
            gateway.stop();
        }
        Touches::write_down(&self.0.node).await;
        let _ = self.0.supervisor.stop_and_wait(None, None).await;
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.0.node
    }

    /// The clock of the node.
    pub fn clock(&self) -> &SharedClock {
        &self.0.node.clock
    }

    /// The tenant with this number.
    pub async fn tenant(&self, number: TenantNumber) -> Result<Option<TenantRef>, Refusal> {
        self.led_here(number)?;
        let known = self.0.tenants.get(&number).map(|found| found.clone());
        let tenant = match known {
            Some(found) if found.0.actor.read().is_some() => return Ok(Some(found)),
            Some(found) => found,
            None => match self.load(number).await? {
                Some(loaded) => self.0.tenants.entry(number).or_insert(loaded).clone(),
                None => return Ok(None),
            },
        };
        // Whoever comes while the actor is being started waits for it as well.
        Supervisor::watch(&self.0.supervisor, tenant.0.clone()).await?;
        Ok(Some(tenant))
    }

    async fn load(&self, number: TenantNumber) -> Result<Option<TenantRef>, Refusal> {
        if number == TenantNumber::CLUSTER {
            return Ok(None);
        }
        let records = self.0.node.shards.of(number).read().await?;
        let record = View::new(&records, number).tenant()?;
        let shared = |id| Shared::new(id, number, self.0.node.clone());
        Ok(record.map(|record| TenantRef(shared(record.id))))
    }

    /// The tenant with this public id.
    pub async fn tenant_by_id(&self, id: &TenantId) -> Result<Option<TenantRef>, Refusal> {
        let known = self.0.numbers.get(id).map(|number| *number);
        if let Some(number) = known {
            return self.tenant(number).await;
        }
        let number = self.of_cluster(|cluster| cluster.tenant_number(id)).await?;
        let Some(number) = number else { return Ok(None) };
        self.0.numbers.insert(id.clone(), number);
        self.tenant(number).await
    }

    /// Who holds this access token, if its signature is good, its time is not over, and its session
    /// is valid at this moment.
    pub async fn authenticate(&self, token: &str) -> Result<Caller, Refusal> {
        let verified = self.verify(token).await?;
        self.vouched_caller(verified).await
    }

    /// The same for a token whose signature was found good before, by this node or another.
    pub async fn vouched_caller(&self, verified: VerifiedToken) -> Result<Caller, Refusal> {
        let vouched = Vouched { token: Some(verified), operator: false };
        let tenant = self.tenant(verified.tenant).await.map_err(|no| no.vouching(vouched))?;
        let tenant = tenant.ok_or(Refusal::InvalidToken)?;
        if verified.expires <= self.0.node.clock.now() {
            return Err(Refusal::SessionExpired);
        }
        let live = tenant.check(verified.user, verified.session).await;
        Ok(Caller { live: live.map_err(|no| no.vouching(vouched))?, tenant })
    }

    /// What a token says, if its signature is good. Where another node leads the tenant's shard, the
    /// keys of this node's replica may be old: what they verify is good, and of what they do not,
    /// the other node judges.
    async fn verify(&self, token: &str) -> Result<VerifiedToken, Refusal> {
        let digest = match self.0.node.tokens.get(token) {
            Ok(verified) => return Ok(verified),
            Err(digest) => digest,
        };
        let (number, kid) = key_of(token).ok_or(Refusal::InvalidToken)?;
        let (held, otherwise) = match self.led_here(number) {
            Ok(()) => {
                let tenant = self.tenant(number).await?.ok_or(Refusal::InvalidToken)?;
                (tenant.held().await?, Refusal::InvalidToken)
            }
            Err(elsewhere) => match self.0.node.followed(number) {
                Some(held) => (held, elsewhere),
                None => return Err(elsewhere),
            },
        };
        let now = self.0.node.clock.now();
        let verified = held.keys.verify(token, &kid, number, now).ok_or(otherwise)?;
        self.0.node.tokens.put(digest, verified);
        Ok(verified)
    }
}
