//! A new passkey.

use janua_storage::capability::passkeys::{self, Aim, MOST, Passkey, Register};
use janua_storage::command::{Command, Reply};
use janua_storage::ids::{CredentialId, UserId};
use serde::{Deserialize, Serialize};

use super::relying_party::{ClientData, TIMEOUT};
use super::{options, recorded};
use crate::capability::sessions::unexpected;
use crate::context::Context;
use crate::directory::Caller;
use crate::hashing::Plaintext;
use crate::idempotency::Attempt;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// What a client needs to have a passkey made (WebAuthn §5.4).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistrationOptions {
    /// To be signed.
    pub challenge: Vec<u8>,
    /// Id of the relying party.
    pub rp_id: String,
    /// Its name.
    pub rp_name: String,
    /// Whose it will be.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// How they are shown.
    pub display_name: String,
    /// Signature algorithms that will do (RFC 9053), best first.
    pub algorithms: Vec<i64>,
    /// Passkeys that they have already: their authenticators make no second one.
    pub existing: Vec<Vec<u8>>,
    /// How long it may take, milliseconds.
    pub timeout_ms: u64,
}

/// What an authenticator says of a passkey that it has made (WebAuthn §5.2.1).
#[derive(Debug, Clone)]
pub struct Attested {
    /// What it calls it.
    pub credential: Vec<u8>,
    /// The client's part, as JSON.
    pub client_data: Vec<u8>,
    /// The authenticator's part, as CBOR.
    pub attestation_object: Vec<u8>,
    /// How it is reached.
    pub transports: Vec<String>,
    /// What its owner calls it.
    pub name: String,
}

impl TenantRef {
    /// Begins to make a passkey for the caller.
    pub async fn begin_passkey_registration(
        &self,
        context: &Context,
        caller: &Caller,
        display_name: Option<String>,
        password: Option<Plaintext>,
    ) -> Result<RegistrationOptions, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return options(answer, None),
            Attempt::First(first) => first,
        };
        self.require_recent(context, caller, password).await?;
        let passkeys = self.passkeys(caller).await?;
        if passkeys.len() >= MOST {
            return Err(Refusal::field("passkeys", format!("at most {MOST} for one account")));
        }
        let settings = self.settings().await?;
        let profile = &caller.live.user.profile;
        let display_name = display_name.unwrap_or_else(|| shown_name(caller));
        let existing: Vec<_> = passkeys.into_iter().map(|passkey| passkey.credential).collect();
        let names = (profile.email.as_str(), display_name.as_str());
        let party = self.relying_party().await?;
        let (challenge, algorithms) =
            party.begin_registration(caller.user(), names, existing.clone())?;
        let begun = RegistrationOptions {
            challenge: challenge.challenge.clone(),
            rp_id: settings.webauthn.rp_id.clone(),
            rp_name: settings.webauthn.rp_name.clone(),
            user: caller.user(),
            email: profile.email.clone(),
            display_name,
            algorithms,
            existing,
            timeout_ms: u64::try_from(TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        };
        let aim = Aim::Register { user: caller.user(), session: caller.session() };
        let command = caller.within(self.begins(aim, &challenge).await?);
        let ticket = self.ticket(&first, Some(&recorded(&begun)?)).await?;
        options(self.propose(context.origin(), ticket, command).await?, Some(begun))
    }

    /// Takes a passkey that an authenticator has made for the caller.
    pub async fn complete_passkey_registration(
        &self,
        context: &Context,
        caller: &Caller,
        attested: Attested,
    ) -> Result<CredentialId, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return id_of(answer.reply),
            Attempt::First(first) => first,
        };
        let client = ClientData::read(&attested.client_data)
            .ok_or_else(|| Refusal::field("response.clientDataJSON", "is not of the form"))?;
        let under_way = self.under_way(&client.challenge()).await?;
        let user = caller.user();
        if under_way.aim != (Aim::Register { user, session: caller.session() }) {
            return Err(Refusal::InvalidToken);
        }
        let party = self.relying_party().await?;
        let kept = match party.finish_registration(&attested, &under_way.state)? {
            Ok(kept) if !client.cross_origin => kept,
            Ok(_) => {
                return Err(self.fail(context, under_way.challenge, None, "cross_origin").await);
            }
            Err(reason) => return Err(self.fail(context, under_way.challenge, None, reason).await),
        };
        let (ms, random) = self.0.node.clock.id_bits();
        let passkey = Passkey {
            id: CredentialId::new(ms, random),
            user,
            credential: attested.credential,
            name: attested.name,
            verifier: kept.verifier,
            counter: kept.counter,
            backup_eligible: kept.backup_eligible,
            backed_up: kept.backed_up,
            transports: attested.transports,
            created: self.0.node.clock.now(),
            last_used: None,
        };
        let challenge = under_way.challenge;
        let register = Register { challenge, session: caller.session(), passkey };
        let command = Command::Passkeys(passkeys::Command::Register(Box::new(register)));
        let ticket = self.ticket(&first, None).await?;
        id_of(self.propose(context.origin(), ticket, command).await?.reply)
    }
}

fn id_of(reply: Reply) -> Result<CredentialId, Refusal> {
    match reply {
        Reply::Passkey(passkey) => Ok(passkey.id),
        reply => Err(unexpected(&reply)),
    }
}

/// The caller's name or, where they have given none, their address.
fn shown_name(caller: &Caller) -> String {
    let profile = &caller.live.user.profile;
    let names = [profile.first_name.as_deref(), profile.last_name.as_deref()];
    let names: Vec<_> = names.into_iter().flatten().filter(|name| !name.is_empty()).collect();
    if names.is_empty() { profile.email.clone() } else { names.join(" ") }
}
