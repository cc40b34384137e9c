//! What is good once: mailed tokens, codes, challenges, states of a flow. Issued in one entry and
//! spent in another, by whichever node; that it is spent once is decided here, in `apply`.
//!
//! A record outlives its use until it would have expired, so that a used token (`token_used`) is
//! told from one that never was (`invalid_token`).

use serde::{Deserialize, Serialize};

use crate::capability::email_verification::Verification;
use crate::capability::magic_links::MagicLink;
use crate::capability::mfa::{Pending, PendingDevice};
use crate::capability::oauth::{BoundExchange, Exchange, Flow, Linking};
use crate::capability::passkeys::Ceremony;
use crate::capability::password_reset::Reset;
use crate::capability::sessions::HandedOver;
use crate::command::{Rejection, Stop};
use crate::fault::Fault;
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// As it lies in the records, by the hash of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTime {
    /// What it is good for.
    pub content: Content,
    /// When it is good no more.
    pub expires: Moment,
    /// When it was used.
    pub used: Option<Moment>,
}

/// What it is good for. Append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// A first factor that was shown, until the second one is.
    Pending(Pending),
    /// A login that a page picks up by its code.
    Exchange(Exchange),
    /// Shows that somebody reads mail at an address.
    Verification(Verification),
    /// Lets somebody set a new password.
    Reset(Reset),
    /// Logs in without a password.
    MagicLink(MagicLink),
    /// A browser on its way through a provider.
    Flow(Box<Flow>),
    /// A link to a provider that its page completes by its code.
    Linking(Box<Linking>),
    /// What an authenticator was asked to sign.
    Ceremony(Ceremony),
    /// A session that an application takes over by its code.
    HandedOver(HandedOver),
    /// A first factor that was shown, and on which device.
    PendingDevice(PendingDevice),
    /// A login that a page picks up by its code, while its user's password stays what it was.
    BoundExchange(BoundExchange),
}

impl OneTime {
    /// Issues it under the hash of its secret, and says when it expires.
    pub(crate) fn issue(
        step: &mut Step<'_, '_>,
        hash: &SecretHash,
        content: Content,
        ttl_ms: u64,
    ) -> Result<Moment, Stop> {
        let key = keys::by_hash(step.tenant, Kind::OneTime, hash);
        if step.contains(&key)? {
            return Err(Rejection::AlreadyExists.into());
        }
        let expires = Moment(step.now.0.saturating_add(ttl_ms));
        step.put(key, &Self { content, expires, used: None })?;
        Ok(expires)
    }

    /// What `hash` is good for at this moment, unused. The caller checks that it is the kind of
    /// thing it expects.
    pub(crate) fn find(step: &Step<'_, '_>, hash: &SecretHash) -> Result<Self, Stop> {
        let found: Option<Self> = step.get(&keys::by_hash(step.tenant, Kind::OneTime, hash))?;
        Ok(found.ok_or(Rejection::InvalidToken)?.unused(step.now)?)
    }

    /// Marks it as used. Invariant: every entry that acts on a one-time thing spends it in the same
    /// entry.
    pub(crate) fn spend(mut self, step: &mut Step<'_, '_>, hash: &SecretHash) -> Result<(), Fault> {
        self.used = Some(step.now);
        self.save(step, hash)
    }

    /// Takes the mark of use back from what `is_it` recognises, unless its time is over.
    pub(crate) fn unspend(
        step: &mut Step<'_, '_>,
        hash: &SecretHash,
        is_it: impl Fn(&Content) -> bool,
    ) -> Result<(), Fault> {
        let found: Option<Self> = step.get(&keys::by_hash(step.tenant, Kind::OneTime, hash))?;
        match found {
            Some(mut found) if is_it(&found.content) => {
                found.used = None;
                found.save(step, hash)
            }
            _ => Ok(()),
        }
    }

    /// Writes it back, changed.
    pub(crate) fn save(&self, step: &mut Step<'_, '_>, hash: &SecretHash) -> Result<(), Fault> {
        step.put(keys::by_hash(step.tenant, Kind::OneTime, hash), self)
    }

    /// The record itself, if it can still be used at `now`.
    pub fn unused(self, now: Moment) -> Result<Self, Rejection> {
        match self {
            Self { expires, .. } if expires <= now => Err(Rejection::InvalidToken),
            Self { used: Some(_), .. } => Err(Rejection::TokenUsed),
            unused => Ok(unused),
        }
    }
}
