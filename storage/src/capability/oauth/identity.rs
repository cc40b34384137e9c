//! Accounts at providers that are ways in to accounts here. The subject is the key: names and
//! addresses change hands, subjects do not (OpenID Connect Core §5.7).

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Account;
use crate::capability::users::User;
use crate::codec;
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::UserId;
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::records::Records;
use crate::secret::SecretHash;
use crate::state_machine::Step;
use crate::traces;

/// An account at a provider that is a way in to an account here; one a user and provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Whose it is here.
    pub user: UserId,
    /// What the provider says of it, as of its last use.
    pub account: Account,
    /// When it became a way in.
    pub linked: Moment,
    /// When it was last one.
    pub last_used: Moment,
}

/// Ends a way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlink {
    /// Whose.
    pub user: UserId,
    /// Through which provider.
    pub provider: String,
}

impl Account {
    /// Under which an account is found by its subject: a subject means something only together with
    /// its issuer, and an issuer's subjects may differ from client to client.
    fn digest(&self) -> SecretHash {
        let mut hash = Sha256::new();
        for part in [&self.provider, &self.issuer, &self.subject] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        SecretHash(hash.finalize().into())
    }

    /// To whom it is a way in.
    pub(super) fn owner(&self, step: &Step<'_, '_>) -> Result<Option<UserId>, Fault> {
        step.get(&keys::by_hash(step.tenant, Kind::IdentityBySubject, &self.digest()))
    }
}

impl Identity {
    /// The one of this user and provider.
    pub(super) fn load(
        step: &Step<'_, '_>,
        user: UserId,
        provider: &str,
    ) -> Result<Option<Self>, Fault> {
        step.get(&keys::identity(step.tenant, user, provider))
    }

    /// All of a user.
    fn all(step: &Step<'_, '_>, user: UserId) -> Result<Vec<Self>, Fault> {
        let mut found = Vec::new();
        let prefix = keys::identities_of(step.tenant, user);
        step.records().scan(&prefix, None, &mut |_, value| {
            found.push(codec::decode(value));
            ControlFlow::Continue(())
        })?;
        found.into_iter().collect()
    }

    /// Writes down that the account was used; the first time, that it is a way in.
    pub(super) fn save(
        step: &mut Step<'_, '_>,
        user: UserId,
        account: Account,
    ) -> Result<Self, Stop> {
        let before = Self::load(step, user, &account.provider)?;
        if before.as_ref().is_some_and(|before| before.account.digest() != account.digest()) {
            return Err(Rejection::IdentityAlreadyLinked.into());
        }
        let by_subject = keys::by_hash(step.tenant, Kind::IdentityBySubject, &account.digest());
        if before.is_none() {
            step.put(by_subject, &user)?;
            step.record(
                Draft::new(EventKind::OauthLinked, user)
                    .with("provider", account.provider.as_str()),
            );
        }
        let linked = before.map_or(step.now, |before| before.linked);
        let identity = Self { user, account, linked, last_used: step.now };
        step.put(keys::identity(step.tenant, user, &identity.account.provider), &identity)?;
        Ok(identity)
    }

    fn unlink(&self, step: &mut Step<'_, '_>) {
        self.delete(step);
        step.record(
            Draft::new(EventKind::OauthUnlinked, self.user)
                .with("provider", self.account.provider.as_str()),
        );
    }

    fn delete(&self, step: &mut Step<'_, '_>) {
        let digest = self.account.digest();
        step.delete(keys::by_hash(step.tenant, Kind::IdentityBySubject, &digest));
        step.delete(keys::identity(step.tenant, self.user, &self.account.provider));
    }
}

impl Unlink {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        let identity =
            Identity::load(step, self.user, &self.provider)?.ok_or(Rejection::NotFound)?;
        // Invariant: nobody locks themselves out.
        if user.ways_in(step)? <= 1 {
            return Err(Rejection::LastLoginMethod.into());
        }
        identity.unlink(step);
        traces::void(step, &user)?;
        Ok(Reply::Done)
    }
}

/// How many identities a user has.
pub(crate) fn count(step: &Step<'_, '_>, user: UserId) -> Result<usize, Fault> {
    Ok(Identity::all(step, user)?.len())
}

/// Ends the identities of a user who stays.
pub(crate) fn unlink_all(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
    for identity in Identity::all(step, user)? {
        identity.unlink(step);
    }
    Ok(())
}

/// Removes every identity of a user who is gone.
pub(crate) fn forget(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
    for identity in Identity::all(step, user)? {
        identity.delete(step);
    }
    Ok(())
}
