//! Accounts and profiles.

pub(crate) mod forget;
mod managed;

use serde::{Deserialize, Serialize};

use crate::capability::passwords::Password;
use crate::capability::sessions::{self, Method, Start};
use crate::capability::{oauth, passkeys, phones};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::{DeviceId, UserId};
use crate::keys;
use crate::moment::Moment;
use crate::state_machine::Step;
pub use forget::{Forget, Forgetting};
pub use managed::{Action, Actor, Amend, Create, Import, Manage, Managed, Newcomer};

/// How many devices a user's record remembers; the one not seen for longest goes first.
const DEVICES: usize = 20;

/// What a user may see of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The same for life.
    pub id: UserId,
    /// Normalised address, unique in the tenant.
    pub email: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Whether the user has shown that they read mail at the address.
    pub email_verified: bool,
    /// E.164.
    pub phone_number: Option<String>,
    /// Whether the user has shown that they hold the number.
    pub phone_verified: bool,
    /// URL of a picture.
    pub avatar: Option<String>,
    /// Whether a second factor is demanded at login.
    pub mfa_enabled: bool,
    /// When the account was created.
    pub created: Moment,
    /// When the user was last seen, some minutes coarse.
    pub last_active: Moment,
    /// A JSON object, as text.
    pub metadata: String,
}

/// Whether a user may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Yes.
    Active,
    /// Not until an administrator says so.
    Suspended,
}

/// A device that a user has logged in from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The same across sessions.
    pub id: DeviceId,
    /// Digest of the fingerprint or, without one, of the user agent.
    pub fingerprint: [u8; 16],
    /// When it was last logged in from.
    pub last_seen: Moment,
}

/// A user's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// What the user may see.
    pub profile: Profile,
    /// Absent for users who log in by other means.
    pub password: Option<Password>,
    /// Whether they may act.
    pub status: Status,
    /// Where they logged in from.
    pub devices: Vec<Device>,
    /// How many live sessions they have.
    pub sessions: u32,
}

/// What can be done to accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A new account.
    Register(Box<Register>),
    /// Changes of the profile.
    Update(Box<Update>),
    /// The end of the account.
    Delete(Delete),
    /// Users were seen.
    Touch(Vec<Touch>),
    /// A new account, made by an administrator.
    Create(Box<Create>),
    /// Accounts that come from elsewhere.
    Import(Box<Import>),
    /// Changes by an administrator.
    Amend(Box<Amend>),
    /// What else administrators do.
    Manage(Manage),
    /// One step of forgetting somebody.
    Forget(Forget),
    /// The end of the account, whether it has a password or not.
    Leave(Leave),
}

/// A new account with a password, and its first session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Id of the account to be.
    pub id: UserId,
    /// Normalised address.
    pub email: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// A JSON object, as text.
    pub metadata: String,
    /// PHC string of the password.
    pub password: String,
    /// The session that comes with it; `None` where newcomers get none, so that they do not learn
    /// whether the address had an account.
    pub start: Option<Start>,
}

/// Changes of the profile: `None` leaves a field, `Some(None)` clears it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Given name.
    pub first_name: Option<Option<String>>,
    /// Family name.
    pub last_name: Option<Option<String>>,
    /// E.164; a changed number is unverified.
    pub phone_number: Option<Option<String>>,
    /// URL of a picture.
    pub avatar: Option<Option<String>>,
    /// A JSON object as text, in place of the old one.
    pub metadata: Option<String>,
}

/// Changes of a user's profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub changes: Changes,
}

/// The end of an account whose owner has just shown their password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delete {
    /// Whose.
    pub user: UserId,
    /// Generation of the password that was checked.
    pub verified: u32,
}

/// The end of an account whose owner has just confirmed that it is they.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// Whose.
    pub user: UserId,
    /// Generation of the password that was checked; `None` for a user without one.
    pub verified: Option<u32>,
}

/// A sign of life, written behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// Whose.
    pub user: UserId,
    /// In which session.
    pub session: crate::ids::SessionId,
    /// When.
    pub seen: Moment,
}

impl User {
    /// The user's record.
    pub(crate) fn load(step: &Step<'_, '_>, id: UserId) -> Result<Option<Self>, Fault> {
        step.get(&keys::user(step.tenant, id))
    }

    /// The user with this normalised address.
    pub(crate) fn by_email(step: &Step<'_, '_>, address: &str) -> Result<Option<Self>, Fault> {
        match step.get(&keys::email(step.tenant, address))? {
            Some(id) => Self::load(step, id),
            None => Ok(None),
        }
    }

    /// Which password is in force: what was mailed before it changed is good no more. 0 for none.
    pub fn generation(&self) -> u32 {
        self.password.as_ref().map_or(0, |password| password.generation)
    }

    /// How many ways there are to log in. Mail is none here: whether it arrives is not in our hands.
    pub(crate) fn ways_in(&self, step: &Step<'_, '_>) -> Result<usize, Fault> {
        let id = self.profile.id;
        let others = oauth::count(step, id)? + passkeys::count(step, id)?;
        Ok(usize::from(self.password.is_some()) + others)
    }

