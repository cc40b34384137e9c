//! Backups, as operators ask for them.

use janua_storage::backup::recovery_key::RecoveryPublicKey;
use janua_storage::capability::cluster::agreed;
use janua_storage::capability::tenants::{self, SetRecoveryKey};
use janua_storage::command::Rejection;
use janua_storage::engine::backup::{Archive, Order};
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

    /// Begins a backup of everything that was answered before, and says to whom it is encrypted.
    ///
    /// Decision: it is taken by the node that is asked, from its own replicas, also of shards that
    /// others lead. Only the part of a shard of which it has none comes from another node.
    ///
    /// Decision: the first shard, which has the directory of tenants, is read first: whatever tenant
    /// the directory knows is then in its own shard. One that is created meanwhile may be in its
    /// shard alone; a restore removes it.
    pub async fn back_up(&self) -> Result<(Archive, RecoveryPublicKey), Refusal> {
        let node = self.node();
        let mut parts = Vec::new();
        for home in node.shards.iter() {
            parts.push(node.part_of(home).await?);
        }
        let records = node.shards.of(TenantNumber::CLUSTER).follow()?;
        let view = View::new(&records, TenantNumber::CLUSTER);
        let to = view.recovery_key()?.map(RecoveryPublicKey).ok_or(Refusal::RecoveryKey)?;
        let cluster = view.cluster()?;
        let cluster = cluster.ok_or_else(|| Refusal::unavailable("there is no cluster yet"))?;
        let order = Order {
            cluster: cluster.id,
            key: node.cluster_key.clone(),
            data_version: agreed(&records)?.into(),
            program: env!("CARGO_PKG_VERSION").into(),
            begun: node.clock.now(),
            to,
            random: node.clock.random(),
        };
        Ok((Archive::of(parts, order)?, to))
    }
}
