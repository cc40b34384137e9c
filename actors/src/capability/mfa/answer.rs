//! The second factor of a login.

use janua_storage::capability::mfa::{self, Answer, Pending, Proof};
use janua_storage::capability::passkeys::Aim;
use janua_storage::command::{Command, Reply};
use janua_storage::one_time::Content;
use janua_storage::secret::{Secret, SecretHash};

use super::codes::hash_of_backup_code;
use crate::capability::passkeys::{Signed, Verified};
use crate::capability::sessions::SignedIn;
use crate::context::{Context, DeviceInfo};
use crate::idempotency::Attempt;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// A second factor, as a client shows it.
#[derive(Debug, Clone)]
pub enum Factor {
    /// A code of an authenticator app.
    Totp(Secret),
    /// A backup code.
    BackupCode(Secret),
    /// What a passkey has signed.
    Passkey(Box<Signed>),
}

impl TenantRef {
    /// Completes a login whose first factor was right.
    pub async fn log_in_with_second_factor(
        &self,
        context: &Context,
        temp_token: &Secret,
        factor: Factor,
        device: &DeviceInfo,
    ) -> Result<SignedIn, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return self.signed_in(answer, None).await,
            Attempt::First(first) => first,
        };
        let token = temp_token.hash();
        let shown = self.first_factor(&token).await?;
        let pending = shown.pending().cloned().ok_or(Refusal::InvalidToken)?;
        let wrong = match &factor {
            Factor::Passkey(_) => Refusal::InvalidCredentials,
            _ => Refusal::InvalidMfaCode,
        };
        let proof = self.proof(context, &token, &pending, factor).await?;
        let mut new = self.new_session(context, device).await?;
        if *device == DeviceInfo::default() {
            new.start.is_on_the_device_of(shown);
        }
        let origin = new.start.origin.clone();
        let answer = Answer {
            temp_token: token,
            user: pending.user,
            proof,
            policy: self.settings().await?.second_factor_policy(),
            start: new.start,
        };
        let command = Command::Mfa(mfa::Command::Answer(Box::new(answer)));
        let command = self.guessing(context, command).await?;
        let ticket = self.ticket(&first, Some(new.refresh_token.expose())).await?;
        let answer = self.propose(origin, ticket, command).await?;
        match answer.reply {
            Reply::WrongGuess => Err(wrong),
            _ => self.signed_in(answer, Some(new.refresh_token)).await,
        }
    }

    /// The first factor that a temporary token stands for, if it is good at this moment.
    pub(crate) async fn pending(&self, token: &SecretHash) -> Result<Pending, Refusal> {
        self.first_factor(token).await?.pending().cloned().ok_or(Refusal::InvalidToken)
    }

    async fn first_factor(&self, token: &SecretHash) -> Result<Content, Refusal> {
        let records = self.0.shard.read().await?;
        let now = self.0.node.clock.now();
        let found = self.0.view(&records).one_time(token)?.ok_or(Refusal::InvalidToken)?;
        let found =
            found.unused(now).map_err(|rejection| Refusal::from_rejection(rejection, now))?;
        Ok(found.content)
    }

    async fn proof(
        &self,
        context: &Context,
        token: &SecretHash,
        pending: &Pending,
        factor: Factor,
    ) -> Result<Proof, Refusal> {
        match factor {
            Factor::Totp(code) => self.proof_of_totp(pending.user, code.expose()).await,
            Factor::BackupCode(code) => {
                Ok(Proof::BackupCode(hash_of_backup_code(pending.user, code.expose())))
            }
            Factor::Passkey(signed) => {
                let asked = |aim: &Aim| *aim == Aim::SecondFactor(*token);
                let Verified(assertion) = self.verify(context, &signed, asked).await?;
                Ok(Proof::Passkey(Box::new(assertion)))
            }
        }
    }
}
