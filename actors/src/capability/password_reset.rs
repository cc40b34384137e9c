//! A new password for who has forgotten the old one.
//!
//! Decision: a reset verifies the address, because its token was sent there; it ends every session,
//! lifts a lock, and signs nobody in. A second factor stays in force.

use std::time::Duration;

use janua_storage::capability::password_reset::{self, Complete, Request};
use janua_storage::capability::users::User;
use janua_storage::command::Command;
use janua_storage::one_time::Content;
use janua_storage::secret::Secret;

use super::passwords::{Rules, count};
use crate::context::Context;
use crate::email::EmailAddress;
use crate::hashing::Plaintext;
use crate::idempotency::Attempt;
use crate::mail::{Occasion, Onward, Sent, sent};
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// How long a token is good.
const TTL: Duration = Duration::from_secs(3600);

impl TenantRef {
    /// Sends a mail that lets its reader set a new password, if the address has an account. The work is
    /// the same if it has none.
    pub async fn forgot_password(
        &self,
        context: &Context,
        email: &EmailAddress,
        onward: &Onward,
    ) -> Result<Sent, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return sent(&answer.reply),
            Attempt::First(first) => first,
        };
        let name = self.first_name(email).await?;
        let limit = self.0.node.mail_limits.password_reset;
        let (to, name) = (email.as_str(), name.as_deref());
        let mailing = self.mailing(Occasion::PasswordReset, to, name, TTL, onward).await?;
        let request = Request { email: to.into(), mailing, limit };
        let command = password_reset::Command::Request(Box::new(request));
        let ticket = self.ticket(&first, None).await?;
        self.propose_mail(context, ticket, Command::PasswordReset(command), &limit).await
    }

    /// Sets a new password by a mailed token, and says how many sessions ended for it. A password that
    /// the policy refuses leaves the token as it is.
    pub async fn reset_password(
        &self,
        context: &Context,
        token: &Secret,
        new: Plaintext,
    ) -> Result<u32, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return count(&answer.reply),
            Attempt::First(first) => first,
        };
        let user = self.owner_of(token).await?;
        let rules = Rules::of_user(&self.settings().await?.passwords, &user);
        let password = self.hash_of_new(new, rules).await?;
        let complete = Complete { token: token.hash(), password };
        let command = password_reset::Command::Complete(Box::new(complete));
        let ticket = self.ticket(&first, None).await?;
        let answer =
            self.propose(context.origin(), ticket, Command::PasswordReset(command)).await?;
        count(&answer.reply)
    }

    /// Whose password a token resets: only to judge and hash the new one; `apply` looks again.
    async fn owner_of(&self, token: &Secret) -> Result<User, Refusal> {
        let records = self.0.shard.read().await?;
        let now = self.0.node.clock.now();
        let view = self.0.view(&records);
        let found = view.one_time(&token.hash())?.ok_or(Refusal::InvalidToken)?;
        let found = found.unused(now).map_err(|no| Refusal::from_rejection(no, now))?;
        let Content::Reset(reset) = found.content else { return Err(Refusal::InvalidToken) };
        let user = view.user(reset.user)?.filter(|user| reset.is_for(user));
        user.ok_or(Refusal::InvalidToken)
    }
}
