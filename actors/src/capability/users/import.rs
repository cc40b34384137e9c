//! Taking in users from elsewhere, with the hashes of their passwords. An import is many commands, a
//! batch each; the record of an idempotency key comes last, with the summary in it.
//!
//! Decision: the random bits of a newcomer's id come from the idempotency key and the line. An import
//! that broke off and is sent again with its key finds those it has taken in before, and counts them
//! as taken in.

use janua_storage::capability::users::{self, Import, Newcomer};
use janua_storage::command::{Command, Reply};
use janua_storage::ids::UserId;
use janua_storage::seal::mac;

use crate::authority::Authority;
use crate::capability::sessions::unexpected;
use crate::context::Context;
use crate::email::EmailAddress;
use crate::hashing;
use crate::idempotency::{Attempt, First};
use crate::phone::PhoneNumber;
use crate::refusal::Refusal;
use crate::tenant::TenantRef;

/// How many users one command takes in.
pub const BATCH: usize = 100;

/// A user from elsewhere.
#[derive(Debug, Clone)]
pub struct Immigrant {
    /// On which line they stand.
    pub line: u64,
    /// Their address.
    pub email: EmailAddress,
    /// Whether they are known to read mail there.
    pub email_verified: bool,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Their number.
    pub phone_number: Option<PhoneNumber>,
    /// Whether they are known to hold it.
    pub phone_verified: bool,
    /// URL of a picture.
    pub avatar: Option<String>,
    /// A JSON object, as text.
    pub metadata: String,
    /// Hash of their password.
    pub password: Option<ForeignHash>,
}

/// A password hash that can be verified here.
#[derive(Clone)]
pub struct ForeignHash(String);

impl std::fmt::Debug for ForeignHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ForeignHash(…)")
    }
}

impl std::str::FromStr for ForeignHash {
    type Err = hashing::Unusable;

    fn from_str(text: &str) -> Result<Self, hashing::Unusable> {
        hashing::check(text).map(|()| Self(text.into()))
    }
}

/// An import that has begun.
pub enum Begun {
    /// Nobody has sent it before.
    First(Importing),
    /// What was kept when it was sent before.
    Repeated(Vec<u8>),
}

/// An import under way.
pub struct Importing {
    tenant: TenantRef,
    by: Authority,
    key: [u8; 32],
    first: First,
}

impl TenantRef {
    /// Begins an import, unless its idempotency key was used before.
    pub async fn begin_import(&self, context: &Context, by: Authority) -> Result<Begun, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => {
                let kept = answer.secrets.ok_or_else(|| unexpected(&answer.reply))?;
                return Ok(Begun::Repeated(kept));
            }
            Attempt::First(first) => first,
        };
        let key = first.digest().unwrap_or_else(|| self.0.node.clock.random());
        Ok(Begun::First(Importing { tenant: self.clone(), by, key, first }))
    }
}

impl Importing {
    /// Takes in some users; for each, whether the address was free.
    pub async fn take_in(
        &self,
        context: &Context,
        users: Vec<Immigrant>,
    ) -> Result<Vec<bool>, Refusal> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let newcomers = users.into_iter().map(|user| self.newcomer(user)).collect();
        let import = self.import(newcomers);
        match self.tenant.propose(context.origin(), None, import).await?.reply {
            Reply::Imported(settled) => Ok(settled),
            reply => Err(unexpected(&reply)),
        }
    }

    /// Keeps the summary for whoever sends the same again.
    pub async fn end(self, context: &Context, summary: &str) -> Result<(), Refusal> {
        let Some(ticket) = self.tenant.ticket(&self.first, Some(summary)).await? else {
            return Ok(());
        };
        let none = self.import(Vec::new());
        self.tenant.propose(context.origin(), Some(ticket), none).await.map(drop)
    }

    fn import(&self, newcomers: Vec<Newcomer>) -> Command {
        let import = Import { newcomers, by: self.by.actor() };
        self.by.decides(Command::Users(users::Command::Import(Box::new(import))))
    }

    fn newcomer(&self, user: Immigrant) -> Newcomer {
        let bits = mac(&self.key, format!("{} {}", user.line, user.email).as_bytes());
        let random = bits[..10].iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        Newcomer {
            id: UserId::new(self.tenant.0.node.clock.now().0, random),
            email: user.email.as_str().into(),
            email_verified: user.email_verified,
            first_name: user.first_name,
            last_name: user.last_name,
            phone_number: user.phone_number.map(String::from),
            phone_verified: user.phone_verified,
            avatar: user.avatar,
            metadata: user.metadata,
            password: user.password.map(|ForeignHash(text)| text),
        }
    }
}
