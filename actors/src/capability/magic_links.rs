//! Logging in by a mailed link.

use std::time::Duration;

use janua_storage::capability::magic_links::{self, Arrival, Follow, Leave, LeaveTo, Send};
use janua_storage::command::{Command, Reply};
use janua_storage::ids::{MagicLinkId, UserId};
use janua_storage::one_time::Content;
use janua_storage::pkce::Challenge;
use janua_storage::secret::{Purpose, Secret};

use super::mfa::Entered;
use super::sessions::{text, unexpected};
use crate::context::{Context, DeviceInfo};
use crate::email::EmailAddress;
use crate::idempotency::{Attempt, First};
use crate::mail::{Occasion, Onward, Sent, sent};
use crate::redirect::{self, ReturnUrl};
use crate::refusal::Refusal;
use crate::settings::{Registration, Settings};
use crate::tenant::{Answer, TenantRef};

/// How long a link is good unless who asks for it says otherwise.
pub const USUAL_TTL: Duration = Duration::from_secs(15 * 60);

/// How long a link may be good, seconds.
pub const TTL_SECONDS: std::ops::RangeInclusive<u64> = 60..=86_400;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct LinkRequest {
    /// Whom the link lets in.
    pub email: EmailAddress,
    /// With what the login goes on.
    pub onward: Onward,
    /// How long the link is good.
    pub ttl: Duration,
}

/// Where a link has led.
#[derive(Debug, Clone)]
pub enum Followed {
    /// To a session, or to the demand for a second factor.
    Entered(Box<Entered>),
    /// To a page that picks the login up by the code in its address.
    Redirected(String),
}

