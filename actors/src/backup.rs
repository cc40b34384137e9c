//! Backups, as operators ask for them.

use janua_storage::backup::recovery_key::RecoveryPublicKey;
use janua_storage::capability::tenants::{self, Mark, SetRecoveryKey};
use janua_storage::command::{Command, Proposal, Rejection};
use janua_storage::engine::backup::{Archive, Order};
use janua_storage::event::Origin;
use janua_storage::ids::TenantNumber;
use janua_storage::view::View;

use crate::context::Context;
use crate::directory::Directory;
use crate::refusal::Refusal;

impl Directory {
    /// To whom backups are encrypted, once that is known.
    pub async fn recovery_key(&self) -> Result<Option<RecoveryPublicKey>, Refusal> {
        let records = self.node().shards.of(TenantNumber::CLUSTER).read().await?;
        let key = View::new(&records, TenantNumber::CLUSTER).recovery_key()?;
        Ok(key.map(RecoveryPublicKey))
    }

    /// Encrypts backups to this key from now on; refused when there is another one, unless that is
    /// to be replaced.
    pub async fn set_recovery_key(
        &self,
        context: &Context,
        key: RecoveryPublicKey,
        replace: bool,
    ) -> Result<(), Refusal> {
        let set = tenants::Command::SetRecoveryKey(SetRecoveryKey { public: key.0, replace });
        match self.try_cluster(context.origin(), set).await? {
            Err(Rejection::AlreadyExists) => Err(Refusal::RecoveryKey),
            outcome => {
                let now = self.node().clock.now();
                outcome.map(drop).map_err(|rejection| Refusal::from_rejection(rejection, now))
            }
        }
    }

    /// Marks the present position in the shards that other nodes lead.
    async fn mark(&self, value: [u8; 16]) -> Result<(), Refusal> {
        let node = self.node();
        for shard in node.shards.iter().filter(|shard| !shard.is_leader()) {
            let mark = tenants::Command::Mark(Mark { value });
            let proposal = Proposal {
                tenant: TenantNumber::CLUSTER,
                proposed: node.clock.now(),
                seed: node.clock.random(),
                origin: Origin::default(),
                idempotency: None,
                command: Command::Tenants(mark),
            };
            let outcome = node.write_at(shard, proposal);
            let refused = |rejection| Refusal::from_rejection(rejection, node.clock.now());
            outcome.await?.map_err(refused)?;
        }
        Ok(())
    }

    /// Begins a backup of everything that was answered before, and says to whom it is encrypted.
    ///
    /// Decision: it is taken by the node that is asked, from its own replicas, also of shards that
    /// others lead: an archive is not sent through another node.
    pub async fn back_up(&self) -> Result<(Archive, RecoveryPublicKey), Refusal> {
        let node = self.node();
        let mark = node.clock.random();
        self.mark(mark).await?;
        let settled = node.shards.shards().settled(&mark).await?;
        let records = node.shards.of(TenantNumber::CLUSTER).follow()?;
        let view = View::new(&records, TenantNumber::CLUSTER);
        let to = view.recovery_key()?.map(RecoveryPublicKey).ok_or(Refusal::RecoveryKey)?;
        let cluster = view.cluster()?;
        let cluster = cluster.ok_or_else(|| Refusal::unavailable("there is no cluster yet"))?;
        let order = Order {
            cluster: cluster.id,
            key: node.cluster_key.clone(),
            program: env!("CARGO_PKG_VERSION").into(),
            begun: node.clock.now(),
            to,
            random: node.clock.random(),
        };
        Ok((settled.back_up(order)?, to))
    }
}
