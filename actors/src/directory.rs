//! The directory finds tenants, and with them everything else. One a node. A tenant whose shard another
//! node leads is not found here: the refusal says where.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use janua_storage::capability::limits::{Bucket, Limit};
use janua_storage::capability::phones::Allowance;
use janua_storage::effect::Effect;
use janua_storage::engine::Shards;
use janua_storage::ids::{SessionId, TenantId, TenantNumber, UserId};
use janua_storage::seal::Key;
use janua_storage::view::View;
use parking_lot::RwLock;
use ractor::{Actor, ActorRef};
use tokio::sync::Semaphore;

use crate::capability::api_keys::KeyUses;
use crate::clock::SharedClock;
use crate::gateway::{Gateway, Links};
use crate::hashing::{Cost, HashingPool};
use crate::home::Homes;
use crate::mail::{self, PostmanMessage};
use crate::outbound::Outbound;
use crate::places::Places;
use crate::refusal::{Refusal, Vouched};
use crate::routing::Followed;
use crate::session::{Live, Registry, Touches};
use crate::settings::Settings;
use crate::stamps::Stamps;
use crate::supervisor::{Supervisor, SupervisorMessage};
use crate::tenant::{Shared, TenantRef};
use crate::tokens::{TokenCache, VerifiedToken, key_of};
use crate::upstream::{Configured, Upstream};

/// How actors are set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// What tenants start from.
    pub defaults: Settings,
    /// Cost of password hashes.
    pub cost: Cost,
    /// `iss` of access tokens.
    pub issuer: String,
    /// How mail leaves.
    pub mail: mail::Options,
    /// How many mails of a kind an address gets.
    pub mail_limits: MailLimits,
    /// Who vouches for users.
    pub providers: BTreeMap<String, Configured>,
    /// How many live sessions a user may have.
    pub sessions_per_user: u32,
    /// After how long a signing key gives way to a new one.
    pub signing_key_ttl: Duration,
    /// How many sessions may have an actor at once.
    pub live_sessions: usize,
    /// How long ago somebody may have logged in who changes the ways in without their password.
    pub fresh_for: Duration,
    /// How many access tokens are remembered as verified.
    pub verified_tokens: usize,
    /// Where passwords are looked up among breached ones, without a slash at its end.
    pub breaches: String,
    /// Whether calls to addresses that tenants choose may stay in the machine or its network.
    pub allow_private_addresses: bool,
    /// How many codes may be sent to one phone number.
    pub phone_allowance: Allowance,
    /// A file of MaxMind's format that tells where addresses are.
    pub geoip: Option<PathBuf>,
}

/// How many mails of a kind an address gets.
#[derive(Debug, Clone)]
pub struct MailLimits {
    /// That let somebody set a new password.
    pub password_reset: Limit,
    /// That verify the address, asked for.
    pub email_verification: Limit,
    /// That let somebody in.
    pub magic_link: Limit,
    /// That follow a registration.
    pub registration: Limit,
}

