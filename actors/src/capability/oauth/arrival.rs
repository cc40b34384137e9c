//! What a login through a provider has led to, at once or picked up by a one-time code.

use janua_storage::capability::oauth::{
    self, Account, Arrive, Identity, LinkByCode, Linked, Prove, Redeem, Then,
};
use janua_storage::capability::users::Profile;
use janua_storage::command::{Command, Reply};
use janua_storage::ids::UserId;
use janua_storage::one_time::Content;
use janua_storage::pkce::{Challenge, Proof};
use janua_storage::secret::Secret;

use crate::capability::mfa::{Entered, EntrySecrets};
use crate::capability::sessions::unexpected;
use crate::context::{Context, DeviceInfo};
use crate::directory::Caller;
use crate::idempotency::{Attempt, First};
use crate::refusal::Refusal;
use crate::settings::Registration;
use crate::tenant::{Answer, TenantRef};

/// What it has led to.
#[derive(Debug, Clone)]
pub enum Arrived {
    /// Somebody is let in.
    Entered {
        /// With a session, or the demand for a second factor.
        entered: Entered,
        /// Whether the account was made by it.
        is_new_user: bool,
    },
    /// Somebody who was in already has linked a provider.
    Linked {
        /// Who.
        profile: Profile,
        /// The new way in.
        identity: Identity,
    },
}

impl TenantRef {
    /// Turns a one-time code into the login that it stands for, for whoever shows the proof that it was
    /// asked for with; or completes the link that it stands for, which only the session that asked for
    /// it can.
    pub async fn redeem(
        &self,
        context: &Context,
        code: &Secret,
        proof: Proof,
        caller: Option<&Caller>,
    ) -> Result<Arrived, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return self.arrived(answer, None).await,
            Attempt::First(first) => first,
        };
        // What stands for a link is bound by its session, whatever is shown beside it.
        if self.stands_for_a_link(code).await? {
            let caller = caller.ok_or(Refusal::AuthenticationRequired)?;
            let (user, session) = (caller.user(), caller.session());
            let link = LinkByCode { code: code.hash(), user, session };
            let command = Command::Oauth(oauth::Command::LinkByCode(link));
            let ticket = self.ticket(&first, None).await?;
            let answer = self.propose(context.origin(), ticket, command).await?;
            return self.arrived(answer, None).await;
        }
        let new = self.new_entry(context, &DeviceInfo::default()).await?;
        let redeem = Redeem { code: code.hash(), entry: new.entry };
        let command = oauth::Command::Prove(Box::new(Prove { redeem, proof }));
        let command = self.guessing(context, Command::Oauth(command)).await?;
        let ticket = self.ticket(&first, Some(&new.secrets.recorded())).await?;
        let answer = self.propose(context.origin(), ticket, command).await?;
        self.arrived(answer, Some(new.secrets)).await
    }

    /// The same for the browser that has begun with a challenge, as hosted pages do once every node
    /// understands one. What was begun before asks for no proof.
    pub async fn redeem_for_page(
        &self,
        context: &Context,
        code: &Secret,
        shown: Challenge,
        caller: Option<&Caller>,
    ) -> Result<Arrived, Refusal> {
        let content = self.content_of(code).await?;
        let is_bound = content.is_some_and(|content| content.challenge().is_some());
        let proof = if is_bound { Proof::Verifier(shown) } else { Proof::None };
        self.redeem(context, code, proof, caller).await
    }

    async fn stands_for_a_link(&self, code: &Secret) -> Result<bool, Refusal> {
        let content = self.content_of(code).await?;
        Ok(content.is_some_and(|content| matches!(content, Content::Linking(_))))
    }

    async fn content_of(&self, code: &Secret) -> Result<Option<Content>, Refusal> {
        let records = self.0.shard.read().await?;
        Ok(self.0.view(&records).one_time(&code.hash())?.map(|found| found.content))
    }

    /// Lets in for whom a provider vouches.
    pub(super) async fn let_in(
        &self,
        context: &Context,
        account: Account,
        first: First,
    ) -> Result<Arrived, Refusal> {
        let new = self.new_entry(context, &DeviceInfo::default()).await?;
        let command = self.arrive(account, Then::Enter(new.entry)).await?;
        let ticket = self.ticket(&first, Some(&new.secrets.recorded())).await?;
        let answer = self.propose_to_whoever_leads(context, ticket, command).await?;
        self.arrived(answer, Some(new.secrets)).await
    }

    /// Leaves the login of whom a provider vouches for where a page finds it, by the code.
    pub(super) async fn leave(
        &self,
        context: &Context,
        account: Account,
        code: &Secret,
        challenge: Option<Challenge>,
        first: First,
    ) -> Result<Answer, Refusal> {
        let then = match challenge {
            Some(challenge) => Then::LeaveTo(code.hash(), challenge),
            None => Then::Leave(code.hash()),
        };
        let command = self.arrive(account, then).await?;
        let ticket = self.ticket(&first, Some(code.expose())).await?;
        self.propose_to_whoever_leads(context, ticket, command).await
    }

    async fn arrive(&self, account: Account, then: Then) -> Result<Command, Refusal> {
        let may_register = self.settings().await?.registration == Registration::Open;
        let (ms, random) = self.0.node.clock.id_bits();
        let arrive = Arrive { account, id: UserId::new(ms, random), may_register, then };
        Ok(Command::Oauth(oauth::Command::Arrive(Box::new(arrive))))
    }

    pub(super) async fn arrived(
        &self,
        answer: Answer,
        secrets: Option<EntrySecrets>,
    ) -> Result<Arrived, Refusal> {
        match answer.reply {
            Reply::Arrived(arrival) => {
                let is_new_user = arrival.is_new_user;
                let answer = Answer { reply: arrival.entered, secrets: answer.secrets };
                Ok(Arrived::Entered { entered: self.entered(answer, secrets).await?, is_new_user })
            }
            Reply::Linked(linked) => {
                let Linked { profile, identity } = *linked;
                Ok(Arrived::Linked { profile, identity })
            }
            Reply::LinkRequired => Err(Refusal::AccountLinkRequired),
            // A proof that answers nothing: the code is good no more.
            Reply::WrongGuess => Err(Refusal::InvalidToken),
            reply => Err(unexpected(&reply)),
        }
    }
}
