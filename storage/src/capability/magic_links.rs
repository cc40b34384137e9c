//! Logging in by a mailed link.

use serde::{Deserialize, Serialize};

use crate::capability::email_verification;
use crate::capability::limits::Limit;
use crate::capability::mfa::{self, Entry};
use crate::capability::oauth::Exchange;
use crate::capability::sessions::Method;
use crate::capability::users::{Profile, Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::ids::{MagicLinkId, UserId};
use crate::keys;
use crate::moment::Moment;
use crate::one_time::{Content, OneTime};
use crate::outbox::{self, Mailed, Mailing};
use crate::pkce::Challenge;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// What a mailed link lets in: whoever reads mail at the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MagicLink {
    /// As those who asked for it know it.
    pub id: MagicLinkId,
    /// The normalised address that it was sent to.
    pub email: String,
    /// Generation of the account's password: once another is set, the link is worth nothing.
    pub generation: u32,
    /// Where the login goes on, as it was asked for.
    pub redirect_url: Option<String>,
    /// Whether an account may be made by it.
    pub may_sign_up: bool,
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A mail with a link.
    Send(Box<Send>),
    /// A link came back, for a session.
    Follow(Box<Follow>),
    /// A link came back, for a code that another page turns into a session.
    Leave(Box<Leave>),
    /// The same, for the page that knows the verifier of a challenge.
    LeaveTo(Box<LeaveTo>),
}

/// Asks for a mail with a link; answered alike whether the address has an account or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Id of the link to be.
    pub id: MagicLinkId,
    /// Normalised address.
    pub email: String,
    /// Where the login goes on.
    pub redirect_url: Option<String>,
    /// Whether an address without an account gets one by the link.
    pub may_sign_up: bool,
    /// The letter.
    pub mailing: Mailing,
    /// How many of these an address gets.
    pub limit: Limit,
}

/// A link that came back: whom it lets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Hash of its token.
    pub token: SecretHash,
    /// Id of the account to be, should it make one.
    pub new_user: UserId,
    /// Whether it still may.
    pub may_sign_up: bool,
}

/// A link came back, for a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// The link.
    pub arrival: Arrival,
    /// The session to be, or what stands for it while a second factor is asked for.
    pub entry: Entry,
}

/// A link came back, for a code that another page turns into a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// The link.
    pub arrival: Arrival,
    /// Hash of the code.
    pub code: SecretHash,
}

/// The same, for the page that knows the verifier of a challenge (RFC 7636).
///
/// Decision: the challenge comes with the link that is spent, from the reader's own browser, and not with
/// the link that is asked for: anybody asks for a link to anybody's mailbox, and a challenge of theirs
/// would keep its reader out of the application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveTo {
    /// What is left.
    pub leave: Leave,
    /// The challenge that the page answers.
    pub challenge: Challenge,
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Send(command) => command.apply(step),
        Command::Follow(command) => command.apply(step),
        Command::Leave(command) => command.apply(step, None),
        Command::LeaveTo(command) => command.apply(step),
    }
}

impl Send {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let level = self.limit.take(step, &self.email)?;
        outbox::require_room(step)?;
        let expires = Moment(step.now.0.saturating_add(self.mailing.letter.ttl_ms));
        let user = User::by_email(step, &self.email)?;
        let welcome = match &user {
            Some(user) => user.status == Status::Active,
            None => self.may_sign_up,
        };
        if welcome {
            let link = MagicLink {
                id: self.id,
                email: self.email.clone(),
                generation: user.map_or(0, |user| user.generation()),
                redirect_url: self.redirect_url,
                may_sign_up: self.may_sign_up,
            };
            self.mailing.post(step, &self.email, Content::MagicLink(link))?;
        }
        let link = Some((self.id, expires));
        Ok(Reply::Mailed(Box::new(Mailed { level, link })))
    }
}

impl Follow {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let (mut user, _) = self.arrival.apply(step)?;
        let reply = mfa::admit(step, &mut user, Method::MagicLink, self.entry)?;
        user.save(step)?;
        Ok(reply)
    }
}

impl LeaveTo {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        self.leave.apply(step, Some(self.challenge))
    }
}

impl Leave {
    fn apply(self, step: &mut Step<'_, '_>, challenge: Option<Challenge>) -> Result<Reply, Stop> {
        let (user, is_new_user) = self.arrival.apply(step)?;
        let exchange = Exchange {
            user: user.profile.id,
            method: Method::MagicLink,
            is_new_user,
            provider: None,
        };
        exchange.leave(step, &self.code, &user, challenge)?;
        user.save(step)?;
        Ok(Reply::Done)
    }
}

impl Arrival {
    /// Spends the link. Whom it lets in, and whether the account was made by it; the caller saves the
    /// record.
    fn apply(self, step: &mut Step<'_, '_>) -> Result<(User, bool), Stop> {
        let found = OneTime::find(step, &self.token)?;
        let Content::MagicLink(link) = found.content.clone() else {
            return Err(Rejection::InvalidToken.into());
        };
        let known = User::by_email(step, &link.email)?;
        let is_new = known.is_none();
        let mut user = match known {
            Some(user) if user.status == Status::Suspended => {
                return Err(Rejection::AccountSuspended.into());
            }
            Some(user) if user.generation() == link.generation => user,
            None if link.may_sign_up && self.may_sign_up => {
                sign_up(step, self.new_user, link.email)?
            }
            _ => return Err(Rejection::InvalidToken.into()),
        };
        found.spend(step, &self.token)?;
        email_verification::claim(step, &mut user)?;
        Ok((user, is_new))
    }
}

fn sign_up(step: &mut Step<'_, '_>, id: UserId, email: String) -> Result<User, Stop> {
    if step.contains(&keys::user(step.tenant, id))? {
        return Err(Rejection::AlreadyExists.into());
    }
    step.put(keys::email(step.tenant, &email), &id)?;
    step.record(
        Draft::new(EventKind::UserCreated, id)
            .with("method", Method::MagicLink.name())
            .with_personal("email", &email),
    );
    let profile = Profile {
        id,
        email,
        first_name: None,
        last_name: None,
        email_verified: false,
        phone_number: None,
        phone_verified: false,
        avatar: None,
        mfa_enabled: false,
        created: step.now,
        last_active: step.now,
        metadata: "{}".into(),
    };
    let (password, devices) = (None, Vec::new());
    Ok(User { profile, password, status: Status::Active, devices, sessions: 0 })
}
