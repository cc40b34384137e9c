//! Passkeys (WebAuthn Level 3). What an authenticator has signed is verified by a node; that a
//! challenge is answered once, by whom it was meant for, and that a counter only grows, is decided
//! here, in the entry that acts on it.

mod ceremony;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

pub use ceremony::{Aim, Assertion, CHALLENGE_TTL_MS, Ceremony, POSSIBLE_CLONE, Whose};

use crate::capability::mfa::{self, Entry};
use crate::capability::sessions::{self, Method};
use crate::capability::users::User;
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::{CredentialId, SessionId, UserId};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::one_time::{Content, OneTime};
use crate::records::Records;
use crate::secret::SecretHash;
use crate::state_machine::Step;
use crate::traces;

/// How many passkeys an account may have.
pub const MOST: usize = 50;

/// A passkey of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passkey {
    /// What we call it.
    pub id: CredentialId,
    /// Whose.
    pub user: UserId,
    /// What its authenticator calls it: at most 1023 bytes (WebAuthn §5.8.3).
    pub credential: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// Its public key and what else the verifier keeps of it, as JSON.
    pub verifier: String,
    /// The authenticator's signature counter when it was last used; 0 where it has none.
    pub counter: u32,
    /// Whether it can be copied to other devices of its owner.
    pub backup_eligible: bool,
    /// Whether it has been.
    pub backed_up: bool,
    /// How its authenticator is reached, in its own words.
    pub transports: Vec<String>,
    /// When it was registered.
    pub created: Moment,
    /// When it was last used.
    pub last_used: Option<Moment>,
}

/// Where a passkey lies, under the hash of what its authenticator calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub id: CredentialId,
}

/// What can be done with passkeys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Ask an authenticator to sign.
    Begin(Box<Begin>),
    /// A new passkey.
    Register(Box<Register>),
    /// A login by passkey.
    LogIn(Box<LogIn>),
    /// What came back does not hold.
    Fail(Fail),
    /// Another name.
    Rename(Rename),
    /// A passkey less.
    Remove(Remove),
}

/// Asks an authenticator to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Hash of the challenge.
    pub challenge: SecretHash,
    /// What for.
    pub ceremony: Ceremony,
}

/// A new passkey, whose authenticator has signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Hash of the challenge that it answers.
    pub challenge: SecretHash,
    /// In which session.
    pub session: SessionId,
    /// The passkey; its time of registration is the entry's.
    pub passkey: Passkey,
}

/// A login by passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogIn {
    /// What was signed, verified.
    pub assertion: Assertion,
    /// The session to be.
    pub entry: Entry,
}

/// What came back does not hold. The challenge is spent all the same: it was for one try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fail {
    /// Hash of the challenge.
    pub challenge: SecretHash,
    /// Whose passkey it was said to be, if it is anybody's; `None` for a registration.
    pub user: Option<UserId>,
    /// What was wrong, in a word, for the event.
    pub reason: String,
}

/// Another name for a passkey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub id: CredentialId,
    /// The name.
    pub name: String,
}

/// A passkey less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remove {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub id: CredentialId,
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Begin(command) => command.apply(step),
        Command::Register(command) => command.apply(step),
        Command::LogIn(command) => command.apply(step),
        Command::Fail(command) => command.apply(step),
        Command::Rename(command) => command.apply(step),
        Command::Remove(command) => command.apply(step),
    }
}

/// Removes the passkeys of a user who is gone.
pub(crate) fn erase(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
    for passkey in of(step, user)? {
        passkey.delete(step);
    }
    Ok(())
}

/// Removes the passkeys of a user who stays.
pub(crate) fn remove_all(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
    for passkey in of(step, user)? {
        passkey.remove(step);
    }
    Ok(())
}

/// How many passkeys a user has.
pub(crate) fn count(step: &Step<'_, '_>, user: UserId) -> Result<usize, Fault> {
    Ok(of(step, user)?.len())
}

fn of(step: &Step<'_, '_>, user: UserId) -> Result<Vec<Passkey>, Fault> {
    let mut found = Vec::new();
    step.records().scan(&keys::passkeys_of(step.tenant, user), None, &mut |_, value| {
        found.push(crate::codec::decode(value));
        ControlFlow::Continue(())
    })?;
    found.into_iter().collect()
}

