//! A login by passkey.

use janua_storage::capability::passkeys::{
    self, Aim, Assertion, LogIn, POSSIBLE_CLONE, Passkey, Whose,
};
use janua_storage::command::{Command, Reply};
use janua_storage::secret::Secret;
use serde::{Deserialize, Serialize};

use super::relying_party::{ClientData, TIMEOUT, decoys};
use super::{UnderWay, options, recorded};
use crate::capability::mfa::Entered;
use crate::context::{Context, DeviceInfo};
use crate::email::EmailAddress;
use crate::idempotency::Attempt;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// Who is asked for a passkey.
#[derive(Debug, Clone)]
pub enum Asked {
    /// Whoever has one that their authenticator can find by itself.
    Anybody,
    /// Whoever has an account with this address.
    Address(EmailAddress),
    /// Whoever has shown the first factor that this temporary token stands for.
    SecondFactor(Secret),
}

/// What a client needs to have a challenge signed (WebAuthn §5.5).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogInOptions {
    /// To be signed.
    pub challenge: Vec<u8>,
    /// Id of the relying party.
    pub rp_id: String,
    /// The passkeys that will do; none where any will.
    pub allowed: Vec<Vec<u8>>,
    /// How long it may take, milliseconds.
    pub timeout_ms: u64,
}

/// What a passkey has signed (WebAuthn §5.2.2).
#[derive(Debug, Clone)]
pub struct Signed {
    /// What its authenticator calls it.
    pub credential: Vec<u8>,
    /// The client's part, as JSON.
    pub client_data: Vec<u8>,
    /// The authenticator's part.
    pub authenticator_data: Vec<u8>,
    /// The signature over both.
    pub signature: Vec<u8>,
    /// Whose it says it is.
    pub user_handle: Option<Vec<u8>>,
}

/// What a passkey has signed and what holds, so far as a node can tell.
pub(crate) struct Verified(pub Assertion);