impl Default for MailLimits {
    fn default() -> Self {
        let an_hour = |bucket, count| Limit { bucket, count, window: Duration::from_secs(3600) };
        Self {
            password_reset: an_hour(Bucket::PasswordReset, 3),
            email_verification: an_hour(Bucket::EmailVerification, 5),
            magic_link: an_hour(Bucket::MagicLink, 5),
            registration: an_hour(Bucket::Registration, 5),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            defaults: Settings::default(),
            cost: Cost::default(),
            issuer: "http://localhost:3000".into(),
            mail: mail::Options::default(),
            mail_limits: MailLimits::default(),
            providers: BTreeMap::new(),
            sessions_per_user: 200,
            signing_key_ttl: Duration::from_secs(90 * 24 * 3600),
            live_sessions: 2_000,
            fresh_for: Duration::from_secs(600),
            verified_tokens: 20_000,
            breaches: "https://api.pwnedpasswords.com/range".into(),
            allow_private_addresses: false,
            phone_allowance: Allowance { most: 5, window_ms: 3_600_000 },
            geoip: None,
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
    pub key_uses: KeyUses,
    pub tokens: TokenCache,
    pub followed: Followed,
    pub upstream: Upstream,
    pub defaults: Settings,
    pub issuer: String,
    pub mail: mail::Options,
    pub mail_limits: MailLimits,
    pub postman: RwLock<Option<ActorRef<PostmanMessage>>>,
    pub cluster_key: Key,
    pub fresh_for: Duration,
    pub sessions_per_user: u32,
    pub signing_key_ttl: Duration,
    pub outbound: Arc<Outbound>,
    pub breaches: String,
    pub phone_allowance: Allowance,
    pub places: Places,
    /// Turns for what reads a lot.
    pub readings: Arc<Semaphore>,
}

/// How long a node that stops goes on answering other nodes.
const FINISH: Duration = Duration::from_secs(3);

/// How many of those read at once.
const READINGS: usize = 2;

impl Node {
    /// Tells whoever has to know what a batch has changed.
    fn heed(&self, effects: &[Effect]) {
        self.stamps.heed(effects);
        for effect in effects {
            if let Effect::Mail(tenant, mail) = *effect
                && let Some(postman) = &*self.postman.read()
            {
                // One that has stopped looks through the outboxes when it starts again.
                let _ = postman.cast(PostmanMessage::Posted(tenant, mail));
            }
        }
    }
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
        let outbound = Outbound::new(options.allow_private_addresses)
            .map_err(|error| Refusal::unavailable(error.to_string()))?;
        let outbound = Arc::new(outbound);
        let upstream = Upstream::new(options.providers, outbound.clone(), clock.clone());
        let stamps = Arc::new(Stamps::new());
        let node = Arc::new(Node {
            shards: Homes::new(shards),
            gateway: OnceLock::new(),
            clock,
            hashing,
            stamps,
            sessions: Registry::new(options.live_sessions),
            touches: Touches::default(),
            key_uses: KeyUses::default(),
            tokens: TokenCache::new(options.verified_tokens),
            followed: Followed::default(),
            upstream,
            defaults: options.defaults,
            issuer: options.issuer,
            mail: options.mail,
            mail_limits: options.mail_limits,
            postman: RwLock::default(),
            cluster_key,
            sessions_per_user: options.sessions_per_user,
            fresh_for: options.fresh_for,
            signing_key_ttl: options.signing_key_ttl,
            outbound,
            breaches: options.breaches,
            phone_allowance: options.phone_allowance,
            places: Places::new(options.geoip),
            readings: Arc::new(Semaphore::new(READINGS)),
        });
        for shard in node.shards.shards().iter() {
            let node = node.clone();
            shard.observe(Arc::new(move |effects| node.heed(effects)));
        }
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

    /// Stops every actor, when what other nodes have asked for is done. What they hold can be rebuilt.
    pub async fn stop(&self) {
        if let Some(gateway) = self.gateway() {
            gateway.finish(FINISH).await;
            gateway.stop();
        }
        Touches::write_down(&self.0.node).await;
        let _ = self.0.supervisor.stop_and_wait(None, None).await;
    }

    /// Returns when the root of the actors has ended. Nobody starts it anew.
    pub async fn ended(&self) {
        drop(self.0.supervisor.wait(None).await);
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
        let Some(record) = View::new(&records, number).tenant()? else { return Ok(None) };
        Ok(Some(TenantRef(Shared::new(record.id, number, self.0.node.clone()))))
    }

    /// Lets go of a tenant that is gone.
    pub(crate) fn forget_tenant(&self, id: &TenantId, number: TenantNumber) {
        self.forget_number(id, number);
        if let Some((_, tenant)) = self.0.tenants.remove(&number)
            && let Some(actor) = tenant.0.actor.read().as_ref()
        {
            actor.stop(None);
        }
    }

    fn forget_number(&self, id: &TenantId, number: TenantNumber) {
        self.0.numbers.remove_if(id, |_, known| *known == number);
    }

    /// The tenant with this public id.
    pub async fn tenant_by_id(&self, id: &TenantId) -> Result<Option<TenantRef>, Refusal> {
        let known = self.0.numbers.get(id).map(|number| *number);
        if let Some(number) = known {
            match self.tenant(number).await {
                // Another node may have erased the tenant, and given its id to one of another shard.
                Ok(None) | Err(Refusal::Elsewhere(_)) => self.forget_number(id, number),
                // What is held here of one that was erased may not have been let go.
                Ok(Some(found)) if matches!(found.held().await, Err(Refusal::NotFound)) => {
                    self.forget_tenant(id, number);
                }
                found => return found,
            }
        }
        let number = self.of_cluster(|cluster| cluster.tenant_number(id)).await?;
        let Some(number) = number else { return Ok(None) };
        let found = self.tenant(number).await?;
        match &found {
            Some(_) => drop(self.0.numbers.insert(id.clone(), number)),
            // This node's replica may be behind: that there is none, the leader of shard 0 says.
            None => drop(self.0.node.shards.of(TenantNumber::CLUSTER).read().await?),
        }
        Ok(found)
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
