//! What administrators do to accounts: create, change, suspend, unlock, end.

use serde::{Deserialize, Serialize};

use super::{Changes, Profile, Status, User, forget};
use crate::capability::email_verification::Contest;
use crate::capability::passwords::{self, Password};
use crate::capability::phones;
use crate::capability::sessions::{self, EndReason};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::{ApiKeyId, UserId};
use crate::keys;
use crate::moment::Moment;
use crate::state_machine::Step;
use crate::traces::{self, Subject};
use crate::view::View;

/// Who acts on somebody else's account. Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A server, by its secret key.
    ApiKey(ApiKeyId),
    /// Another user.
    User(UserId),
    /// The operator of the cluster.
    Operator,
}

/// An account to be, as somebody else describes it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newcomer {
    /// Id of the account to be.
    pub id: UserId,
    /// Normalised address.
    pub email: String,
    /// Whether its owner is known to read mail there.
    pub email_verified: bool,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// E.164.
    pub phone_number: Option<String>,
    /// Whether its owner is known to hold the number.
    pub phone_verified: bool,
    /// URL of a picture.
    pub avatar: Option<String>,
    /// A JSON object, as text.
    pub metadata: String,
    /// A hash that the hashing threads can verify; absent for those who log in by other means.
    pub password: Option<String>,
}

/// A new account, made by an administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    /// As it is to be.
    pub newcomer: Newcomer,
    /// By whom.
    pub by: Actor,
}

/// Accounts that come from elsewhere, with their passwords' hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// As they are to be.
    pub newcomers: Vec<Newcomer>,
    /// By whom.
    pub by: Actor,
}

/// Changes by an administrator.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amend {
    /// Whose account.
    pub user: UserId,
    /// What users may change themselves.
    pub changes: Changes,
    /// Another normalised address; unverified unless `email_verified` says so.
    pub email: Option<String>,
    /// Whether the address is verified.
    pub email_verified: Option<bool>,
    /// Whether the number is verified.
    pub phone_verified: Option<bool>,
    /// PHC string of another password; it ends all sessions.
    pub password: Option<String>,
    /// By whom.
    pub by: Actor,
}

/// Something that an administrator does to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manage {
    /// Whose account.
    pub user: UserId,
    /// What.
    pub action: Action,
    /// By whom.
    pub by: Actor,
}

/// What an administrator does. Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// No login and no session until it is taken back.
    Suspend,
    /// Takes the suspension back.
    Reactivate,
    /// Forgives wrong guesses.
    Unlock,
    /// Ends every session.
    EndSessions,
    /// Ends the account.
    Remove,
}

/// A user, as administrators see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Managed {
    /// What the user may see.
    pub profile: Profile,
    /// Whether they may act.
    pub status: Status,
    /// Whether they can log in with a password.
    pub has_password: bool,
    /// Until when no guess is taken.
    pub locked_until: Option<Moment>,
    /// How many live sessions they have.
    pub sessions: u32,
    /// How many devices they are known to use.
    pub devices: u32,
    /// How many accounts at providers are ways in.
    pub identities: u32,
    /// How many passkeys they have.
    pub passkeys: u32,
}

impl std::fmt::Debug for Newcomer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Newcomer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Amend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Amend").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Actor {
    fn name(self) -> String {
        match self {
            Self::ApiKey(id) => id.to_string(),
            Self::User(id) => id.to_string(),
            Self::Operator => "operator".into(),
        }
    }
}

impl Managed {
    /// A user, with what else the records tell of them at the moment `now`.
    pub fn of(view: &View<'_>, user: User, now: Moment) -> Result<Self, Fault> {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let id = user.profile.id;
        let lockout = view.lockout(&user.profile.email)?;
        Ok(Self {
            status: user.status,
            has_password: user.password.is_some(),
            locked_until: lockout.and_then(|lockout| lockout.closed(now)),
            sessions: user.sessions,
            devices: count(user.devices.len()),
            identities: count(view.identities(id)?.len()),
            passkeys: count(view.passkeys(id)?.len()),
            profile: user.profile,
        })
    }
}

fn managed(step: &Step<'_, '_>, user: User) -> Result<Reply, Stop> {
    let view = View::new(step.records(), step.tenant);
    Ok(Reply::Managed(Box::new(Managed::of(&view, user, step.now)?)))
}

impl Newcomer {
    /// Opens the account. Writes nothing when it refuses, so that others of the same command go on.
    fn settle(self, step: &mut Step<'_, '_>, method: &str, by: Actor) -> Result<User, Stop> {
        let email_key = keys::email(step.tenant, &self.email);
        if step.contains(&email_key)? {
            return Err(Rejection::EmailAlreadyExists.into());
        }
        if step.contains(&keys::user(step.tenant, self.id))? {
            return Err(Rejection::AlreadyExists.into());
        }
        step.put(email_key, &self.id)?;
        step.record(
            Draft::new(EventKind::UserCreated, self.id)
                .with("method", method)
                .with("actor", by.name().as_str())
                .with_personal("email", &self.email),
        );
        let password = |phc| Password { phc, generation: 1, changed: step.now };
        let user = User {
            password: self.password.map(password),
            status: Status::Active,
            devices: Vec::new(),
            sessions: 0,
            profile: Profile {
                id: self.id,
                email: self.email,
                first_name: self.first_name,
                last_name: self.last_name,
                email_verified: self.email_verified,
                phone_verified: self.phone_verified && self.phone_number.is_some(),
                phone_number: self.phone_number,
                avatar: self.avatar,
                mfa_enabled: false,
                created: step.now,
                last_active: step.now,
                metadata: self.metadata,
            },
        };
        user.save(step)?;
        Ok(user)
    }
}

