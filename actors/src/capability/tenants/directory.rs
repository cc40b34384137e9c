//! Tenants as they come and go: what is done in two shards is done in steps that can be repeated,
//! and a tenant that was left half-way is finished by the sweeper.

use std::sync::Arc;
use std::time::Duration;

use janua_storage::capability::api_keys::ApiKeyKind;
use janua_storage::capability::tenants::{
    self, Create, Delist, Enlist, Erase, Forget, Reserve, Tenant, Title, Unsettled,
};
use janua_storage::command::{Command, Outcome, Rejection, Reply};
use janua_storage::event::Origin;
use janua_storage::idempotency::Ticket;
use janua_storage::ids::{TenantId, TenantNumber};
use janua_storage::keys::{self, Kind};
use janua_storage::seal::Key;
use janua_storage::secret::{Purpose, Secret};
use janua_storage::view::View;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{api_key_record, seal_settings};
use crate::context::Context;
use crate::directory::{Directory, Node};
use crate::idempotency::{KEPT, digest};
use crate::refusal::Refusal;
use crate::settings::{Settings, merge};
use crate::tenant::{Shared, TENANT_KEY, TenantRef};
use crate::tokens;

/// How many records are erased at once, so that no other command waits long behind it.
const AT_ONCE: u32 = 500;

/// For how long a tenant that is being made is left to whoever makes it.
const PATIENCE: Duration = Duration::from_secs(600);

/// The same for one that is being erased.
const ERASING: Duration = Duration::from_secs(60);

/// A tenant to be.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its public name; drawn when there is none.
    pub id: Option<TenantId>,
    /// What people call it.
    pub name: String,
    /// Its name in addresses.
    pub slug: String,
    /// A merge patch of the deployment's settings.
    pub settings: Value,
}

/// A tenant that was made, with its first keys, which are shown once.
pub struct NewlyMade {
    /// Its record.
    pub tenant: Tenant,
    /// Its settings, complete.
    pub settings: Settings,
    /// Names the tenant; safe in a browser.
    pub publishable_key: Secret,
    /// Server to server.
    pub secret_key: Secret,
}

/// What is drawn for a tenant before it has a number.
struct Drawn {
    id: TenantId,
    publishable: Zeroizing<[u8; 32]>,
    secret: Zeroizing<[u8; 32]>,
}

impl Drawn {
    fn of(node: &Node, id: Option<TenantId>) -> Self {
        let (ms, random) = node.clock.id_bits();
        Self {
            id: id.unwrap_or_else(|| TenantId::new(ms, random)),
            publishable: Zeroizing::new(node.clock.random()),
            secret: Zeroizing::new(node.clock.random()),
        }
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let parts = [&*self.publishable, &*self.secret, self.id.as_str().as_bytes()];
        Zeroizing::new(parts.concat())
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (publishable, rest) = bytes.split_first_chunk()?;
        let (secret, id) = rest.split_first_chunk()?;
        Some(Self {
            id: std::str::from_utf8(id).ok()?.parse().ok()?,
            publishable: Zeroizing::new(*publishable),
            secret: Zeroizing::new(*secret),
        })
    }
}

impl Directory {
    /// Makes a tenant. A request that is repeated with its idempotency key goes on where the first
    /// one was left, and is answered alike.
    pub async fn create_tenant(
        &self,
        context: &Context,
        new: NewTenant,
    ) -> Result<NewlyMade, Refusal> {
        let node = self.node();
        let mut changes = Value::Object(Default::default());
        merge(&mut changes, &new.settings);
        let settings = node.settled(&changes)?;
        let drawn = Drawn::of(node, new.id.clone());
        let (drawn, number) = self.reserve(context, drawn, &new.slug).await?;
        let publishable_key = Secret::new(Purpose::PublishableKey, number, &drawn.publishable);
        let secret_key = Secret::new(Purpose::SecretKey, number, &drawn.secret);
        let tenant = self.make(context, new, &drawn.id, number, [&publishable_key, &secret_key]);
        let tenant = tenant.await?;
        let enlist = Enlist { id: drawn.id, number };
        match self.cluster(context.origin(), tenants::Command::Enlist(enlist)).await {
            Ok(_) => Ok(NewlyMade { tenant, settings, publishable_key, secret_key }),
            Err(Refusal::NotFound) => {
                // It took so long that its name was given up.
                self.erase(number).await?;
                Err(Refusal::unavailable("a tenant was given up while it was being made"))
            }
            Err(taken @ Refusal::SlugTaken) => {
                self.erase(number).await?;
                self.forget(number).await?;
                Err(taken)
            }
            Err(refusal) => Err(refusal),
        }
    }

