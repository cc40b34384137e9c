//! Other providers, and the codes by which a page picks up the login that a redirect has completed.

use janua_storage::capability::oauth::{self, Redeem};
use janua_storage::command::Command;
use janua_storage::secret::Secret;

use super::mfa::Entered;
use crate::context::{Context, DeviceInfo};
use crate::idempotency::Attempt;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

impl TenantRef {
    /// Turns a one-time code into the login that it stands for.
    pub async fn redeem(&self, context: &Context, code: &Secret) -> Result<Entered, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return self.entered(answer, None).await,
            Attempt::First(first) => first,
        };
        let new = self.new_entry(context, &DeviceInfo::default()).await?;
        let redeem = Redeem { code: code.hash(), entry: new.entry };
        let command = Command::Oauth(oauth::Command::Redeem(Box::new(redeem)));
        let ticket = self.ticket(&first, Some(&new.secrets.recorded())).await?;
        let answer = self.propose(context.origin(), ticket, command).await?;
        self.entered(answer, Some(new.secrets)).await
    }
}