impl Passkey {
    /// Under which hash its place is found.
    pub fn hash_of(credential: &[u8]) -> SecretHash {
        SecretHash::of_bytes(credential)
    }

    fn load(step: &Step<'_, '_>, user: UserId, id: CredentialId) -> Result<Option<Self>, Fault> {
        step.get(&keys::passkey(step.tenant, user, id))
    }

    fn save(&self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        step.put(keys::passkey(step.tenant, self.user, self.id), self)
    }

    fn place_key(&self, step: &Step<'_, '_>) -> Vec<u8> {
        let hash = Self::hash_of(&self.credential);
        keys::by_hash(step.tenant, Kind::PasskeyByCredential, &hash)
    }

    fn remove(&self, step: &mut Step<'_, '_>) {
        self.delete(step);
        step.record(
            Draft::new(EventKind::PasskeyRemoved, self.user)
                .with("credentialId", self.id.to_string().as_str()),
        );
    }

    fn delete(&self, step: &mut Step<'_, '_>) {
        step.delete(self.place_key(step));
        step.delete(keys::passkey(step.tenant, self.user, self.id));
    }
}

impl Begin {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let content = Content::Ceremony(self.ceremony);
        OneTime::issue(step, &self.challenge, content, CHALLENGE_TTL_MS)?;
        Ok(Reply::Done)
    }
}

impl Register {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut passkey = self.passkey;
        let (found, ceremony) = Ceremony::find(step, &self.challenge)?;
        let aim = Aim::Register { user: passkey.user, session: self.session };
        if ceremony.aim != aim {
            return Err(Rejection::InvalidToken.into());
        }
        User::load(step, passkey.user)?.ok_or(Rejection::NotFound)?;
        sessions::require_live(step, passkey.user, self.session)?;
        let place = passkey.place_key(step);
        if step.contains(&place)? {
            return Err(Rejection::CredentialExists.into());
        }
        if count(step, passkey.user)? >= MOST {
            return Err(Rejection::TooMany.into());
        }
        found.spend(step, &self.challenge)?;
        passkey.created = step.now;
        step.put(place, &Place { user: passkey.user, id: passkey.id })?;
        passkey.save(step)?;
        step.record(
            Draft::new(EventKind::PasskeyRegistered, passkey.user)
                .with("credentialId", passkey.id.to_string().as_str()),
        );
        Ok(Reply::Passkey(Box::new(passkey)))
    }
}

impl LogIn {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let Self { assertion, entry } = self;
        let user = assertion.user;
        match assertion.ceremony(step)?.aim {
            Aim::LogIn(Whose::Anybody) => {}
            Aim::LogIn(Whose::User(asked)) if asked == user => {}
            Aim::LogIn(_) => return Err(Rejection::InvalidCredentials.into()),
            _ => return Err(Rejection::InvalidToken.into()),
        }
        let mut user = User::load(step, user)?.ok_or(Rejection::InvalidCredentials)?;
        if !assertion.take(step)? {
            return Ok(Reply::WrongGuess);
        }
        let reply = mfa::admit(step, &mut user, Method::Passkey, entry)?;
        user.save(step)?;
        Ok(reply)
    }
}

impl Fail {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let (found, ceremony) = Ceremony::find(step, &self.challenge)?;
        found.spend(step, &self.challenge)?;
        if !matches!(ceremony.aim, Aim::Register { .. }) {
            ceremony::record_failure(step, self.user, &self.reason);
        }
        Ok(Reply::WrongGuess)
    }
}

impl Rename {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut passkey = Passkey::load(step, self.user, self.id)?.ok_or(Rejection::NotFound)?;
        passkey.name = self.name;
        passkey.save(step)?;
        Ok(Reply::Passkey(Box::new(passkey)))
    }
}

impl Remove {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        let passkey = Passkey::load(step, self.user, self.id)?.ok_or(Rejection::NotFound)?;
        // Invariant: nobody locks themselves out.
        if user.ways_in(step)? <= 1 {
            return Err(Rejection::LastLoginMethod.into());
        }
        passkey.remove(step);
        traces::void(step, &user)?;
        Ok(Reply::Done)
    }
}