    async fn reserve(
        &self,
        context: &Context,
        drawn: Drawn,
        slug: &str,
    ) -> Result<(Drawn, TenantNumber), Refusal> {
        let node = self.node();
        let key = node.cluster_key.derive("idempotency");
        let ticket = match &context.idempotency {
            None => None,
            Some(request) => {
                let digest = digest(request);
                let secrets = key.seal(node.clock.random(), &digest, &drawn.to_bytes())?;
                let expires = node.clock.now().after(KEPT);
                let request = key.mac(&request.request);
                Some(Ticket { digest, request, secrets: Some(secrets), expires })
            }
        };
        let digest = ticket.as_ref().map(|ticket| ticket.digest).unwrap_or_default();
        let reserve = Reserve { id: drawn.id.clone(), slug: slug.into() };
        let command = Command::Tenants(tenants::Command::Reserve(reserve));
        let refused = |rejection| Refusal::from_rejection(rejection, node.clock.now());
        let reserved = write(&cluster(node), context.origin(), ticket, command).await?;
        match reserved.map_err(refused)? {
            Reply::Tenant(number) => Ok((drawn, number)),
            Reply::Recorded(recorded) => {
                let number = number_of(recorded.outcome, refused)?;
                let sealed = recorded.secrets.ok_or_else(lost)?;
                let bytes = Zeroizing::new(key.open(&digest, &sealed)?);
                Ok((Drawn::from_bytes(&bytes).ok_or_else(lost)?, number))
            }
            _ => Err(lost()),
        }
    }

    /// The tenant in its own shard.
    async fn make(
        &self,
        context: &Context,
        new: NewTenant,
        id: &TenantId,
        number: TenantNumber,
        [publishable, secret]: [&Secret; 2],
    ) -> Result<Tenant, Refusal> {
        let node = self.node();
        let key = Key::new(node.clock.random());
        let mut changes = Value::Object(Default::default());
        merge(&mut changes, &seal_settings(&key, &*node.clock, &new.settings)?);
        let algorithm = node.defaults.with(&changes.to_string())?.tokens.signing_algorithm.into();
        let tenant = Tenant {
            id: id.clone(),
            number,
            name: new.name,
            slug: new.slug,
            created: node.clock.now(),
            settings: changes.to_string(),
            revision: 0,
            key: node.cluster_key.seal(node.clock.random(), TENANT_KEY, key.expose())?,
            signing_key: 1,
        };
        let keys = [(publishable, ApiKeyKind::Publishable), (secret, ApiKeyKind::Secret)];
        let create = Create {
            signing_key: tokens::generate(algorithm, number, 1, &key, &*node.clock)?,
            api_keys: keys.map(|(secret, kind)| api_key_record(node, secret, kind)).to_vec(),
            tenant: tenant.clone(),
            replace: false,
        };
        let shared = Shared::new(id.clone(), number, node.clone());
        let command = Command::Tenants(tenants::Command::Create(Box::new(create)));
        match write(&shared, context.origin(), None, command).await? {
            Ok(_) => Ok(tenant),
            // The first of two requests with one idempotency key has come as far as this.
            Err(Rejection::AlreadyExists) => recorded(node, number).await?.ok_or_else(lost),
            Err(rejection) => Err(Refusal::from_rejection(rejection, node.clock.now())),
        }
    }

    /// Erases a tenant with everything that it has. When this returns, nobody gets in any more.
    pub async fn delete_tenant(&self, context: &Context, id: &TenantId) -> Result<(), Refusal> {
        let tenant = self.tenant_by_id(id).await?.ok_or(Refusal::NotFound)?;
        let slug = tenant.record().await?.slug;
        let delist = tenants::Command::Delist(Delist { id: id.clone(), slug });
        self.cluster(context.origin(), delist).await?;
        let number = tenant.number();
        self.forget_tenant(id, number);
        self.erase(number).await?;
        self.forget_tenant(id, number);
        self.forget(number).await
    }