impl Create {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let user = self.newcomer.settle(step, "administrator", self.by)?;
        managed(step, user)
    }
}

impl Import {
    /// A newcomer who is there already by the same random bits is the same line sent again.
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut settled = Vec::with_capacity(self.newcomers.len());
        for newcomer in self.newcomers {
            let (id, email_key) = (newcomer.id, keys::email(step.tenant, &newcomer.email));
            let known: Option<UserId> = step.get(&email_key)?;
            settled.push(match known {
                Some(known) => known.random() == id.random(),
                None => newcomer.settle(step, "import", self.by).map(|_| true)?,
            });
        }
        Ok(Reply::Imported(settled))
    }
}

impl Amend {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        let mut fields = self.changes.merge_into(&mut user.profile);
        if fields.contains(&"phoneNumber") {
            phones::withdraw(step, self.user)?;
        }
        if let Some(email) = self.email.filter(|email| *email != user.profile.email) {
            let key = keys::email(step.tenant, &email);
            if step.contains(&key)? {
                return Err(Rejection::EmailAlreadyExists.into());
            }
            step.delete(keys::email(step.tenant, &user.profile.email));
            // What was on its way to the old address is nobody's.
            traces::forget(step, Subject::Address(&user.profile.email))?;
            traces::void(step, &user)?;
            step.put(key, &self.user)?;
            user.profile.email = email;
            user.profile.email_verified = false;
            fields.push("email");
            Contest::end(step, self.user);
        }
        if self.email_verified.is_some() {
            // Whose the account is, an administrator says.
            Contest::end(step, self.user);
        }
        set("emailVerified", &mut user.profile.email_verified, self.email_verified, &mut fields);
        let has_number = user.profile.phone_number.is_some();
        let phone_verified = self.phone_verified.map(|verified| verified && has_number);
        set("phoneVerified", &mut user.profile.phone_verified, phone_verified, &mut fields);
        let actor = self.by.name();
        if !fields.is_empty() {
            step.record(
                Draft::new(EventKind::UserUpdated, self.user)
                    .with("fields", fields.join(",").as_str())
                    .with("actor", actor.as_str()),
            );
        }
        if let Some(phc) = self.password {
            user.set_password(phc, step.now);
            passwords::unlock(step, &user)?;
            step.record(
                Draft::new(EventKind::UserPasswordChanged, self.user).with("actor", actor.as_str()),
            );
            sessions::end_all(step, &mut user, None, EndReason::PasswordChanged)?;
            traces::void(step, &user)?;
        }
        user.save(step)?;
        managed(step, user)
    }
}

fn set(name: &'static str, field: &mut bool, value: Option<bool>, changed: &mut Vec<&'static str>) {
    if let Some(value) = value.filter(|value| value != field) {
        *field = value;
        changed.push(name);
    }
}

impl Manage {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        match self.action {
            Action::Suspend => self.suspend(step, &mut user)?,
            Action::Reactivate => self.reactivate(step, &mut user)?,
            Action::Unlock => self.unlock(step, &user)?,
            Action::EndSessions => {
                let ended = sessions::end_all(step, &mut user, None, EndReason::Revoked)?;
                traces::void(step, &user)?;
                user.save(step)?;
                return Ok(Reply::Count(ended));
            }
            Action::Remove => {
                let deleted = Draft::new(EventKind::UserDeleted, self.user);
                let deleted = deleted.with("actor", self.by.name().as_str());
                forget::begin(step, user, deleted)?;
                return Ok(Reply::Done);
            }
        }
        user.save(step)?;
        managed(step, user)
    }

    /// Invariant: no session of a suspended user is live, so that none has to be asked about it.
    fn suspend(self, step: &mut Step<'_, '_>, user: &mut User) -> Result<(), Fault> {
        if user.status != Status::Suspended {
            user.status = Status::Suspended;
            self.note(step, EventKind::UserSuspended);
        }
        sessions::end_all(step, user, None, EndReason::Suspended).map(drop)
    }

    /// What was shown before the suspension is refused while it lasts, and worth nothing after it.
    fn reactivate(self, step: &mut Step<'_, '_>, user: &mut User) -> Result<(), Fault> {
        if user.status != Status::Active {
            user.status = Status::Active;
            traces::void(step, user)?;
            self.note(step, EventKind::UserReactivated);
        }
        Ok(())
    }

    /// Passwords and codes of second factors both.
    fn unlock(self, step: &mut Step<'_, '_>, user: &User) -> Result<(), Fault> {
        let codes = keys::mfa_guesses(step.tenant, self.user);
        if passwords::unlock(step, user)? | step.contains(&codes)? {
            step.delete(codes);
            step.record(
                Draft::new(EventKind::UserUpdated, self.user)
                    .with("fields", "lockedUntil")
                    .with("actor", self.by.name().as_str()),
            );
        }
        Ok(())
    }

    fn note(self, step: &mut Step<'_, '_>, kind: EventKind) {
        step.record(Draft::new(kind, self.user).with("actor", self.by.name().as_str()));
    }
}
