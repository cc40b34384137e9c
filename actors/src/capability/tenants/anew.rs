//! What a cluster does before it serves again after a restore, and the operator's token.
//!
//! Invariant: the state of a restored cluster is older than the truth it replaces, so nothing that
//! could have ended since lets anybody in: every session ends, every one-time token is void, and no
//! key of before signs or verifies.

use janua_storage::capability::sessions::{self, EndAll, EndReason};
use janua_storage::capability::tenants::{
    self, Cause, Delist, Forget, Rename, ResetOperator, Restart, Unsettled,
};
use janua_storage::command::{Command, Reply};
use janua_storage::event::Origin;
use janua_storage::ids::{TenantId, TenantNumber};
use janua_storage::records::Records;
use janua_storage::secret::{Purpose, Secret};
use janua_storage::view::View;

use crate::directory::Directory;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// How many sessions end with one command.
const AT_ONCE: u32 = 500;

/// What beginning anew came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anew {
    /// The id of the new cluster.
    pub cluster: [u8; 16],
    /// How many tenants there are.
    pub tenants: usize,
    /// How many sessions and one-time tokens are void.
    pub ended: u64,
    /// How many tenants were half-way, and are gone.
    pub removed: usize,
}

impl Directory {
    /// Makes a cluster of its own of what was restored. Must be finished before anybody is served;
    /// begun again, it does what is left.
    pub async fn begin_anew(&self, cause: Cause) -> Result<Anew, Refusal> {
        let cluster = self.node().clock.random();
        self.cluster(Origin::default(), tenants::Command::Rename(Rename { id: cluster })).await?;
        let removed = self.remove_halves().await?;
        let records = self.node().shards.of(TenantNumber::CLUSTER).read().await?;
        let known = View::new(&records, TenantNumber::CLUSTER).directory()?;
        let mut anew = Anew { cluster, removed, ..Anew::default() };
        for (_, number) in known {
            let tenant = self.tenant(number).await?.ok_or(Refusal::NotFound)?;
            anew.ended += tenant.end_everything(EndReason::Restored).await?;
            tenant.restart(cause).await?;
            anew.tenants += 1;
        }
        Ok(anew)
    }

    /// Another token for the operator; the old one is void when this returns.
    pub async fn reset_operator_token(&self) -> Result<Secret, Refusal> {
        let random = self.node().clock.random();
        let token = Secret::new(Purpose::OperatorToken, TenantNumber::CLUSTER, &random);
        let reset = tenants::Command::ResetOperator(ResetOperator { token: token.hash() });
        self.cluster(Origin::default(), reset).await?;
        Ok(token)
    }

    /// Removes tenants that are in the directory or in their shard alone: their shards were not read
    /// at one moment.
    async fn remove_halves(&self) -> Result<usize, Refusal> {
        let records = self.node().shards.of(TenantNumber::CLUSTER).read().await?;
        let view = View::new(&records, TenantNumber::CLUSTER);
        let (known, unsettled) = (view.directory()?, view.unsettled()?);
        let mut removed = 0;
        for (id, number) in &known {
            if !self.is_in_its_shard(*number).await? {
                self.delist(id).await?;
                self.forget(*number).await?;
                removed += 1;
            }
        }
        for Unsettled { number, .. } in unsettled {
            self.erase(number).await?;
            self.forget(number).await?;
            removed += 1;
        }
        for number in self.numbers_in_shards().await? {
            if known.iter().all(|(_, known)| *known != number) {
                self.erase(number).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn is_in_its_shard(&self, number: TenantNumber) -> Result<bool, Refusal> {
        let records = self.node().shards.of(number).read().await?;
        Ok(View::new(&records, number).tenant()?.is_some())
    }

    async fn delist(&self, id: &TenantId) -> Result<(), Refusal> {
        let delist = Delist { id: id.clone(), slug: String::new() };
        self.cluster(Origin::default(), tenants::Command::Delist(delist)).await.map(drop)
    }

    pub(super) async fn forget(&self, number: TenantNumber) -> Result<(), Refusal> {
        let forget = tenants::Command::Forget(Forget { number });
        self.cluster(Origin::default(), forget).await.map(drop)
    }

    /// The number of every tenant that has a record anywhere.
    async fn numbers_in_shards(&self) -> Result<Vec<TenantNumber>, Refusal> {
        let mut numbers = Vec::new();
        for shard in self.node().shards.iter() {
            let records = shard.read().await?;
            let mut after = Some(behind(TenantNumber::CLUSTER));
            while let Some(key) = after.take() {
                records.scan(&[], Some(&key), &mut |key, _| {
                    let number = key.first_chunk().map(|number| u32::from_be_bytes(*number));
                    let number = number.map(TenantNumber);
                    numbers.extend(number);
                    after = number.map(behind);
                    std::ops::ControlFlow::Break(())
                })?;
            }
        }
        Ok(numbers)
    }
}

/// A key behind all records of a tenant: no kind has the highest number.
fn behind(number: TenantNumber) -> Vec<u8> {
    [&number.0.to_be_bytes()[..], &[u8::MAX]].concat()
}

impl TenantRef {
    /// Ends every session, and voids what can be used once; how many there were.
    pub(crate) async fn end_everything(&self, reason: EndReason) -> Result<u64, Refusal> {
        let mut ended = 0;
        loop {
            let all = sessions::Command::EndAll(EndAll { reason, most: AT_ONCE });
            let answer = self.propose(Origin::default(), None, Command::Sessions(all)).await?;
            match answer.reply {
                Reply::Count(0) => return Ok(ended),
                Reply::Count(some) => ended += u64::from(some),
                _ => return Err(Refusal::unavailable("sessions ended without a count")),
            }
        }
    }

    async fn restart(&self, cause: Cause) -> Result<(), Refusal> {
        let held = self.held().await?;
        let key = self.new_signing_key(&held)?;
        let restart = tenants::Command::Restart(Box::new(Restart { key, cause }));
        self.propose(Origin::default(), None, Command::Tenants(restart)).await.map(drop)
    }
}