    /// Writes the record and tells whoever holds it.
    pub(crate) fn save(&self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        step.put(keys::user(step.tenant, self.profile.id), self)?;
        step.user_changed(self.profile.id);
        Ok(())
    }

    /// The id of the device with this fingerprint, remembered from now on.
    pub(crate) fn device(&mut self, new: DeviceId, fingerprint: [u8; 16], now: Moment) -> DeviceId {
        if let Some(known) = self.devices.iter_mut().find(|known| known.fingerprint == fingerprint)
        {
            known.last_seen = now;
            return known.id;
        }
        if self.devices.len() >= DEVICES
            && let Some(oldest) = (0..DEVICES).min_by_key(|at| self.devices[*at].last_seen)
        {
            self.devices.remove(oldest);
        }
        self.devices.push(Device { id: new, fingerprint, last_seen: now });
        new
    }
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Register(command) => command.apply(step),
        Command::Update(command) => command.apply(step),
        Command::Delete(Delete { user, verified }) => {
            Leave { user, verified: Some(verified) }.apply(step)
        }
        Command::Touch(touches) => {
            for touch in touches {
                touch.apply(step)?;
            }
            Ok(Reply::Done)
        }
        Command::Create(command) => command.apply(step),
        Command::Import(command) => command.apply(step),
        Command::Amend(command) => command.apply(step),
        Command::Manage(command) => command.apply(step),
        Command::Forget(command) => command.apply(step),
        Command::Leave(command) => command.apply(step),
    }
}

impl Register {
    pub(crate) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let email_key = keys::email(step.tenant, &self.email);
        if step.contains(&email_key)? {
            return match self.start {
                Some(_) => Err(Rejection::EmailAlreadyExists.into()),
                // Where accounts are hidden: heard, kept and repeated like a new account, with an
                // id that nobody has.
                None => Ok(Reply::Registered(Box::new(self.profile(step.now)))),
            };
        }
        if step.contains(&keys::user(step.tenant, self.id))? {
            return Err(Rejection::AlreadyExists.into());
        }
        step.put(email_key, &self.id)?;
        let mut user = User {
            profile: self.profile(step.now),
            password: Some(Password { phc: self.password, generation: 1, changed: step.now }),
            status: Status::Active,
            devices: Vec::new(),
            sessions: 0,
        };
        step.record(
            Draft::new(EventKind::UserCreated, self.id)
                .with("method", "password")
                .with_personal("email", &user.profile.email),
        );
        let reply = match self.start {
            Some(start) => {
                let methods = vec![Method::Password];
                Reply::SignedIn(Box::new(sessions::start(step, &mut user, start, methods)?))
            }
            None => Reply::Registered(Box::new(user.profile.clone())),
        };
        user.save(step)?;
        Ok(reply)
    }

    fn profile(&self, now: Moment) -> Profile {
        Profile {
            id: self.id,
            email: self.email.clone(),
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            email_verified: false,
            phone_number: None,
            phone_verified: false,
            avatar: None,
            mfa_enabled: false,
            created: now,
            last_active: now,
            metadata: self.metadata.clone(),
        }
    }
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Register").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Update {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        let fields = self.changes.merge_into(&mut user.profile);
        if fields.contains(&"phoneNumber") {
            phones::withdraw(step, self.user)?;
        }
        if !fields.is_empty() {
            step.record(
                Draft::new(EventKind::UserUpdated, self.user)
                    .with("fields", fields.join(",").as_str()),
            );
            user.save(step)?;
        }
        Ok(Reply::Profile(Box::new(user.profile)))
    }
}

impl Changes {
    /// Makes the changes, and names the fields that are no longer what they were.
    fn merge_into(self, profile: &mut Profile) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let mut set = |name, field: &mut Option<String>, value: Option<Option<String>>| {
            if let Some(value) = value
                && *field != value
            {
                *field = value;
                changed.push(name);
            }
        };
        set("firstName", &mut profile.first_name, self.first_name);
        set("lastName", &mut profile.last_name, self.last_name);
        set("phoneNumber", &mut profile.phone_number, self.phone_number);
        set("avatar", &mut profile.avatar, self.avatar);
        if changed.contains(&"phoneNumber") {
            profile.phone_verified = false;
        }
        if let Some(metadata) = self.metadata
            && profile.metadata != metadata
        {
            profile.metadata = metadata;
            changed.push("metadata");
        }
        changed
    }
}

impl Leave {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let user = User::confirmed(step, self.user, self.verified)?;
        forget::begin(step, user, Draft::new(EventKind::UserDeleted, self.user))?;
        Ok(Reply::Done)
    }
}

impl Touch {
    /// Says nothing to those who hold the record: they are where the sign of life comes from.
    fn apply(self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        let seen = self.seen.min(step.now);
        if let Some(mut user) = User::load(step, self.user)?
            && user.profile.last_active < seen
        {
            user.profile.last_active = seen;
            step.put(keys::user(step.tenant, self.user), &user)?;
        }
        sessions::touch(step, self.user, self.session, seen)
    }
}
