//! What is proposed to a shard, and what comes back. Every enum here is append-only: its order is
//! its encoding.

use serde::{Deserialize, Serialize};

use crate::capability::api_keys::ApiKey;
use crate::capability::cluster;
use crate::capability::mfa::Challenged;
use crate::capability::oauth::{Arrival, Linked};
use crate::capability::passkeys::Passkey;
use crate::capability::sessions::{Renewed, SignedIn};
use crate::capability::users::{Managed, Profile};
use crate::capability::{
    api_keys, email_verification, magic_links, mfa, oauth, passkeys, password_reset, passwords,
    phones, sessions, tenants, users,
};
use crate::event::Origin;
use crate::fault::Fault;
use crate::idempotency::{Guess, Recorded, Ticket};
use crate::ids::{TenantNumber, UserId};
use crate::moment::Moment;
use crate::outbox::{self, Mailed};
use crate::sweep;

/// A command with everything that `apply` may not find out for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Whose records it touches.
    pub tenant: TenantNumber,
    /// The proposer's clock. The shard's time is the latest it has seen.
    pub proposed: Moment,
    /// Randomness for the ids and salts of events.
    pub seed: [u8; 32],
    /// Where the request came from, for its events.
    pub origin: Origin,
    /// The request's idempotency key, when it carries one.
    pub idempotency: Option<Ticket>,
    /// What to do.
    pub command: Command,
}

/// What can be done, by capability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Accounts and profiles.
    Users(users::Command),
    /// Logging in and changing the password.
    Passwords(passwords::Command),
    /// Refresh, revocation, expiry.
    Sessions(sessions::Command),
    /// Tenants, their settings and keys, and the cluster itself.
    Tenants(tenants::Command),
    /// Removal of what has expired.
    Sweep(sweep::Command),
    /// Other providers, and the codes that become sessions.
    Oauth(oauth::Command),
    /// Phone numbers and the codes that show who holds them.
    Phones(phones::Command),
    /// What was sent, or given up.
    Outbox(outbox::Command),
    /// Showing that one reads mail at one's address.
    EmailVerification(email_verification::Command),
    /// A new password for who has forgotten the old one.
    PasswordReset(password_reset::Command),
    /// Logging in by a mailed link.
    MagicLinks(magic_links::Command),
    /// Second factors.
    Mfa(mfa::Command),
    /// Passkeys.
    Passkeys(passkeys::Command),
    /// API keys.
    ApiKeys(api_keys::Command),
    /// The nodes of the cluster.
    Cluster(cluster::Command),
    /// What may turn out to be a wrong guess, to be counted once.
    Guess(Box<Guess>),
    /// What somebody has decided in a session that must still be there.
    Within(Box<sessions::Within>),
    /// What a server has decided by an API key that must still be good for it.
    ByKey(Box<api_keys::ByKey>),
}

/// What a command came to: a reply, or the state's refusal of it.
pub type Outcome = Result<Reply, Rejection>;

/// What an accepted command answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done, and there is nothing to say.
    Done,
    /// So many were affected.
    Count(u32),
    /// A new session.
    SignedIn(Box<SignedIn>),
    /// A session goes on under a new refresh token.
    Renewed(Box<Renewed>),
    /// A user created without a session.
    Registered(Box<Profile>),
    /// The user as changed.
    Profile(Box<Profile>),
    /// The guess was wrong and has been counted.
    WrongGuess,
    /// A spent refresh token came back; its session is revoked.
    ReuseDetected,
    /// The same request has been answered before: so.
    Recorded(Box<Recorded>),
    /// The first factor was right, and a second one is asked for.
    Challenged(Box<Challenged>),
    /// A user, as administrators see them.
    Managed(Box<Managed>),
    /// Which accounts were taken in; the others' addresses were taken.
    Imported(Vec<bool>),
    /// A mail is on its way, if there is anybody to send it to.
    Mailed(Box<Mailed>),
    /// Somebody was let in for whom a provider vouches.
    Arrived(Box<Arrival>),
    /// An account at a provider has become a way in.
    Linked(Box<Linked>),
    /// The account of the address must be linked from inside; what a stranger may have set up in it
    /// has ended.
    LinkRequired,
    /// The passkey as it is now.
    Passkey(Box<Passkey>),
    /// The tenant with this number.
    Tenant(TenantNumber),
    /// An API key as it is now.
    ApiKey(Box<ApiKey>),
    /// A node of the cluster.
    Node(Box<cluster::Node>),
}

