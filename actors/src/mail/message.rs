//! What a mail says, as it lies sealed in the outbox, and how it gets there.

use std::time::Duration;

use janua_storage::capability::limits::{Level, Limit};
use janua_storage::command::{Command, Reply};
use janua_storage::idempotency::Ticket;
use janua_storage::ids::{MagicLinkId, MailId};
use janua_storage::moment::Moment;
use janua_storage::outbox::{Letter, Mail, Mailing};
use janua_storage::pkce::Challenge;
use janua_storage::seal::Key;
use janua_storage::secret::{Purpose, Secret};
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;

use crate::capability::sessions::unexpected;
use crate::context::Context;
use crate::email::EmailAddress;
use crate::pkce;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// Why a mail is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Occasion {
    /// An address is to be verified.
    Verification,
    /// A password is to be set anew.
    PasswordReset,
    /// Somebody wants to log in.
    MagicLink,
    /// Somebody wants to register with an address that has an account.
    AlreadyRegistered,
    /// An address was confirmed, and what its account holds may be somebody else's.
    Contested,
}

/// What a mail says. Written as JSON and sealed; it is made a mail when it is sent, in the tenant's
/// language and clothes of then.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub occasion: Occasion,
    /// Normalised address.
    pub to: String,
    /// What the reader is called, if they have said.
    pub name: Option<String>,
    /// Where it leads; the token in it is its only secret.
    pub link: String,
    /// How long the link is good, milliseconds; `None` where it holds no token.
    pub valid_ms: Option<u64>,
}

/// With what a login goes on when its mailed link is opened, as the link tells it. None of it is
/// believed when it comes back.
#[derive(Debug, Clone, Default)]
pub struct Onward {
    /// Where it ends: one of the tenant's own addresses.
    pub redirect_uri: Option<String>,
    /// What the application wants back with the code (RFC 6749 §4.1.1).
    pub state: Option<String>,
    /// What the application answers when it exchanges the code (RFC 7636).
    pub challenge: Option<Challenge>,
    /// The tag of the language that the visitor has chosen.
    pub language: Option<String>,
    /// The mark of the browser in which it was asked for, where it was in one.
    pub browser: Option<String>,
    /// The mark of the browser in which the account was registered, where the mail comes of that.
    pub registered: Option<String>,
}

impl Onward {
    fn query(&self) -> impl Iterator<Item = (&'static str, String)> {
        let challenge = self.challenge.as_ref().map(pkce::written);
        let method = self.challenge.map(|_| pkce::METHOD.to_owned());
        let named = [
            ("redirect_uri", self.redirect_uri.clone()),
            ("state", self.state.clone()),
            ("code_challenge", challenge),
            ("code_challenge_method", method),
            ("lang", self.language.clone()),
            ("browser", self.browser.clone()),
            ("registered", self.registered.clone()),
        ];
        named.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// The answer to who asked for a mail.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// How much more may be asked for the address; `None` where that is not limited.
    pub level: Option<Level>,
    /// The magic link that was asked for, and until when it is good.
    pub link: Option<(MagicLinkId, Moment)>,
}

impl Message {
    fn seal(
        &self,
        key: &Key,
        nonce: [u8; 12],
        id: MailId,
    ) -> Result<janua_storage::seal::Sealed, Refusal> {
        let text = serde_json::to_vec(self).map(zeroize::Zeroizing::new);
        let text = text.map_err(|error| Refusal::unavailable(error.to_string()))?;
        Ok(key.seal(nonce, &place(id), &text)?)
    }

