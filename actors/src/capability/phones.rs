//! Phone numbers: sending codes to them, and hearing the codes.

use janua_storage::capability::phones::{self, Confirm, Report, Send, TextMessage};
use janua_storage::codec;
use janua_storage::command::{Command, Rejection, Reply};
use janua_storage::event::Origin;
use janua_storage::ids::MessageId;
use janua_storage::moment::Moment;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use super::sessions::unexpected;
use super::tenants::open_setting;
use crate::context::Context;
use crate::directory::Caller;
use crate::idempotency::Attempt;
use crate::outbound::NoAnswer;
use crate::refusal::Refusal;
use crate::tenant::{Held, TenantRef};

/// How long a code is good, milliseconds.
const CODE_TTL_MS: u64 = 10 * 60 * 1000;

/// Seconds before the next attempt to send; the last one repeats until the code has expired.
const PAUSES: [u64; 5] = [1, 3, 10, 30, 60];

/// Under which context messages are sealed.
const MESSAGE: &[u8] = b"text message";

/// What a text message tells, until it is sent.
#[derive(Serialize, Deserialize)]
struct Content {
    to: String,
    code: String,
}

impl TenantRef {
    /// Sends a code to the caller's number. What is sent waits in the records, so that it survives
    /// this node.
    pub async fn send_phone_code(&self, context: &Context, caller: &Caller) -> Result<(), Refusal> {
        if self.settings().await?.sms.webhook_url.is_empty() {
            return Err(Refusal::InsufficientPermissions);
        }
        let first = match self.attempt(context).await? {
            Attempt::Repeated(_) => return Ok(()),
            Attempt::First(first) => first,
        };
        let profile = &caller.live.user.profile;
        let number = profile.phone_number.clone();
        let number = number.ok_or_else(|| Refusal::field("phoneNumber", "there is none yet"))?;
        let held = self.held().await?;
        let clock = &self.0.node.clock;
        let code = draw(clock.random());
        let (ms, random) = clock.id_bits();
        let message = MessageId::new(ms, random);
        let content = Content { to: number.clone(), code: code.to_string() };
        let content = Zeroizing::new(codec::encode(&content)?);
        let send = Send {
            user: caller.user(),
            number,
            code: digest(&held, &code),
            ttl_ms: CODE_TTL_MS,
            allowance: self.0.node.phone_allowance,
            message,
            content: held.key.seal(clock.random(), MESSAGE, &content)?,
        };
        let command = caller.within(Command::Phones(phones::Command::Send(Box::new(send))));
        let ticket = self.ticket(&first, None).await?;
        self.propose(context.origin(), ticket, command).await?;
        Ok(())
    }

    /// Hears the code that was sent to the caller's number.
    pub async fn confirm_phone(
        &self,
        context: &Context,
        caller: &Caller,
        code: &str,
    ) -> Result<(), Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(_) => return Ok(()),
            Attempt::First(first) => first,
        };
        let code = digest(&*self.held().await?, code);
        let confirm = Confirm { user: caller.user(), code };
        let command = caller.within(Command::Phones(phones::Command::Confirm(confirm)));
        let command = self.guessing(context, command).await?;
        let ticket = self.ticket(&first, None).await?;
        match self.propose(context.origin(), ticket, command).await?.reply {
            Reply::Done => Ok(()),
            Reply::WrongGuess => Err(Refusal::InvalidToken),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Tries to send a message that waits, and says how it went.
    pub(crate) async fn deliver(&self, message: TextMessage) -> Result<(), Refusal> {
        // It may have been taken back since it was found.
        let records = self.0.shard.read().await?;
        if self.0.view(&records).text_message(message.id)?.is_none() {
            return Ok(());
        }
        drop(records);
        let next = match self.try_to_send(&message).await? {
            Ok(()) => None,
            Err(failed) => {
                metrics::counter!("janua_text_messages_failed_total").increment(1);
                tracing::warn!(tenant = %self.id(), message = %message.id, %failed, "a text message was not sent");
                let pause = PAUSES[PAUSES.len().min(message.attempts as usize + 1) - 1];
                Some(Moment(self.0.node.clock.now().0 + pause * 1000))
            }
        };
        let report = phones::Command::Report(Report { message: message.id, next });
        let outcome = self.0.write(Origin::default(), None, Command::Phones(report)).await?;
        let refused =
            |rejection: Rejection| Refusal::from_rejection(rejection, self.0.node.clock.now());
        outcome.map(drop).map_err(refused)
    }

    async fn try_to_send(&self, message: &TextMessage) -> Result<Result<(), NoAnswer>, Refusal> {
        let held = self.held().await?;
        let sms = &held.settings.sms;
        if sms.webhook_url.is_empty() {
            return Ok(Err(NoAnswer::Forbidden(
                "text messages".into(),
                "the tenant has no webhook for them",
            )));
        }
        let secret = sms.secret.as_deref().map(|secret| open_setting(&held, secret)).transpose()?;
        let content = Zeroizing::new(held.key.open(MESSAGE, &message.content)?);
        let Content { to, code } = codec::decode(&content)?;
        let brand = &held.settings.mail.brand;
        let brand = if brand.is_empty() { "Janua" } else { brand };
        let body = json!({
            "id": message.id.to_string(),
            "type": "phone.verification",
            "tenantId": self.id().as_str(),
            "to": to,
            "code": code,
            "message": format!("{code} is your {brand} code"),
            "expiresAt": message.expires.to_string(),
        });
        let now = self.0.node.clock.now().unix_seconds();
        let secret = secret.unwrap_or_default();
        let outbound = &self.0.node.outbound;
        let sent = outbound.post_signed(&sms.webhook_url, &secret, now, body.to_string()).await;
        Ok(sent)
    }
}

/// Six digits, each as likely as any other but for one part in a trillion.
fn draw(random: [u8; 8]) -> Zeroizing<String> {
    Zeroizing::new(format!("{:06}", u64::from_be_bytes(random) % 1_000_000))
}

/// What is kept of a code.
fn digest(held: &Held, code: &str) -> [u8; 32] {
    held.key.derive("phone code").mac(code.as_bytes())
}
