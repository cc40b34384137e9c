//! What is good once: mailed tokens, codes, challenges, states of a flow. Issued in one entry and
//! spent in another, by whichever node; that it is spent once is decided here, in `apply`.
//!
//! A record outlives its use until it would have expired, so that a used token (`token_used`) is
//! told from one that never was (`invalid_token`).

use serde::{Deserialize, Serialize};

use crate::capability::email_verification::Verification;
use crate::capability::magic_links::MagicLink;
use crate::capability::mfa::{Pending, PendingDevice};
use crate::capability::oauth::{BoundExchange, Exchange, Flow, Linking, Purpose};
use crate::capability::passkeys::{Aim, Ceremony, Whose};
use crate::capability::password_reset::Reset;
use crate::capability::sessions::HandedOver;
use crate::command::{Rejection, Stop};
use crate::fault::Fault;
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::pkce::Challenge;
use crate::secret::SecretHash;
use crate::state_machine::Step;
use crate::traces::{self, Subject};

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
    /// What was asked for with a challenge, by whoever shows its verifier.
    Proven(Box<Proven>),
}

/// What is good only together with a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// What it is good for.
    pub content: Content,
    /// The challenge that the proof has to answer.
    pub challenge: Challenge,
}

impl Content {
    /// Whom it is about, if it is about anybody.
    fn subject(&self) -> Option<Subject<'_>> {
        let user = match self {
            Self::MagicLink(link) => return Some(Subject::Address(&link.email)),
            Self::Pending(pending) => pending.user,
            Self::PendingDevice(device) => device.pending.user,
            Self::Exchange(exchange) => exchange.user,
            Self::BoundExchange(bound) => bound.exchange.user,
            Self::HandedOver(handed_over) => handed_over.user,
            Self::Verification(verification) => verification.user,
            Self::Reset(reset) => reset.user,
            Self::Linking(linking) => linking.user,
            Self::Proven(proven) => return proven.content.subject(),
            Self::Flow(flow) => match flow.purpose {
                Purpose::Link { user, .. } => user,
                Purpose::LogIn => return None,
            },
            Self::Ceremony(ceremony) => match ceremony.aim {
                Aim::Register { user, .. } => user,
                // The token that it was asked for with is about somebody, and it is good for no other.
                Aim::SecondFactor(_) => return None,
                Aim::LogIn(Whose::User(user)) => return Some(Subject::Challenged(user)),
                Aim::LogIn(Whose::Anybody | Whose::Nobody) => return None,
            },
        };
        Some(Subject::User(user))
    }

    /// The same, for whoever answers the challenge that it was asked for with, if it was with one.
    pub(crate) fn proven_by(self, challenge: Option<Challenge>) -> Self {
        match challenge {
            Some(challenge) => Self::Proven(Box::new(Proven { content: self, challenge })),
            None => self,
        }
    }

    /// What it is good for, once a challenge was answered.
    pub(crate) fn unproven(&self) -> &Self {
        match self {
            Self::Proven(proven) => &proven.content,
            content => content,
        }
    }

    /// The challenge that has to be answered for it.
    pub fn challenge(&self) -> Option<&Challenge> {
        match self {
            Self::Proven(proven) => Some(&proven.challenge),
            _ => None,
        }
    }

    /// Whether it stands for something that somebody has shown, and lets them in for it.
    pub(crate) fn lets_in(&self) -> bool {
        match self {
            Self::Pending(_)
            | Self::PendingDevice(_)
            | Self::Exchange(_)
            | Self::BoundExchange(_)
            | Self::MagicLink(_) => true,
            Self::Verification(_)
            | Self::Reset(_)
            | Self::Flow(_)
            | Self::Linking(_)
            // A session, which ends by itself.
            | Self::HandedOver(_)
            | Self::Ceremony(_) => false,
            Self::Proven(proven) => proven.content.lets_in(),
        }
    }
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
        if let Some(subject) = content.subject() {
            traces::note(step, subject, &key, expires)?;
        }
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
