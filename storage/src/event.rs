//! Events: what happened, in the words of the catalogue. An event is written in the entry of its
//! cause, so that it exists if and only if its cause does.

use serde::{Deserialize, Serialize};

use crate::ids::{EventId, UserId};
use crate::moment::Moment;

macro_rules! catalogue {
    ($($kind:ident = $webhook:literal, $audit:literal;)*) => {
        /// What kind of thing happened. Append-only.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum EventKind {
            $(#[doc = concat!("`", $webhook, "`")] $kind,)*
        }

        impl EventKind {
            /// Every kind, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The name that webhooks and `/events` use.
            pub const fn webhook_name(self) -> &'static str {
                match self { $(Self::$kind => $webhook,)* }
            }

            /// The name that the audit log uses.
            pub const fn audit_name(self) -> &'static str {
                match self { $(Self::$kind => $audit,)* }
            }
        }
    };
}

catalogue! {
    UserCreated = "user.created", "user.created";
    UserUpdated = "user.updated", "user.updated";
    UserDeleted = "user.deleted", "user.deleted";
    UserPasswordChanged = "user.password_changed", "user.password_changed";
    LoggedIn = "auth.login", "user.login";
    LoginFailed = "auth.login_failed", "user.login_failed";
    AccountLocked = "auth.account_locked", "user.account_locked";
    LoggedOut = "auth.logout", "user.logout";
    SessionCreated = "session.created", "session.created";
    SessionRevoked = "session.revoked", "session.revoked";
    SessionReuseDetected = "session.reuse_detected", "session.reuse_detected";
    ApiKeyCreated = "api_key.created", "api_key.created";
    EmailVerified = "user.email_verified", "user.email_verified";
    MfaEnabled = "auth.mfa_enabled", "user.mfa_enabled";
    MfaDisabled = "auth.mfa_disabled", "user.mfa_disabled";
    PasskeyRegistered = "auth.passkey_registered", "user.passkey_registered";
    PasskeyRemoved = "auth.passkey_removed", "user.passkey_removed";
    PasswordReset = "auth.password_reset", "user.password_reset";
    OauthLinked = "auth.oauth_linked", "user.oauth_linked";
    OauthUnlinked = "auth.oauth_unlinked", "user.oauth_unlinked";
    UserSuspended = "user.suspended", "user.suspended";
    UserReactivated = "user.reactivated", "user.reactivated";
    ApiKeyRevoked = "api_key.revoked", "api_key.revoked";
    ApiKeyUpdated = "api_key.updated", "api_key.updated";
    TenantRestored = "tenant.restored", "tenant.restored";
}

/// A value that may name a person. It can be erased: what stays is its digest under the event's
/// salt, so that the chain still verifies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Personal {
    /// The value.
    Kept(String),
    /// HMAC-SHA-256 under the event's salt of the value's canonical JSON.
    Erased([u8; 32]),
}

/// Details that name a person. Invariant: a name is personal in every event or in none, so that
/// whoever verifies an export knows what enters the chain by digest.
pub const PERSONAL_DETAILS: [&str; 2] = ["email", "phoneNumber"];

/// A value in the details of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Detail {
    /// A word of ours.
    Text(String),
    /// A count.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// A name, address or number of a person.
    Personal(Personal),
}

impl From<&str> for Detail {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<u32> for Detail {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Detail {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The client's address.
    pub ip_address: Option<String>,
    /// The client's `User-Agent`, or the one that it named in `deviceInfo`.
    pub user_agent: Option<String>,
}

/// One event of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The same for every reader and every delivery.
    pub id: EventId,
    /// 1, 2, 3 … in the tenant, without a gap.
    pub sequence: u64,
    /// What happened.
    pub kind: EventKind,
    /// To whom.
    pub user: Option<UserId>,
    /// When.
    pub time: Moment,
    /// From which address.
    pub ip_address: Option<Personal>,
    /// By which program.
    pub user_agent: Option<Personal>,
    /// What else there is to know.
    pub details: Vec<(String, Detail)>,
    /// Key of the digests of personal values; gone when they are erased.
    pub salt: Option<[u8; 16]>,
    /// Link to everything before.
    pub hash: [u8; 32],
}

/// An event as a command words it, before it takes its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What happened.
    pub kind: EventKind,
    /// To whom.
    pub user: Option<UserId>,
    /// What else there is to know.
    pub details: Vec<(String, Detail)>,
}

impl Draft {
    /// An event about `user`.
    pub fn new(kind: EventKind, user: impl Into<Option<UserId>>) -> Self {
        Self { kind, user: user.into(), details: Vec::new() }
    }

    /// With one more detail.
    pub fn with(mut self, name: &str, detail: impl Into<Detail>) -> Self {
        self.details.push((name.into(), detail.into()));
        self
    }

    /// With one more detail that may name a person.
    pub fn with_personal(self, name: &str, value: &str) -> Self {
        debug_assert!(PERSONAL_DETAILS.contains(&name), "{name} is not listed as personal");
        self.with(name, Detail::Personal(Personal::Kept(value.into())))
    }
}
