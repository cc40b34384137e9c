//! Showing that one reads mail at one's address.

use std::time::Duration;

use janua_storage::capability::email_verification::{self, Ask, Confirm, Disown, Send};
use janua_storage::capability::limits::{self as storage, Bucket};
use janua_storage::command::Command;
use janua_storage::fault::Fault;
use janua_storage::ids::UserId;
use janua_storage::one_time::Content;
use janua_storage::outbox::{Letter, Mailing};
use janua_storage::secret::Secret;
use janua_storage::view::View;

use crate::context::Context;
use crate::directory::Caller;
use crate::email::EmailAddress;
use crate::idempotency::Attempt;
use crate::mail::{Message, Occasion, Onward, Sent, sent};
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// How long a token is good.
const TTL: Duration = Duration::from_secs(48 * 3600);

/// What is shown beside the token of a mail.
#[derive(Clone, Copy)]
pub enum Shown<'a> {
    /// Nothing.
    Nothing,
    /// A session, of whichever account.
    Session(&'a Caller),
    /// The browser in which the account was registered.
    Registration,
}

impl TenantRef {
    /// Sends the caller a mail that verifies their address, unless it is verified.
    pub async fn send_verification(
        &self,
        context: &Context,
        caller: &Caller,
    ) -> Result<Sent, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return sent(&answer.reply),
            Attempt::First(first) => first,
        };
        let profile = &caller.live.user.profile;
        let (email, name) = (profile.email.as_str(), profile.first_name.as_deref());
        let limit = self.0.node.mail_limits.email_verification;
        let send = Send {
            user: profile.id,
            email: email.into(),
            mailing: self.verification(email, name, &Onward::default()).await?,
            limit,
        };
        let send = email_verification::Command::Send(Box::new(send));
        let command = caller.within(Command::EmailVerification(send));
        let ticket = self.ticket(&first, None).await?;
        self.propose_mail(context, ticket, command, &limit).await
    }

    /// Sends a mail to `email` for somebody who is not signed in, if it has an account whose address is
    /// not verified, or whose second factor is contested. The work is the same if not.
    pub async fn ask_for_verification(
        &self,
        context: &Context,
        email: &EmailAddress,
        onward: &Onward,
    ) -> Result<Sent, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return sent(&answer.reply),
            Attempt::First(first) => first,
        };
        let (occasion, name) = self.about(email).await?;
        let signed_in = self.0.node.mail_limits.email_verification;
        let limit = storage::Limit { bucket: Bucket::VerificationByAnybody, ..signed_in };
        let (to, name) = (email.as_str(), name.as_deref());
        let mailing = self.mailing(occasion, to, name, TTL, onward).await?;
        let ask = Ask { email: to.into(), mailing, limit };
        let command = email_verification::Command::Ask(Box::new(ask));
        let ticket = self.ticket(&first, None).await?;
        self.propose_mail(context, ticket, Command::EmailVerification(command), &limit).await
    }

    /// Verifies the caller's address with the token that was sent to it, and nobody else's.
    pub async fn confirm_own_email(
        &self,
        context: &Context,
        token: &Secret,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        self.confirm_for(context, token, Some(caller.user())).await
    }

    /// Verifies the address that a token was sent to, for whoever brings it. Where they show a session
    /// of that very account, or have registered it where they are, account and mailbox are in one hand;
    /// another's session says nothing.
    pub async fn confirm_email(
        &self,
        context: &Context,
        token: &Secret,
        shown: Shown<'_>,
    ) -> Result<(), Refusal> {
        let own = match shown {
            Shown::Session(caller) if self.was_sent_to(token, caller).await? => Some(caller.user()),
            Shown::Registration => self.user_of(token).await?,
            Shown::Nothing | Shown::Session(_) => None,
        };
        self.confirm_for(context, token, own).await
    }

    async fn confirm_for(
        &self,
        context: &Context,
        token: &Secret,
        user: Option<UserId>,
    ) -> Result<(), Refusal> {
        let confirm = email_verification::Command::Confirm(Confirm { token: token.hash(), user });
        self.propose_once(context, Command::EmailVerification(confirm)).await.map(drop)
    }

    /// Whether it was to the caller's address that a token was sent.
    pub async fn was_sent_to(&self, token: &Secret, caller: &Caller) -> Result<bool, Refusal> {
        let is_ours = caller.tenant.id() == self.id();
        Ok(is_ours && self.user_of(token).await? == Some(caller.user()))
    }

    async fn user_of(&self, token: &Secret) -> Result<Option<UserId>, Refusal> {
        let records = self.0.shard.read().await?;
        Ok(user_of(&self.0.view(&records), token)?)
    }

    /// Whether the account whose address a token was sent to is contested although it was confirmed.
    pub async fn is_contested(&self, token: &Secret) -> Result<bool, Refusal> {
        let records = self.0.shard.read().await?;
        let view = self.0.view(&records);
        let user = user_of(&view, token)?.map(|user| view.user(user)).transpose()?.flatten();
        let user = user.filter(|user| user.profile.email_verified);
        let now = self.0.node.clock.now();
        let contest = user.map(|user| view.contest(user.profile.id, now)).transpose()?.flatten();
        Ok(contest.is_some())
    }

    /// What a letter to `email` is about, and by which name its reader is greeted.
    ///
    /// A node that cannot read the one about a contest does not come to send it: what is proposed with
    /// it needs every node to speak the same version.
    async fn about(&self, email: &EmailAddress) -> Result<(Occasion, Option<String>), Refusal> {
        let records = self.0.shard.read().await?;
        let view = self.0.view(&records);
        let Some(user) = view.user_by_email(email.as_str())? else {
            return Ok((Occasion::Verification, None));
        };
        let profile = user.profile;
        let contest = view.contest(profile.id, self.0.node.clock.now())?;
        let occasion = match contest.filter(|_| profile.email_verified) {
            Some(_) => Occasion::Contested,
            None => Occasion::Verification,
        };
        Ok((occasion, profile.first_name))
    }

    /// Takes the account away from whoever made it with the address that a token was sent to, for the
    /// reader of the mail: nobody has verified the address, and its owner says that it was not they. Who
    /// has claimed it, and is kept out by a second factor of a stranger's, takes that away.
    pub async fn disown(&self, context: &Context, token: &Secret) -> Result<(), Refusal> {
        let disown = email_verification::Command::Disown(Disown { token: token.hash() });
        self.propose_once(context, Command::EmailVerification(disown)).await.map(drop)
    }

    /// A token that verifies `email`, and the letter that brings it.
    pub(crate) async fn verification(
        &self,
        email: &str,
        name: Option<&str>,
        onward: &Onward,
    ) -> Result<Mailing, Refusal> {
        self.mailing(Occasion::Verification, email, name, TTL, onward).await
    }

    /// The letter that tells the owner of an account that somebody has tried to register with their
    /// address.
    pub(crate) async fn already_registered(&self, email: &str) -> Result<Letter, Refusal> {
        let message = Message {
            occasion: Occasion::AlreadyRegistered,
            to: email.into(),
            name: None,
            link: self.link("/ui/sign-in", &[("tenant", self.id().as_str())]),
            valid_ms: None,
        };
        self.letter(&message, TTL).await
    }
}

/// Whose address a token verifies.
fn user_of(view: &View<'_>, token: &Secret) -> Result<Option<UserId>, Fault> {
    let found = view.one_time(&token.hash())?;
    Ok(found.and_then(|found| match found.content {
        Content::Verification(verification) => Some(verification.user),
        _ => None,
    }))
}
