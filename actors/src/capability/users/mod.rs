//! Accounts: registering, reading and changing the profile, deleting.

mod export;
mod import;
mod managed;
mod search;

use janua_storage::capability::email_verification;
use janua_storage::capability::users::{self, Changes, Profile, Register, Update};
use janua_storage::command::{Command, Reply};
use janua_storage::ids::{SessionId, UserId};

pub use export::{EventsPage, Export, MOST_EVENTS};
pub use import::{BATCH, Begun, ForeignHash, Immigrant, Importing};
pub use managed::{Amendment, NewUser};
pub use search::{Found, Search};

use super::passwords;
use crate::context::{Context, DeviceInfo};
use crate::directory::Caller;
use crate::email::EmailAddress;
use crate::hashing::Plaintext;
use crate::idempotency::{Attempt, First};
use crate::mail::Onward;
use crate::refusal::Refusal;
use crate::settings::Registration as Admission;
use crate::tenant::{Answer, Gate, TenantRef};

use super::sessions::{SignedIn, Tokens, unexpected};

/// Who wants an account.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Their address.
    pub email: EmailAddress,
    /// Their password.
    pub password: Plaintext,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// A JSON object, as text.
    pub metadata: String,
    /// With what the link in the mail goes on that verifies the address.
    pub onward: Onward,
}

/// A new account.
#[derive(Debug, Clone)]
pub struct Registered {
    /// As it was created.
    pub profile: Profile,
    /// Its first session; `None` where newcomers get none.
    pub session: Option<SessionId>,
    /// The tokens of that session.
    pub tokens: Option<Tokens>,
}

impl TenantRef {
    /// Creates an account with a password, and a session for it.
    pub async fn register(
        &self,
        context: &Context,
        registration: Registration,
    ) -> Result<Registered, Refusal> {
        let settings = self.settings().await?;
        if settings.registration != Admission::Open {
            return Err(Refusal::InsufficientPermissions);
        }
        match self.attempt(context).await? {
            Attempt::Repeated(answer) => self.registered(answer, None).await,
            Attempt::First(first) => {
                self.create(context, registration, first, settings.hide_existing_accounts).await
            }
        }
    }

    async fn create(
        &self,
        context: &Context,
        registration: Registration,
        first: First,
        hidden: bool,
    ) -> Result<Registered, Refusal> {
        let clock = &self.0.node.clock;
        let email = registration.email.as_str();
        let _turn = self.enter(Gate::Registrations(email.into()), 1).await?;
        // Only to save a hash: what decides is `apply`. Where accounts are hidden the same work is
        // done for all, and an answer that is kept must have been proposed.
        if !hidden && !first.is_ticketed() && self.has_account(email).await? {
            return Err(Refusal::EmailAlreadyExists);
        }
        let rules = passwords::Rules::new(&self.settings().await?.passwords, &registration);
        let password = self.hash_of_new(registration.password, rules).await?;
        let new = self.new_session(context, &DeviceInfo::default()).await?;
        let (ms, random) = clock.id_bits();
        let (name, onward) = (registration.first_name.as_deref(), &registration.onward);
        let verification = self.verification(email, name, onward).await?;
        let notice = self.already_registered(email).await?;
        let register = Register {
            id: UserId::new(ms, random),
            email: registration.email.as_str().into(),
            first_name: registration.first_name,
            last_name: registration.last_name,
            metadata: registration.metadata,
            password,
            start: (!hidden).then_some(new.start),
        };
        let limit = self.0.node.mail_limits.registration;
        let register = email_verification::Register { register, verification, notice, limit };
        let command = email_verification::Command::Register(Box::new(register));
        let command = Command::EmailVerification(command);
        let ticket = self.ticket(&first, Some(new.refresh_token.expose())).await?;
        let answer = self.propose(context.origin(), ticket, command).await?;
        self.registered(answer, Some(new.refresh_token)).await
    }

    async fn has_account(&self, email: &str) -> Result<bool, Refusal> {
        let records = self.0.shard.read().await?;
        Ok(self.0.view(&records).user_by_email(email)?.is_some())
    }

    async fn registered(
        &self,
        answer: Answer,
        token: Option<janua_storage::secret::Secret>,
    ) -> Result<Registered, Refusal> {
        match answer.reply {
            Reply::Registered(profile) => {
                Ok(Registered { profile: *profile, session: None, tokens: None })
            }
            Reply::SignedIn(_) => {
                let SignedIn { profile, session, tokens, .. } =
                    self.signed_in(answer, token).await?;
                Ok(Registered { profile, session: Some(session), tokens: Some(tokens) })
            }
            reply => Err(unexpected(&reply)),
        }
    }

    /// Changes the caller's profile.
    pub async fn update_me(
        &self,
        context: &Context,
        caller: &Caller,
        changes: Changes,
    ) -> Result<Profile, Refusal> {
        let update = Update { user: caller.user(), changes };
        let command = caller.within(Command::Users(users::Command::Update(Box::new(update))));
        match self.propose_once(context, command).await?.reply {
            Reply::Profile(profile) => Ok(*profile),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Deletes the caller's account, who confirms that it is they.
    pub async fn delete_me(
        &self,
        context: &Context,
        caller: &Caller,
        password: Option<Plaintext>,
    ) -> Result<(), Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(_) => return Ok(()),
            Attempt::First(first) => first,
        };
        let confirmed = self.confirm(context, caller, password).await?;
        let leave = users::Leave { user: caller.user(), verified: confirmed.verified };
        let command = caller.within(Command::Users(users::Command::Leave(leave)));
        let ticket = self.ticket(&first, None).await?;
        self.propose(context.origin(), ticket, command).await.map(drop)
    }
}
