//! Passkeys: registering them, logging in with them, keeping a list of them.

mod authentication;
mod registration;
mod relying_party;

use serde::{Deserialize, Serialize};

use janua_storage::capability::passkeys::{self, Aim, Begin, Ceremony, Fail, Passkey};
use janua_storage::capability::passkeys::{Remove, Rename};
use janua_storage::command::{Command, Reply};
use janua_storage::ids::{CredentialId, UserId};
use janua_storage::one_time::Content;
use janua_storage::secret::SecretHash;

pub(crate) use authentication::Verified;
pub use authentication::{Asked, LogInOptions, Signed};
pub use registration::{Attested, RegistrationOptions};
pub(crate) use relying_party::check;

use crate::capability::sessions::unexpected;
use crate::context::Context;
use crate::directory::Caller;
use crate::hashing::Plaintext;
use crate::idempotency::Attempt;
use crate::refusal::Refusal;
use crate::tenant::{Answer, TenantRef};
use relying_party::{Challenge, RelyingParty};

/// Under which context the state of a ceremony is sealed.
const CEREMONY: &[u8] = b"passkey ceremony";

/// A ceremony that is under way, as found by its challenge.
struct UnderWay {
    challenge: SecretHash,
    aim: Aim,
    state: Vec<u8>,
}

impl TenantRef {
    /// The caller's passkeys, oldest first.
    pub async fn passkeys(&self, caller: &Caller) -> Result<Vec<Passkey>, Refusal> {
        let records = self.0.shard.read().await?;
        Ok(self.0.view(&records).passkeys(caller.user())?)
    }

    /// Gives one of the caller's passkeys another name.
    pub async fn rename_passkey(
        &self,
        context: &Context,
        caller: &Caller,
        id: CredentialId,
        name: String,
    ) -> Result<Passkey, Refusal> {
        let rename = Rename { user: caller.user(), id, name };
        let command = caller.within(Command::Passkeys(passkeys::Command::Rename(rename)));
        match self.propose_once(context, command).await?.reply {
            Reply::Passkey(passkey) => Ok(*passkey),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Removes one of the caller's passkeys, which must not be their last way in.
    pub async fn remove_passkey(
        &self,
        context: &Context,
        caller: &Caller,
        id: CredentialId,
        password: Option<Plaintext>,
    ) -> Result<(), Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(_) => return Ok(()),
            Attempt::First(first) => first,
        };
        let passkeys = self.passkeys(caller).await?;
        if passkeys.iter().all(|passkey| passkey.id != id) {
            return Err(Refusal::NotFound);
        }
        self.require_recent(context, caller, password).await?;
        let remove = Remove { user: caller.user(), id };
        let command = caller.within(Command::Passkeys(passkeys::Command::Remove(remove)));
        let ticket = self.ticket(&first, None).await?;
        self.propose(context.origin(), ticket, command).await.map(drop)
    }

    /// Refuses a session whose owner has not shown of late who they are: by their second factor, where
    /// they have one, else by their password or a login.
    async fn require_recent(
        &self,
        context: &Context,
        caller: &Caller,
        password: Option<Plaintext>,
    ) -> Result<(), Refusal> {
        if caller.live.user.profile.mfa_enabled {
            return self.require_second_factor(caller).await;
        }
        self.require_fresh(context, caller, password).await
    }

    async fn relying_party(&self) -> Result<RelyingParty, Refusal> {
        RelyingParty::of(&self.settings().await?.webauthn)
    }

    /// What keeps a challenge until its answer comes, on whichever node.
    async fn begins(&self, aim: Aim, challenge: &Challenge) -> Result<Command, Refusal> {
        let nonce = self.0.node.clock.random();
        let state = self.held().await?.key.seal(nonce, CEREMONY, challenge.state.as_bytes())?;
        let begin = Begin {
            challenge: SecretHash::of_bytes(&challenge.challenge),
            ceremony: Ceremony { aim, state },
        };
        Ok(Command::Passkeys(passkeys::Command::Begin(Box::new(begin))))
    }

    /// What a challenge was issued for, if it can be answered at this moment.
    async fn under_way(&self, challenge: &[u8]) -> Result<UnderWay, Refusal> {
        let challenge = SecretHash::of_bytes(challenge);
        let records = self.0.shard.read().await?;
        let now = self.0.node.clock.now();
        let found = self.0.view(&records).one_time(&challenge)?.ok_or(Refusal::InvalidToken)?;
        let found =
            found.unused(now).map_err(|rejection| Refusal::from_rejection(rejection, now))?;
        let Content::Ceremony(Ceremony { aim, state }) = found.content else {
            return Err(Refusal::InvalidToken);
        };
        let state = self.held().await?.key.open(CEREMONY, &state)?;
        Ok(UnderWay { challenge, aim, state })
    }

    /// Spends the challenge of an answer that does not hold, and says what its client hears.
    async fn fail(
        &self,
        context: &Context,
        challenge: SecretHash,
        user: Option<UserId>,
        reason: &str,
    ) -> Refusal {
        tracing::info!(tenant = %self.id(), user = user.map(tracing::field::display), reason, "a passkey was refused");
        let fail = Fail { challenge, user, reason: reason.into() };
        let command = Command::Passkeys(passkeys::Command::Fail(fail));
        match self.propose(context.origin(), None, command).await {
            Ok(_) => Refusal::InvalidCredentials,
            Err(refusal) => refusal,
        }
    }
}

/// Options as an idempotency record keeps them.
fn recorded(options: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(options).map_err(|error| Refusal::unavailable(error.to_string()))
}

/// The options that were proposed, unless others were recorded.
fn options<T: for<'de> Deserialize<'de>>(
    answer: Answer,
    proposed: Option<T>,
) -> Result<T, Refusal> {
    match answer.secrets {
        Some(recorded) => serde_json::from_slice(&recorded)
            .map_err(|error| Refusal::unavailable(error.to_string())),
        None => proposed.ok_or_else(|| unexpected(&answer.reply)),
    }
}
