//! Phone numbers: codes that show who holds one, and the text messages that carry them, which wait
//! here until they are sent.

use serde::{Deserialize, Serialize};

use crate::capability::users::User;
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::{MessageId, UserId};
use crate::keys;
use crate::moment::Moment;
use crate::seal::Sealed;
use crate::state_machine::Step;
use crate::traces::{self, Subject};

/// How many wrong codes may be shown before a new one is needed.
const GUESSES: u32 = 5;

/// In the place of a count: the code was used.
const USED: u32 = u32::MAX;

/// So many times what one number may be sent, one user may have sent to numbers.
const NUMBERS: u32 = 2;

/// A code that was sent to a user's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneCode {
    /// The number it was sent to.
    pub number: String,
    /// HMAC of the code under the tenant's key: its digits alone would be found by trying.
    pub code: [u8; 32],
    /// How many wrong ones were shown.
    pub guesses: u32,
    /// When it is good no more.
    pub expires: Moment,
}

/// When codes were sent to a number, whoever asked for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sends {
    /// Oldest first; no more than are allowed.
    pub at: Vec<Moment>,
    /// When the record means nothing any more.
    pub expires: Moment,
}

/// A text message on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextMessage {
    /// The same in every attempt, so that its receiver can drop repeats.
    pub id: MessageId,
    /// Whose number it goes to.
    pub user: UserId,
    /// Number and code, sealed under the tenant's key.
    pub content: Sealed,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next: Moment,
    /// When it is of no use any more.
    pub expires: Moment,
}

/// How many codes may be sent to one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// So many; 0 any number.
    pub most: u32,
    /// Within this time, milliseconds.
    pub window_ms: u64,
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Send a code to a user's number.
    Send(Box<Send>),
    /// Show the code.
    Confirm(Confirm),
    /// Say how an attempt to send went.
    Report(Report),
}

/// Sends a code to a user's number; an earlier one is good no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Whose.
    pub user: UserId,
    /// The number that the message was made for.
    pub number: String,
    /// HMAC of the code.
    pub code: [u8; 32],
    /// How long it is good, milliseconds.
    pub ttl_ms: u64,
    /// How many may be sent there.
    pub allowance: Allowance,
    /// Id of the message.
    pub message: MessageId,
    /// Number and code, sealed under the tenant's key.
    pub content: Sealed,
}

/// Shows a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// Who.
    pub user: UserId,
    /// HMAC of the code.
    pub code: [u8; 32],
}

/// How an attempt to send went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Which message.
    pub message: MessageId,
    /// When to try again; `None` when it needs no more.
    pub next: Option<Moment>,
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Send(command) => command.apply(step),
        Command::Confirm(command) => command.apply(step),
        Command::Report(command) => command.apply(step),
    }
}

/// Removes what is kept by user.
pub(crate) fn forget(step: &mut Step<'_, '_>, user: &User) -> Result<(), Fault> {
    // What was sent to the number stays counted for its time: else an account after the other could
    // be made to have texts sent there.
    let id = user.profile.id;
    step.delete(keys::phone_sends(step.tenant, &id.to_string()));
    withdraw(step, id)
}

/// Takes back the code that was sent to a number which is the user's no more, and what is on its way
/// there.
pub(crate) fn withdraw(step: &mut Step<'_, '_>, id: UserId) -> Result<(), Fault> {
    step.delete(keys::phone_code(step.tenant, id));
    traces::withdraw_texts(step, id)
}

impl Send {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        if user.profile.phone_number.as_deref() != Some(&*self.number) {
            return Err(Rejection::Stale.into());
        }
        let Allowance { most, window_ms } = self.allowance;
        // Neither many users for one number, nor one user for many numbers.
        count(step, &self.number, self.allowance)?;
        let of_user = Allowance { most: most.saturating_mul(NUMBERS), window_ms };
        count(step, &self.user.to_string(), of_user)?;
        let expires = Moment(step.now.0.saturating_add(self.ttl_ms));
        let code = PhoneCode { number: self.number, code: self.code, guesses: 0, expires };
        step.put(keys::phone_code(step.tenant, self.user), &code)?;
        let message = TextMessage {
            id: self.message,
            user: self.user,
            content: self.content,
            attempts: 0,
            next: step.now,
            expires,
        };
        let key = keys::text_message(step.tenant, self.message);
        traces::note(step, Subject::User(self.user), &key, expires)?;
        step.put(key, &message)?;
        Ok(Reply::Done)
    }
}

/// Counts a code that is sent to a number, or for a user.
fn count(step: &mut Step<'_, '_>, name: &str, allowance: Allowance) -> Result<(), Stop> {
    let Allowance { most, window_ms } = allowance;
    if most == 0 {
        return Ok(());
    }
    let key = keys::phone_sends(step.tenant, name);
    let mut sends: Sends = step.get(&key)?.unwrap_or_default();
    let until = |sent: Moment| Moment(sent.0.saturating_add(window_ms));
    sends.at.retain(|sent| until(*sent) > step.now);
    if sends.at.len() >= most as usize {
        // The oldest of the last `most` makes room first.
        let oldest = sends.at[sends.at.len() - most as usize];
        return Err(Rejection::LimitReached { until: until(oldest) }.into());
    }
    sends.at.push(step.now);
    sends.expires = until(step.now);
    Ok(step.put(key, &sends)?)
}

impl Confirm {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        let key = keys::phone_code(step.tenant, self.user);
        let mut code: PhoneCode = step.get(&key)?.ok_or(Rejection::InvalidToken)?;
        let is_of_number = user.profile.phone_number.as_deref() == Some(&*code.number);
        if code.expires > step.now && code.guesses == USED && code.code == self.code {
            return Err(Rejection::TokenUsed.into());
        }
        if code.expires <= step.now || code.guesses >= GUESSES || !is_of_number {
            return Err(Rejection::InvalidToken.into());
        }
        if code.code != self.code {
            code.guesses += 1;
            step.put(key, &code)?;
            return Ok(Reply::WrongGuess);
        }
        code.guesses = USED;
        step.put(key, &code)?;
        if !user.profile.phone_verified {
            user.profile.phone_verified = true;
            step.record(
                Draft::new(EventKind::UserUpdated, self.user).with("fields", "phoneVerified"),
            );
            user.save(step)?;
        }
        Ok(Reply::Done)
    }
}

impl Report {
    fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let key = keys::text_message(step.tenant, self.message);
        let Some(mut message) = step.get::<TextMessage>(&key)? else { return Ok(Reply::Done) };
        match self.next {
            Some(next) if next < message.expires => {
                message.attempts += 1;
                message.next = next;
                step.put(key, &message)?;
            }
            _ => step.delete(key),
        }
        Ok(Reply::Done)
    }
}