impl TenantRef {
    /// Asks for a passkey. An address without one, with or without an account, is answered alike.
    pub async fn begin_passkey_login(
        &self,
        context: &Context,
        asked: Asked,
    ) -> Result<LogInOptions, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return options(answer, None),
            Attempt::First(first) => first,
        };
        let (aim, allowed) = self.allowed(asked).await?;
        let challenge = self.relying_party().await?.begin_authentication()?;
        let begun = LogInOptions {
            challenge: challenge.challenge.clone(),
            rp_id: self.settings().await?.webauthn.rp_id.clone(),
            allowed,
            timeout_ms: u64::try_from(TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        };
        let command = self.begins(aim, &challenge).await?;
        let ticket = self.ticket(&first, Some(&recorded(&begun)?)).await?;
        options(self.propose(context.origin(), ticket, command).await?, Some(begun))
    }

    /// Who may answer, and with which passkeys.
    async fn allowed(&self, asked: Asked) -> Result<(Aim, Vec<Vec<u8>>), Refusal> {
        let credentials = |passkeys: Vec<Passkey>| {
            passkeys.into_iter().map(|passkey| passkey.credential).collect::<Vec<_>>()
        };
        match asked {
            Asked::Anybody => Ok((Aim::LogIn(Whose::Anybody), Vec::new())),
            Asked::Address(email) => {
                let key = self.held().await?.key.derive("passkey decoys");
                let decoys = decoys(&key, email.as_str())?;
                let records = self.0.shard.read().await?;
                let view = self.0.view(&records);
                let Some(user) = view.user_by_email(email.as_str())? else {
                    return Ok((Aim::LogIn(Whose::Nobody), decoys));
                };
                let id = user.profile.id;
                match credentials(view.passkeys(id)?) {
                    none if none.is_empty() => Ok((Aim::LogIn(Whose::Nobody), decoys)),
                    some => Ok((Aim::LogIn(Whose::User(id)), some)),
                }
            }
            Asked::SecondFactor(token) => {
                let token = token.hash();
                let pending = self.pending(&token).await?;
                let records = self.0.shard.read().await?;
                match credentials(self.0.view(&records).passkeys(pending.user)?) {
                    none if none.is_empty() => Err(Refusal::NotFound),
                    some => Ok((Aim::SecondFactor(token), some)),
                }
            }
        }
    }

    /// Logs in with what a passkey has signed.
    pub async fn log_in_with_passkey(
        &self,
        context: &Context,
        signed: &Signed,
        device: &DeviceInfo,
    ) -> Result<Entered, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return self.entered(answer, None).await,
            Attempt::First(first) => first,
        };
        let asked = |aim: &Aim| matches!(aim, Aim::LogIn(_));
        let Verified(assertion) = self.verify(context, signed, asked).await?;
        let new = self.new_entry(context, device).await?;
        let log_in = LogIn { assertion, entry: new.entry };
        let command = Command::Passkeys(passkeys::Command::LogIn(Box::new(log_in)));
        let ticket = self.ticket(&first, Some(&new.secrets.recorded())).await?;
        let answer = self.propose(context.origin_of(device), ticket, command).await?;
        match answer.reply {
            Reply::WrongGuess => Err(Refusal::InvalidCredentials),
            _ => self.entered(answer, Some(new.secrets)).await,
        }
    }

    /// Verifies what a passkey has signed for a challenge that was issued with such an aim. One that
    /// does not hold costs the challenge.
    pub(crate) async fn verify(
        &self,
        context: &Context,
        signed: &Signed,
        asked: impl Fn(&Aim) -> bool,
    ) -> Result<Verified, Refusal> {
        let client = ClientData::read(&signed.client_data)
            .ok_or_else(|| Refusal::field("response.clientDataJSON", "is not of the form"))?;
        let under_way = self.under_way(&client.challenge()).await?;
        if !asked(&under_way.aim) {
            return Err(Refusal::InvalidToken);
        }
        let records = self.0.shard.read().await?;
        let passkey = self.0.view(&records).passkey_by_credential(&signed.credential)?;
        let Some(passkey) = passkey else {
            return Err(self.fail(context, under_way.challenge, None, "unknown_passkey").await);
        };
        match self.judge(&client, signed, &under_way, &passkey).await? {
            Ok(assertion) => Ok(Verified(assertion)),
            Err(reason) => {
                if reason == POSSIBLE_CLONE {
                    tracing::warn!(tenant = %self.id(), user = %passkey.user, passkey = %passkey.id,
                        "a passkey's counter went back: it may have been copied");
                }
                Err(self.fail(context, under_way.challenge, passkey.user.into(), reason).await)
            }
        }
    }

    /// What holds, or in a word why it does not (WebAuthn §7.2).
    async fn judge(
        &self,
        client: &ClientData,
        signed: &Signed,
        under_way: &UnderWay,
        passkey: &Passkey,
    ) -> Result<Result<Assertion, &'static str>, Refusal> {
        let others = match under_way.aim {
            Aim::LogIn(Whose::User(user)) => user != passkey.user,
            Aim::LogIn(Whose::Nobody) => true,
            _ => false,
        };
        let handle = signed.user_handle.as_deref().filter(|handle| !handle.is_empty());
        let nameless = under_way.aim == Aim::LogIn(Whose::Anybody) && handle.is_none();
        if others || nameless || handle.is_some_and(|handle| handle != passkey.user.as_bytes()) {
            return Ok(Err("other_user"));
        }
        if client.cross_origin {
            return Ok(Err("cross_origin"));
        }
        let party = self.relying_party().await?;
        Ok(party.finish_authentication(signed, &under_way.state, passkey)?.map(|kept| Assertion {
            challenge: under_way.challenge,
            user: passkey.user,
            id: passkey.id,
            counter: kept.counter,
            backed_up: kept.backed_up,
            verifier: kept.verifier,
        }))
    }
}
