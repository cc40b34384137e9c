//! The accounts at providers that are ways in to an account.

use janua_storage::capability::oauth::{self, Identity, Unlink};
use janua_storage::command::Command;

use crate::context::Context;
use crate::directory::Caller;
use crate::hashing::Plaintext;
use crate::idempotency::Attempt;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

impl TenantRef {
    /// The caller's identities, by provider.
    pub async fn identities(&self, caller: &Caller) -> Result<Vec<Identity>, Refusal> {
        let records = self.0.shard.read().await?;
        Ok(self.0.view(&records).identities(caller.user())?)
    }

    /// Closes one of the caller's ways in, which must not be the last. A session that is not fresh
    /// must show its owner's password.
    pub async fn unlink(
        &self,
        context: &Context,
        caller: &Caller,
        provider: &str,
        password: Option<Plaintext>,
    ) -> Result<(), Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(_) => return Ok(()),
            Attempt::First(first) => first,
        };
        let linked = self.identities(caller).await?;
        if linked.iter().all(|identity| identity.account.provider != provider) {
            return Err(Refusal::NotFound);
        }
        self.require_fresh(context, caller, password).await?;
        let unlink = Unlink { user: caller.user(), provider: provider.into() };
        let command = caller.within(Command::Oauth(oauth::Command::Unlink(unlink)));
        let ticket = self.ticket(&first, None).await?;
        self.propose(context.origin(), ticket, command).await.map(drop)
    }
}
