//! Accounts in the hands of administrators.

use janua_storage::capability::sessions::Session;
use janua_storage::capability::users::{
    self, Action, Amend, Changes, Create, Manage, Managed, Newcomer,
};
use janua_storage::command::{Command, Reply};
use janua_storage::ids::UserId;

use crate::authority::Authority;
use crate::capability::passwords::{Rules, count};
use crate::capability::sessions::unexpected;
use crate::context::Context;
use crate::email::EmailAddress;
use crate::hashing::Plaintext;
use crate::idempotency::Attempt;
use crate::phone::PhoneNumber;
use crate::refusal::Refusal;
use crate::tenant::{Gate, TenantRef};

/// An account to be, as an administrator describes it.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Their address.
    pub email: EmailAddress,
    /// Whether they are known to read mail there.
    pub email_verified: bool,
    /// Absent for those who are to log in by other means.
    pub password: Option<Plaintext>,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Their number.
    pub phone_number: Option<PhoneNumber>,
    /// URL of a picture.
    pub avatar: Option<String>,
    /// A JSON object, as text.
    pub metadata: String,
}

/// Changes by an administrator: what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Amendment {
    /// What users may change themselves.
    pub changes: Changes,
    /// Another address; unverified unless `email_verified` says so.
    pub email: Option<EmailAddress>,
    /// Whether the address is verified.
    pub email_verified: Option<bool>,
    /// Whether the number is verified.
    pub phone_verified: Option<bool>,
    /// Another password; it ends all sessions.
    pub password: Option<Plaintext>,
}

impl TenantRef {
    /// Creates an account for somebody else.
    pub async fn create_user(
        &self,
        context: &Context,
        by: &Authority,
        new: NewUser,
    ) -> Result<Managed, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return managed(answer.reply),
            Attempt::First(first) => first,
        };
        let email = new.email.as_str();
        let _turn = self.enter(Gate::Registrations(email.into()), 1).await?;
        // Only to save a hash: what decides is `apply`.
        if !first.is_ticketed() && self.has_account(email).await? {
            return Err(Refusal::EmailAlreadyExists);
        }
        let policy = &self.settings().await?.passwords;
        let rules = Rules::of(policy, email, [&new.first_name, &new.last_name]);
        let password = self.hashed(new.password, rules).await?;
        let (ms, random) = self.0.node.clock.id_bits();
        let newcomer = Newcomer {
            id: UserId::new(ms, random),
            email: email.into(),
            email_verified: new.email_verified,
            first_name: new.first_name,
            last_name: new.last_name,
            phone_number: new.phone_number.map(String::from),
            phone_verified: false,
            avatar: new.avatar,
            metadata: new.metadata,
            password,
        };
        let create = Create { newcomer, by: by.actor() };
        let command = by.decides(Command::Users(users::Command::Create(Box::new(create))));
        let ticket = self.ticket(&first, None).await?;
        managed(self.propose(context.origin(), ticket, command).await?.reply)
    }

    /// A user, as administrators see them.
    pub async fn user(&self, user: UserId) -> Result<Managed, Refusal> {
        let records = self.0.shard.read().await?;
        let view = self.0.view(&records);
        let user = view.user(user)?.ok_or(Refusal::NotFound)?;
        Ok(Managed::of(&view, user, self.0.node.clock.now())?)
    }

    /// Changes somebody else's account.
    pub async fn amend_user(
        &self,
        context: &Context,
        by: &Authority,
        user: UserId,
        amendment: Amendment,
    ) -> Result<Managed, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return managed(answer.reply),
            Attempt::First(first) => first,
        };
        let rules = match &amendment.password {
            Some(_) => {
                let profile = self.user(user).await?.profile;
                let email = amendment.email.as_ref().map_or(&*profile.email, |to| to.as_str());
                let changes = &amendment.changes;
                let names = [
                    changes.first_name.as_ref().unwrap_or(&profile.first_name),
                    changes.last_name.as_ref().unwrap_or(&profile.last_name),
                ];
                Some(Rules::of(&self.settings().await?.passwords, email, names))
            }
            None => None,
        };
        let password = match rules {
            Some(rules) => self.hashed(amendment.password, rules).await?,
            None => None,
        };
        let amend = Amend {
            user,
            changes: amendment.changes,
            email: amendment.email.map(|email| email.as_str().into()),
            email_verified: amendment.email_verified,
            phone_verified: amendment.phone_verified,
            password,
            by: by.actor(),
        };
        let command = by.decides(Command::Users(users::Command::Amend(Box::new(amend))));
        let ticket = self.ticket(&first, None).await?;
        managed(self.propose(context.origin(), ticket, command).await?.reply)
    }

    /// Suspends, reactivates or unlocks a user.
    pub async fn manage_user(
        &self,
        context: &Context,
        by: &Authority,
        user: UserId,
        action: Action,
    ) -> Result<Managed, Refusal> {
        managed(self.act(context, by, user, action).await?)
    }

    /// Ends every session of a user, and says how many there were.
    pub async fn end_sessions_of(
        &self,
        context: &Context,
        by: &Authority,
        user: UserId,
    ) -> Result<u32, Refusal> {
        count(&self.act(context, by, user, Action::EndSessions).await?)
    }

    /// Ends a user's account.
    pub async fn remove_user(
        &self,
        context: &Context,
        by: &Authority,
        user: UserId,
    ) -> Result<(), Refusal> {
        self.act(context, by, user, Action::Remove).await.map(drop)
    }

    /// The live sessions of a user, oldest first.
    pub async fn sessions_of(&self, user: UserId) -> Result<Vec<Session>, Refusal> {
        let records = self.0.shard.read().await?;
        let view = self.0.view(&records);
        view.user(user)?.ok_or(Refusal::NotFound)?;
        let now = self.0.node.clock.now();
        let mut sessions = view.sessions(user)?;
        sessions.retain(|session| session.expires > now);
        Ok(sessions)
    }

    async fn act(
        &self,
        context: &Context,
        by: &Authority,
        user: UserId,
        action: Action,
    ) -> Result<Reply, Refusal> {
        let manage = Manage { user, action, by: by.actor() };
        let command = by.decides(Command::Users(users::Command::Manage(manage)));
        Ok(self.propose_once(context, command).await?.reply)
    }

    async fn hashed(
        &self,
        password: Option<Plaintext>,
        rules: Rules,
    ) -> Result<Option<String>, Refusal> {
        let Some(password) = password else { return Ok(None) };
        self.hash_of_new(password, rules).await.map(Some)
    }
}

fn managed(reply: Reply) -> Result<Managed, Refusal> {
    match reply {
        Reply::Managed(managed) => Ok(*managed),
        reply => Err(unexpected(&reply)),
    }
}
