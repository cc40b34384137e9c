//! The second factor: what stands between a first factor that was right and a session.

mod enrolment;
mod factors;
mod guesses;

use serde::{Deserialize, Serialize};

pub use enrolment::{Disable, Enable, Enroll, RenewBackupCodes};
pub use factors::{Factors, SHOWN_FOR, Shown, Totp};
pub use guesses::{Answer, GUESSES, Proof, StepUp};

use crate::capability::email_verification::Contest;
use crate::capability::passkeys;
use crate::capability::sessions::{self, Method, Start};
use crate::capability::users::{Profile, Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::UserId;
use crate::keys;
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
    /// Generation of the password that the user had then; another one makes it worthless.
    pub password: Option<u32>,
}

/// The same, and on which device: the session that follows is that device's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDevice {
    /// The first factor.
    pub pending: Pending,
    /// Tells the device from the user's others.
    pub fingerprint: [u8; 16],
    /// What it says it is.
    pub user_agent: Option<String>,
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

/// What can be done about second factors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A seed for an authenticator app, not yet in use.
    Enroll(Box<Enroll>),
    /// The app has shown a code of it: from now on it is asked for.
    Enable(Box<Enable>),
    /// No second factor any more.
    Disable(Box<Disable>),
    /// Other backup codes.
    RenewBackupCodes(Box<RenewBackupCodes>),
    /// The second factor of a login.
    Answer(Box<Answer>),
    /// A second factor shown once more, within a session.
    StepUp(Box<StepUp>),
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Enroll(command) => command.apply(step),
        Command::Enable(command) => command.apply(step),
        Command::Disable(command) => command.apply(step),
        Command::RenewBackupCodes(command) => command.apply(step),
        Command::Answer(command) => command.apply(step),
        Command::StepUp(command) => command.apply(step),
    }
}

impl Start {
    /// The session to be is the device's on which the first factor was shown.
    pub fn is_on_the_device_of(&mut self, first_factor: Content) {
        if let Content::PendingDevice(PendingDevice { fingerprint, user_agent, .. }) = first_factor
        {
            self.fingerprint = fingerprint;
            self.origin.user_agent = user_agent;
        }
    }
}

/// The account of `user` has changed hands. An app that has not shown a code yet goes, and so does what
/// sessions have shown; one that is asked for stays.
pub(crate) fn pass_on(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
    let mut factors = Factors::load(step, user)?;
    if factors.pending.take().is_some() || !factors.shown.is_empty() {
        factors.shown.clear();
        factors.save(step, user)?;
    }
    Ok(())
}

/// Removes every second factor of a user, and whose they were is settled.
pub(crate) fn erase(step: &mut Step<'_, '_>, user: UserId) -> Result<(), Fault> {
    Contest::end(step, user);
    step.delete(keys::mfa(step.tenant, user));
    step.delete(keys::mfa_guesses(step.tenant, user));
    Ok(())
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
    let password = user.password_generation();
    let pending = Pending { user: user.profile.id, first, guesses: 0, password };
    let Start { fingerprint, origin, .. } = entry.start;
    let user_agent = origin.user_agent;
    let content = Content::PendingDevice(PendingDevice { pending, fingerprint, user_agent });
    let expires = OneTime::issue(step, &entry.temp_token, content, entry.temp_ttl_ms)?;
    let methods = available(step, user)?;
    let challenged = Challenged { profile: user.profile.clone(), methods, expires };
    Ok(Reply::Challenged(Box::new(challenged)))
}

/// What the user can really show.
fn available(step: &Step<'_, '_>, user: &User) -> Result<Vec<SecondFactor>, Fault> {
    let id = user.profile.id;
    let factors = Factors::load(step, id)?;
    let ways = [
        (SecondFactor::Totp, factors.totp.is_some()),
        (SecondFactor::BackupCode, !factors.backup_codes.is_empty()),
        (SecondFactor::Passkey, passkeys::count(step, id)? > 0),
    ];
    Ok(ways.into_iter().filter(|(_, has)| *has).map(|(factor, _)| factor).collect())
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
