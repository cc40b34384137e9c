//! Somebody arrives for whom a provider vouches.
//!
//! Decision: the subject that a provider names is who they are, and only a subject that was never
//! seen is looked up by its address. An account with that address is linked if the provider says that
//! the address is verified *and* it was verified here; otherwise it must be linked from inside
//! (`account_link_required`).
//!
//! Decision: where the provider has verified an address that was never verified here, whoever made the
//! account has not shown that the address is theirs, and its owner has just come. They are told to link
//! it, since the account may be a stranger's; but they have claimed it: from that moment nothing that a
//! stranger set up opens it, and the address is verified, so that they come in when they arrive again.

use serde::{Deserialize, Serialize};

use super::{Exchange, Identity};
use crate::capability::email_verification;
use crate::capability::mfa::{self, Entry};
use crate::capability::sessions::Method;
use crate::capability::users::{Profile, Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::ids::UserId;
use crate::keys;
use crate::pkce::Challenge;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// What a provider says of somebody, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Our name for the provider.
    pub provider: String,
    /// The issuer (OpenID Connect Core §2), or the address of a provider that has none.
    pub issuer: String,
    /// `sub`: theirs for ever.
    pub subject: String,
    /// Normalised address.
    pub email: Option<String>,
    /// Whether the provider has seen that the address is theirs.
    pub email_verified: bool,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// URL of a picture.
    pub avatar: Option<String>,
}

/// Lets somebody in for whom a provider vouches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrive {
    /// Who the provider says they are.
    pub account: Account,
    /// Id of the account to be, if they have none.
    pub id: UserId,
    /// Whether the tenant takes newcomers.
    pub may_register: bool,
    /// How it goes on.
    pub then: Then,
}

/// How it goes on with somebody who is let in. Append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// With a session, or the demand for a second factor.
    Enter(Entry),
    /// With a code for the page that the browser is led back to.
    Leave(SecretHash),
    /// The same, for whoever answers the challenge that the page began with.
    LeaveTo(SecretHash, Challenge),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Whether the account was made by it.
    pub is_new_user: bool,
    /// The session, or the demand for a second factor; `Done` where a code was left.
    pub entered: Reply,
}

/// What the account of somebody who arrives is.
enum Found {
    Theirs(User),
    New(User),
    /// One with their address that may be somebody else's.
    Unproven(User),
}

impl Arrive {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let Self { account, id, may_register, then } = self;
        let (mut user, is_new_user) = match find(step, &account, id, may_register)? {
            Found::Theirs(user) => (user, false),
            Found::New(user) => (user, true),
            Found::Unproven(mut user) => {
                email_verification::claim(step, &mut user)?;
                user.save(step)?;
                return Ok(Reply::LinkRequired);
            }
        };
        if user.status == Status::Suspended {
            return Err(Rejection::AccountSuspended.into());
        }
        prove_address(step, &mut user, &account);
        let provider = account.provider.clone();
        Identity::save(step, user.profile.id, account)?;
        let exchange = Exchange {
            user: user.profile.id,
            method: Method::Federated,
            is_new_user,
            provider: Some(provider.clone()),
        };
        let entered = match then {
            Then::Enter(entry) => {
                let entered = mfa::admit(step, &mut user, Method::Federated, entry)?;
                told_of(step, &provider);
                entered
            }
            Then::Leave(code) => {
                exchange.leave(step, &code, &user, None)?;
                Reply::Done
            }
            Then::LeaveTo(code, challenge) => {
                exchange.leave(step, &code, &user, Some(challenge))?;
                Reply::Done
            }
        };
        user.save(step)?;
        Ok(Reply::Arrived(Box::new(Arrival { is_new_user, entered })))
    }
}

fn find(
    step: &mut Step<'_, '_>,
    account: &Account,
    id: UserId,
    may_register: bool,
) -> Result<Found, Stop> {
    if let Some(owner) = account.owner(step)?
        && let Some(user) = User::load(step, owner)?
    {
        return Ok(Found::Theirs(user));
    }
    let email = account.email.as_deref().ok_or(Rejection::EmailRequired)?;
    let holder: Option<UserId> = step.get(&keys::email(step.tenant, email))?;
    if let Some(user) = holder.map(|holder| User::load(step, holder)).transpose()?.flatten() {
        return match (account.email_verified, user.profile.email_verified) {
            (true, true) => Ok(Found::Theirs(user)),
            (true, false) => Ok(Found::Unproven(user)),
            (false, _) => Err(Rejection::AccountLinkRequired.into()),
        };
    }
    if !may_register {
        return Err(Rejection::RegistrationClosed.into());
    }
    register(step, account, email, id).map(Found::New)
}

fn register(
    step: &mut Step<'_, '_>,
    account: &Account,
    email: &str,
    id: UserId,
) -> Result<User, Stop> {
    if step.contains(&keys::user(step.tenant, id))? {
        return Err(Rejection::AlreadyExists.into());
    }
    step.put(keys::email(step.tenant, email), &id)?;
    step.record(
        Draft::new(EventKind::UserCreated, id)
            .with("method", Method::Federated.name())
            .with("provider", account.provider.as_str())
            .with_personal("email", email),
    );
    let profile = Profile {
        id,
        email: email.into(),
        first_name: account.first_name.clone(),
        last_name: account.last_name.clone(),
        email_verified: account.email_verified,
        phone_number: None,
        phone_verified: false,
        avatar: account.avatar.clone(),
        mfa_enabled: false,
        created: step.now,
        last_active: step.now,
        metadata: "{}".into(),
    };
    let status = Status::Active;
    Ok(User { profile, password: None, status, devices: Vec::new(), sessions: 0 })
}

/// Says which provider vouched for the login that was just recorded, if one was.
pub(super) fn told_of(step: &mut Step<'_, '_>, provider: &str) {
    step.elaborate(EventKind::LoggedIn, "provider", provider);
}

/// A provider that has verified the very address of an account has verified it for us. Says whether it
/// has.
pub(super) fn prove_address(step: &mut Step<'_, '_>, user: &mut User, account: &Account) -> bool {
    let same = account.email.as_deref() == Some(user.profile.email.as_str());
    let proven = same && account.email_verified;
    if proven && !user.profile.email_verified {
        user.profile.email_verified = true;
        step.record(
            Draft::new(EventKind::EmailVerified, user.profile.id)
                .with("provider", account.provider.as_str()),
        );
    }
    proven
}