impl TenantRef {
    /// Sends a link that logs its reader in, if the address has an account or may get one by it. The
    /// work, and the answer, are the same if not.
    pub async fn send_magic_link(
        &self,
        context: &Context,
        request: LinkRequest,
    ) -> Result<Sent, Refusal> {
        let settings = self.settings().await?;
        let mut onward = request.onward;
        if let Some(url) = &mut onward.redirect_uri {
            *url = redirect::checked(&settings, "redirectUrl", url)?.as_str().to_owned();
        }
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return sent(&answer.reply),
            Attempt::First(first) => first,
        };
        let name = self.first_name(&request.email).await?;
        let to = request.email.as_str();
        let (ms, random) = self.0.node.clock.id_bits();
        let limit = self.0.node.mail_limits.magic_link;
        let occasion = Occasion::MagicLink;
        let send = Send {
            id: MagicLinkId::new(ms, random),
            email: to.into(),
            may_sign_up: may_sign_up(&settings),
            mailing: self.mailing(occasion, to, name.as_deref(), request.ttl, &onward).await?,
            redirect_url: onward.redirect_uri,
            limit,
        };
        let command = magic_links::Command::Send(Box::new(send));
        let ticket = self.ticket(&first, None).await?;
        self.propose_mail(context, ticket, Command::MagicLinks(command), &limit).await
    }

    /// Spends a link for the session that it stands for.
    pub async fn follow_magic_link(
        &self,
        context: &Context,
        token: &Secret,
    ) -> Result<Entered, Refusal> {
        match self.attempt(context).await? {
            Attempt::Repeated(answer) => self.entered(answer, None).await,
            Attempt::First(first) => self.enter_by_link(context, token, first).await,
        }
    }

    /// Spends a link for a code, which the page at `redirect_url` turns into the session: whoever has it,
    /// or only who answers the challenge.
    pub async fn redirect_magic_link(
        &self,
        context: &Context,
        token: &Secret,
        redirect_url: &str,
        challenge: Option<Challenge>,
    ) -> Result<String, Refusal> {
        let url = redirect::checked(&*self.settings().await?, "redirect_uri", redirect_url)?;
        match self.attempt(context).await? {
            Attempt::Repeated(answer) => recorded(answer),
            Attempt::First(first) => {
                self.leave_by_link(context, token, url, challenge, first).await
            }
        }
    }

    /// Spends a link for whatever was asked for with it: for a code where a page waits for the login,
    /// now or when the link was sent; else for the session.
    pub async fn open_magic_link(
        &self,
        context: &Context,
        token: &Secret,
        redirect_url: Option<&str>,
        challenge: Option<Challenge>,
    ) -> Result<Followed, Refusal> {
        let settings = self.settings().await?;
        let check = |url: &str| redirect::checked(&settings, "redirectUri", url);
        let given = redirect_url.map(check).transpose()?;
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) if matches!(answer.reply, Reply::Done) => {
                return recorded(answer).map(Followed::Redirected);
            }
            Attempt::Repeated(answer) => {
                return self.entered(answer, None).await.map(Box::new).map(Followed::Entered);
            }
            Attempt::First(first) => first,
        };
        let url = match given {
            Some(url) => Some(url),
            // A page that the tenant has struck from its list since is not led to any more.
            None => self.destination(token).await?.and_then(|url| check(&url).ok()),
        };
        match url {
            Some(url) => {
                let left = self.leave_by_link(context, token, url, challenge, first).await;
                left.map(Followed::Redirected)
            }
            None => {
                self.enter_by_link(context, token, first).await.map(Box::new).map(Followed::Entered)
            }
        }
    }

    async fn enter_by_link(
        &self,
        context: &Context,
        token: &Secret,
        first: First,
    ) -> Result<Entered, Refusal> {
        let new = self.new_entry(context, &DeviceInfo::default()).await?;
        let follow = Follow { arrival: self.arrival(token).await?, entry: new.entry };
        let command = Command::MagicLinks(magic_links::Command::Follow(Box::new(follow)));
        let ticket = self.ticket(&first, Some(&new.secrets.recorded())).await?;
        let answer = self.propose(context.origin(), ticket, command).await?;
        self.entered(answer, Some(new.secrets)).await
    }

    async fn leave_by_link(
        &self,
        context: &Context,
        token: &Secret,
        url: ReturnUrl,
        challenge: Option<Challenge>,
        first: First,
    ) -> Result<String, Refusal> {
        let code = Secret::new(Purpose::Code, self.number(), &self.0.node.clock.random());
        let leave = Leave { arrival: self.arrival(token).await?, code: code.hash() };
        let url = url.telling([("code", code.expose())]);
        let command = match challenge {
            Some(challenge) => {
                magic_links::Command::LeaveTo(Box::new(LeaveTo { leave, challenge }))
            }
            None => magic_links::Command::Leave(Box::new(leave)),
        };
        let ticket = self.ticket(&first, Some(&url)).await?;
        let answer = self.propose(context.origin(), ticket, Command::MagicLinks(command)).await?;
        match answer.secrets {
            Some(_) => recorded(answer),
            None => Ok(url),
        }
    }

    async fn arrival(&self, token: &Secret) -> Result<Arrival, Refusal> {
        let (ms, random) = self.0.node.clock.id_bits();
        Ok(Arrival {
            token: token.hash(),
            new_user: UserId::new(ms, random),
            may_sign_up: may_sign_up(&*self.settings().await?),
        })
    }

    /// Where the login was to go on when the link was asked for.
    async fn destination(&self, token: &Secret) -> Result<Option<String>, Refusal> {
        let records = self.0.shard.read().await?;
        let found = self.0.view(&records).one_time(&token.hash())?;
        Ok(found.and_then(|found| match found.content {
            Content::MagicLink(link) => link.redirect_url,
            _ => None,
        }))
    }
}

/// Whether a link to an address without an account makes one.
fn may_sign_up(settings: &Settings) -> bool {
    settings.magic_link_signup && settings.registration == Registration::Open
}

/// The address that was answered before.
fn recorded(answer: Answer) -> Result<String, Refusal> {
    let url = answer.secrets.ok_or_else(|| unexpected(&answer.reply))?;
    Ok(text(url)?.expose().to_owned())
}
