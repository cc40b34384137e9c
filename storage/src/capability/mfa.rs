//! The second factor: what stands between a first factor that was right and a session.

use serde::{Deserialize, Serialize};

use crate::capability::sessions::{self, Method, Start};
use crate::capability::users::{Profile, Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::ids::UserId;
use crate::moment::Moment;
use crate::one_time::{Content, OneTime};
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// A way to show a second factor. Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecondFactor {
    /// A code of an authenticator app (RFC 6238).
    Totp,
    /// One of the codes that are kept for when the other factor is lost.
    BackupCode,
    /// A passkey.
    Passkey,
}

impl SecondFactor {
    /// The name that clients use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::BackupCode => "backup_code",
            Self::Passkey => "passkey",
        }
    }
}

/// What a right first factor leads to: a session or, where a second factor is demanded, a temporary
/// token. The proposer cannot know which, so it brings both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The session to be.
    pub start: Start,
    /// Hash of the temporary token.
    pub temp_token: SecretHash,
    /// How long that lasts, milliseconds.
    pub temp_ttl_ms: u64,
}

/// A first factor that was right, under the hash of its temporary token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Who showed it.
    pub user: UserId,
    /// Which.
    pub first: Method,
    /// How many wrong codes were shown with it.
    pub guesses: u32,
}

/// The answer to a right first factor where a second one is demanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenged {
    /// Who showed it.
    pub profile: Profile,
    /// What may follow.
    pub methods: Vec<SecondFactor>,
    /// Until when.
    pub expires: Moment,
}

/// Lets somebody in who has just shown `first`: with a session, or with the demand for a second
/// factor. The caller saves the user.
pub(crate) fn admit(
    step: &mut Step<'_, '_>,
    user: &mut User,
    first: Method,
    entry: Entry,
) -> Result<Reply, Stop> {
    if user.status == Status::Suspended {
        return Err(Rejection::AccountSuspended.into());
    }
    // A passkey that has verified its user is both factors in one.
    if !user.profile.mfa_enabled || first == Method::Passkey {
        return let_in(step, user, vec![first], entry.start);
    }
    let pending = Pending { user: user.profile.id, first, guesses: 0 };
    let content = Content::Pending(pending);
    let expires = OneTime::issue(step, &entry.temp_token, content, entry.temp_ttl_ms)?;
    let methods = vec![SecondFactor::Totp, SecondFactor::BackupCode];
    let challenged = Challenged { profile: user.profile.clone(), methods, expires };
    Ok(Reply::Challenged(Box::new(challenged)))
}

/// Begins the session of somebody who has shown all that is demanded. The caller saves the user.
pub(crate) fn let_in(
    step: &mut Step<'_, '_>,
    user: &mut User,
    methods: Vec<Method>,
    start: Start,
) -> Result<Reply, Stop> {
    let names: Vec<_> = methods.iter().map(|method| method.name()).collect();
    step.record(
        Draft::new(EventKind::LoggedIn, user.profile.id)
            .with("method", names.join("+").as_str())
            .with("success", true),
    );
    Ok(Reply::SignedIn(Box::new(sessions::start(step, user, start, methods)?)))
}
