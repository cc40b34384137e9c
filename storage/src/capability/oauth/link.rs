//! Linking from inside: somebody who is logged in makes an account at a provider a way in to theirs.

use serde::{Deserialize, Serialize};

use super::arrive::prove_address;
use super::{Account, CODE_TTL_MS, Identity};
use crate::capability::email_verification::Contest;
use crate::capability::sessions::Session;
use crate::capability::users::{Profile, Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::ids::{SessionId, UserId};
use crate::keys;
use crate::one_time::{Content, OneTime};
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// A link that waits for the page of the session that asked for it, under the hash of its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linking {
    /// Whose account.
    pub user: UserId,
    /// The session that asked.
    pub session: SessionId,
    /// What the provider says.
    pub account: Account,
}

/// Makes an account at a provider a way in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What to link.
    pub linking: Linking,
}

/// Leaves a link for the page that a browser was led back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What to link.
    pub linking: Linking,
    /// Hash of the code.
    pub code: SecretHash,
}

/// Completes a link, in the session that asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkByCode {
    /// Hash of the code.
    pub code: SecretHash,
    /// Who shows it.
    pub user: UserId,
    /// In which session.
    pub session: SessionId,
}

/// What a link came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// Whose account.
    pub profile: Profile,
    /// The new way in.
    pub identity: Identity,
}

impl Link {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        self.linking.apply(step)
    }
}

impl Offer {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let content = Content::Linking(Box::new(self.linking));
        OneTime::issue(step, &self.code, content, CODE_TTL_MS)?;
        Ok(Reply::Done)
    }
}

impl LinkByCode {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let found = OneTime::find(step, &self.code)?;
        // Invariant: whoever is led to a page with somebody else's code links nothing by it.
        let linking = match &found.content {
            Content::Linking(linking)
                if (linking.user, linking.session) == (self.user, self.session) =>
            {
                linking.clone()
            }
            _ => return Err(Rejection::InvalidToken.into()),
        };
        found.spend(step, &self.code)?;
        linking.apply(step)
    }
}

impl Linking {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = User::load(step, self.user)?.ok_or(Rejection::InvalidToken)?;
        // Invariant: a session that has ended links nothing any more.
        let session: Option<Session> =
            step.get(&keys::session(step.tenant, self.user, self.session))?;
        if session.is_none_or(|session| session.expires <= step.now) {
            return Err(Rejection::SessionRevoked.into());
        }
        if user.status == Status::Suspended {
            return Err(Rejection::AccountSuspended.into());
        }
        if self.account.owner(step)?.is_some_and(|owner| owner != self.user) {
            return Err(Rejection::IdentityAlreadyLinked.into());
        }
        // Account and mailbox are in one hand.
        if prove_address(step, &mut user, &self.account) {
            Contest::owned(step, self.user)?;
        }
        let identity = Identity::save(step, self.user, self.account)?;
        user.save(step)?;
        let profile = user.profile;
        Ok(Reply::Linked(Box::new(Linked { profile, identity })))
    }
}