/// The state says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// The record does not exist.
    NotFound,
    /// The address belongs to a user already.
    EmailAlreadyExists,
    /// The password that was checked is no longer the user's, or there is no such user.
    InvalidCredentials,
    /// Too many wrong guesses; `until` then.
    AccountLocked {
        /// When guesses are taken again.
        until: Moment,
    },
    /// An administrator has suspended the user.
    AccountSuspended,
    /// No session knows this token.
    InvalidToken,
    /// The session was ended by somebody.
    SessionRevoked,
    /// The session ended by itself.
    SessionExpired,
    /// The idempotency key came with another request before.
    IdempotencyConflict,
    /// The record has changed since it was read.
    Stale,
    /// There is one already.
    AlreadyExists,
    /// What is good once has been used.
    TokenUsed,
    /// The code of a second factor is wrong, and has been counted.
    InvalidMfaCode,
    /// The address has an account that must be linked from inside.
    AccountLinkRequired,
    /// Too many of these for one address; `until` then.
    LimitReached {
        /// When the next one is taken.
        until: Moment,
    },
    /// The outbox is full.
    OutboxFull,
    /// The tenant takes no newcomers.
    RegistrationClosed,
    /// The provider gave no address, and an account needs one.
    EmailRequired,
    /// The account at the provider is a way in to another account, or another one is to this.
    IdentityAlreadyLinked,
    /// Without it nobody would get in any more.
    LastLoginMethod,
    /// An authenticator's credential belongs to an account already.
    CredentialExists,
    /// The account has as many of these as it may.
    TooMany,
    /// Another tenant has this id or slug.
    SlugTaken,
}

impl Rejection {
    /// Whether an idempotency record keeps it: what ends in 401 is asked anew, and what passes by
    /// itself is not repeated beyond its time.
    pub(crate) fn is_kept(&self) -> bool {
        match self {
            Self::NotFound
            | Self::EmailAlreadyExists
            | Self::AccountSuspended
            | Self::AccountLinkRequired
            | Self::RegistrationClosed
            | Self::EmailRequired
            | Self::IdentityAlreadyLinked
            | Self::LastLoginMethod
            | Self::AlreadyExists
            | Self::CredentialExists
            | Self::TooMany
            | Self::SlugTaken => true,
            Self::InvalidCredentials
            | Self::AccountLocked { .. }
            | Self::InvalidToken
            | Self::SessionRevoked
            | Self::SessionExpired
            | Self::IdempotencyConflict
            | Self::TokenUsed
            | Self::InvalidMfaCode
            | Self::LimitReached { .. }
            | Self::OutboxFull
            | Self::Stale => false,
        }
    }
}

impl Reply {
    /// Whether an idempotency record keeps it.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self, Self::WrongGuess | Self::ReuseDetected | Self::Recorded(_))
    }

    /// Whom it tells of, if it tells of anybody.
    pub(crate) fn about(&self) -> Option<UserId> {
        match self {
            Self::SignedIn(signed_in) => Some(signed_in.profile.id),
            Self::Renewed(renewed) => Some(renewed.claims.user),
            Self::Registered(profile) | Self::Profile(profile) => Some(profile.id),
            Self::Challenged(challenged) => Some(challenged.profile.id),
            Self::Managed(managed) => Some(managed.profile.id),
            Self::Arrived(arrival) => arrival.entered.about(),
            Self::Linked(linked) => Some(linked.profile.id),
            Self::Passkey(passkey) => Some(passkey.user),
            Self::Recorded(recorded) => recorded.outcome.as_ref().ok().and_then(Self::about),
            Self::Done
            | Self::Count(_)
            | Self::WrongGuess
            | Self::ReuseDetected
            | Self::Imported(_)
            | Self::Mailed(_)
            | Self::LinkRequired
            | Self::Tenant(_)
            | Self::ApiKey(_)
            | Self::Node(_) => None,
        }
    }
}

/// Why a command stops early.
#[derive(Debug, Clone)]
pub enum Stop {
    /// The state says no; nothing of the command stays.
    Rejected(Rejection),
    /// Something broke below.
    Broken(Fault),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}