    /// Some of the tenants in the order of their ids, and how many there are.
    pub async fn tenants(
        &self,
        offset: usize,
        limit: usize,
    ) -> Result<(Vec<(Tenant, Settings)>, usize), Refusal> {
        let records = self.node().shards.of(TenantNumber::CLUSTER).read().await?;
        let all = View::new(&records, TenantNumber::CLUSTER).directory()?;
        let total = all.len();
        let mut page = Vec::new();
        for (_, number) in all.into_iter().skip(offset).take(limit) {
            let Some(tenant) = recorded(self.node(), number).await? else { continue };
            let settings = self.node().defaults.with(&tenant.settings)?;
            page.push((tenant, settings));
        }
        Ok((page, total))
    }

    /// Writes to the cluster's own records.
    pub(crate) async fn cluster(
        &self,
        origin: Origin,
        command: tenants::Command,
    ) -> Result<Reply, Refusal> {
        let outcome = self.try_cluster(origin, command).await?;
        let now = self.node().clock.now();
        outcome.map_err(|rejection| Refusal::from_rejection(rejection, now))
    }

    /// The same, for whoever has an answer to a rejection.
    pub(crate) async fn try_cluster(
        &self,
        origin: Origin,
        command: tenants::Command,
    ) -> Result<Outcome, Refusal> {
        write(&cluster(self.node()), origin, None, Command::Tenants(command)).await
    }

    /// Erases what is in a tenant's shard.
    pub(crate) async fn erase(&self, number: TenantNumber) -> Result<(), Refusal> {
        erase(self.node(), number).await
    }
}

/// Finishes what was left half-way, a tenant after the other.
pub(crate) async fn settle(node: &Arc<Node>) -> Result<(), Refusal> {
    let records = node.shards.of(TenantNumber::CLUSTER).read().await?;
    let unsettled = View::new(&records, TenantNumber::CLUSTER).unsettled()?;
    let now = node.clock.now();
    let is_left =
        |one: &Unsettled| now.since(one.since) >= if one.leaving { ERASING } else { PATIENCE };
    for Unsettled { number, .. } in unsettled.into_iter().filter(is_left) {
        erase(node, number).await?;
        let forget = Command::Tenants(tenants::Command::Forget(Forget { number }));
        let outcome = write(&cluster(node), Origin::default(), None, forget).await?;
        outcome.map_err(|rejection| Refusal::from_rejection(rejection, now))?;
    }
    Ok(())
}

async fn erase(node: &Arc<Node>, number: TenantNumber) -> Result<(), Refusal> {
    let shared = Shared::new(TenantId::default_tenant(), number, node.clone());
    loop {
        let erase = tenants::Command::Erase(Erase { most: AT_ONCE });
        let outcome = write(&shared, Origin::default(), None, Command::Tenants(erase)).await?;
        match outcome.map_err(|rejection| Refusal::from_rejection(rejection, node.clock.now()))? {
            Reply::Count(erased) if erased >= AT_ONCE => {}
            _ => return Ok(()),
        }
    }
}

/// Writes to a shard wherever it is led. Every step of these may be made twice.
async fn write(
    shared: &Shared,
    origin: Origin,
    ticket: Option<Ticket>,
    command: Command,
) -> Result<Outcome, Refusal> {
    let proposal = shared.proposal(origin, ticket, command);
    shared.node.write_anywhere(proposal).await
}

/// A tenant's record, wherever its shard is led.
async fn recorded(node: &Arc<Node>, number: TenantNumber) -> Result<Option<Tenant>, Refusal> {
    node.get_anywhere(number, &keys::single(number, Kind::Tenant)).await
}

fn cluster(node: &Arc<Node>) -> Arc<Shared> {
    Shared::new(TenantId::default_tenant(), TenantNumber::CLUSTER, node.clone())
}

fn number_of(
    outcome: Outcome,
    refused: impl Fn(Rejection) -> Refusal,
) -> Result<TenantNumber, Refusal> {
    match outcome.map_err(refused)? {
        Reply::Tenant(number) => Ok(number),
        _ => Err(lost()),
    }
}

fn lost() -> Refusal {
    Refusal::unavailable("a tenant that was reserved cannot be found again")
}

impl TenantRef {
    /// Gives the tenant another name.
    pub async fn rename(&self, context: &Context, name: String) -> Result<(), Refusal> {
        let command = Command::Tenants(tenants::Command::Title(Title { name }));
        self.propose(context.origin(), None, command).await.map(drop)
    }
}