    /// What a mail of the outbox says.
    pub fn open(key: &Key, mail: &Mail) -> Result<Self, Refusal> {
        let text = zeroize::Zeroizing::new(key.open(&place(mail.id), &mail.sealed)?);
        serde_json::from_slice(&text)
            .map_err(|_| Refusal::unavailable("a mail of the outbox that cannot be read"))
    }
}

/// Under which context a mail is sealed.
fn place(id: MailId) -> Vec<u8> {
    [b"mail ".as_slice(), id.as_bytes()].concat()
}

impl TenantRef {
    /// A letter that says `message`, worth sending for `ttl`.
    pub(crate) async fn letter(&self, message: &Message, ttl: Duration) -> Result<Letter, Refusal> {
        let node = &self.0.node;
        let (ms, random) = node.clock.id_bits();
        let id = MailId::new(ms, random);
        let sealed = message.seal(&self.held().await?.key, node.clock.random(), id)?;
        let ttl_ms = millis(ttl);
        Ok(Letter { id, sealed, ttl_ms, kept: node.mail.relay.is_none() })
    }

    /// A new secret and the letter that brings it to `to`, as the token of a link.
    pub(crate) async fn mailing(
        &self,
        occasion: Occasion,
        to: &str,
        name: Option<&str>,
        ttl: Duration,
        onward: &Onward,
    ) -> Result<Mailing, Refusal> {
        let (purpose, page) = match occasion {
            Occasion::PasswordReset => (Purpose::ResetToken, "/ui/reset"),
            Occasion::MagicLink => (Purpose::MagicLink, "/ui/magic-link"),
            _ => (Purpose::EmailToken, "/ui/verify"),
        };
        let token = Secret::new(purpose, self.number(), &self.0.node.clock.random());
        let onward: Vec<_> = onward.query().collect();
        let mut query = vec![("token", token.expose())];
        query.extend(onward.iter().map(|(name, value)| (*name, value.as_str())));
        let message = Message {
            occasion,
            to: to.into(),
            name: name.map(str::to_owned),
            link: self.link(page, &query),
            valid_ms: Some(millis(ttl)),
        };
        let letter = self.letter(&message, ttl).await?;
        Ok(Mailing { token: token.hash(), letter })
    }

    /// Decision: links begin with what is configured, never with what a request calls the server by.
    pub(crate) fn link(&self, page: &str, query: &[(&str, &str)]) -> String {
        let mut link = format!("{}{page}", self.0.node.mail.link_base_url);
        for (number, (name, value)) in query.iter().enumerate() {
            link.push(if number == 0 { '?' } else { '&' });
            link.push_str(name);
            link.push('=');
            link.extend(byte_serialize(value.as_bytes()));
        }
        link
    }

    /// What is said of the name and existence of `email`: one read, whether there is anybody or not.
    pub(crate) async fn first_name(&self, email: &EmailAddress) -> Result<Option<String>, Refusal> {
        let records = self.0.shard.read().await?;
        let user = self.0.view(&records).user_by_email(email.as_str())?;
        Ok(user.and_then(|user| user.profile.first_name))
    }

    /// Proposes a command that posts a mail, if there is anybody to send it to.
    pub(crate) async fn propose_mail(
        &self,
        context: &Context,
        ticket: Option<Ticket>,
        command: Command,
        limit: &Limit,
    ) -> Result<Sent, Refusal> {
        let answer = self.propose(context.origin(), ticket, command).await;
        sent(&answer.map_err(|refusal| self.with_level(refusal, limit))?.reply)
    }

    /// A refusal for too many, with what an answer shows of the limit.
    fn with_level(&self, refusal: Refusal, limit: &Limit) -> Refusal {
        match refusal {
            Refusal::LimitReached { retry_after, .. } => {
                let until = self.0.node.clock.now().after(retry_after);
                Refusal::LimitReached { retry_after, level: Some(limit.exhausted(until)) }
            }
            refusal => refusal,
        }
    }
}

/// What the state answers to who asked for a mail.
pub(crate) fn sent(reply: &Reply) -> Result<Sent, Refusal> {
    match reply {
        Reply::Mailed(mailed) => Ok(Sent { level: mailed.level, link: mailed.link }),
        reply => Err(unexpected(reply)),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
