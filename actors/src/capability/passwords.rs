//! Logging in with a password, changing it, and what makes one good.

use janua_storage::capability::passwords::{self, Enter, Fail, FailWithin, LockoutPolicy, Set};
use janua_storage::capability::users::User;
use janua_storage::command::{Command, Reply};
use unicode_normalization::UnicodeNormalization;
use zxcvbn::Score;

use super::mfa::Entered;
use super::sessions::unexpected;
use super::users::Registration;
use crate::context::{Context, DeviceInfo};
use crate::directory::Caller;
use crate::email::EmailAddress;
use crate::hashing::{Plaintext, Verified};
use crate::idempotency::{Attempt, First};
use crate::refusal::{FieldError, Refusal};
use crate::settings::Passwords;
use crate::tenant::{Gate, TenantRef, Turn};

/// The longest password, in characters (NIST SP 800-63B-4 §3.1.1.2 asks for 64 or more).
pub const LONGEST: usize = 256;

/// A name or local part shorter than this may stand in a password.
const TELLING: usize = 6;

/// What somebody logs in with.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Their address.
    pub email: EmailAddress,
    /// Their password.
    pub password: Plaintext,
    /// What they say of their device.
    pub device: DeviceInfo,
}

/// A password that has just been checked.
pub(crate) struct Shown {
    /// Its generation.
    pub generation: u32,
    _turn: Option<Turn>,
}

impl TenantRef {
    /// Logs in with a password.
    pub async fn log_in(
        &self,
        context: &Context,
        credentials: Credentials,
    ) -> Result<Entered, Refusal> {
        match self.attempt(context).await? {
            Attempt::Repeated(answer) => self.entered(answer, None).await,
            Attempt::First(first) => self.try_credentials(context, credentials, first).await,
        }
    }

    async fn try_credentials(
        &self,
        context: &Context,
        credentials: Credentials,
        first: First,
    ) -> Result<Entered, Refusal> {
        let email = credentials.email.as_str();
        let _turn = self.guess(context, email).await?;
        let records = self.0.shard.read().await?;
        let user = self.0.view(&records).user_by_email(email)?;
        let stored = user.as_ref().and_then(|user| user.password.clone());
        let verified = self.0.node.hashing.verify(credentials.password, stored.clone()).await?;
        let stored = stored.filter(|_| verified.matches);
        let (Some(user), Some(stored)) = (&user, stored) else {
            return Err(self.count_guess(context, email, user.as_ref()).await);
        };
        let new = self.new_entry(context, &credentials.device).await?;
        let enter = Enter {
            user: user.profile.id,
            verified: stored.generation,
            rehashed: verified.rehashed,
            entry: new.entry,
        };
        let command = Command::Passwords(passwords::Command::Enter(Box::new(enter)));
        let ticket = self.ticket(&first, Some(&new.secrets.recorded())).await?;
        let origin = context.origin_of(&credentials.device);
        let answer = self.propose(origin, ticket, command).await?;
        self.entered(answer, Some(new.secrets)).await
    }

    /// Waits until one more guess may be made that is counted under `name`; refuses when none may.
    async fn guess(&self, context: &Context, name: &str) -> Result<Option<Turn>, Refusal> {
        let attempts = self.settings().await?.lockout.attempts;
        if attempts == 0 {
            return Ok(None);
        }
        let turn = self.enter(Gate::Guesses(name.into()), attempts as usize).await?;
        let records = self.0.shard.read().await?;
        let now = self.0.node.clock.now();
        let lockout = self.0.view(&records).lockout(name)?;
        match lockout.and_then(|lockout| lockout.closed(now)) {
            // The one that closed it, made again.
            Some(_) if self.was_wrong(context).await? => Err(Refusal::InvalidCredentials),
            Some(until) => Err(Refusal::AccountLocked { retry_after: until.since(now) }),
            None => Ok(Some(turn)),
        }
    }

    /// Counts a wrong guess at a login, and says what its client hears.
    async fn count_guess(&self, context: &Context, email: &str, user: Option<&User>) -> Refusal {
        let user = user.map(|user| user.profile.id);
        let fail = |policy| passwords::Command::Fail(Fail { email: email.into(), user, policy });
        self.count(context, fail).await.unwrap_or_else(|refusal| refusal)
    }

    async fn count(
        &self,
        context: &Context,
        fail: impl FnOnce(LockoutPolicy) -> passwords::Command,
    ) -> Result<Refusal, Refusal> {
        let policy = self.settings().await?.lockout_policy();
        let command = self.guessing(context, Command::Passwords(fail(policy))).await?;
        self.propose(context.origin(), None, command).await?;
        Ok(Refusal::InvalidCredentials)
    }

    /// Lets somebody who is logged in show their password once more. Wrong ones close it as at a
    /// login, so that a stolen session does not help to guess it.
    pub(crate) async fn reauthenticate(
        &self,
        context: &Context,
        caller: &Caller,
        password: Plaintext,
    ) -> Result<Shown, Refusal> {
        let user = &caller.live.user;
        let turn = self.guess(context, &passwords::within(user.profile.id)).await?;
        let verified: Verified =
            self.0.node.hashing.verify(password, user.password.clone()).await?;
        match &user.password {
            Some(stored) if verified.matches => {
                Ok(Shown { generation: stored.generation, _turn: turn })
            }
            _ => {
                let fail = |policy| FailWithin { user: user.profile.id, policy };
                let fail = |policy| passwords::Command::FailWithin(fail(policy));
                Err(self.count(context, fail).await.unwrap_or_else(|refusal| refusal))
            }
        }
    }

    /// Gives the caller another password, or the first one, and says how many other sessions ended
    /// for it.
    pub async fn change_password(
        &self,
        context: &Context,
        caller: &Caller,
        current: Option<Plaintext>,
        new: Plaintext,
        log_out_others: bool,
    ) -> Result<u32, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return count(&answer.reply),
            Attempt::First(first) => first,
        };
        let confirmed = self.confirm(context, caller, current).await?;
        let rules = Rules::of_user(&self.settings().await?.passwords, &caller.live.user);
        let password = self.hash_of_new(new, rules).await?;
        let set = Set {
            user: caller.user(),
            session: caller.session(),
            verified: confirmed.verified,
            password,
            log_out_others,
        };
        let command = Command::Passwords(passwords::Command::Set(Box::new(set)));
        let ticket = self.ticket(&first, None).await?;
        let answer = self.propose(context.origin(), ticket, command).await?;
        count(&answer.reply)
    }

    /// The hash of a password to be, if it will do.
    pub(crate) async fn hash_of_new(
        &self,
        password: Plaintext,
        rules: Rules,
    ) -> Result<String, Refusal> {
        let node = &self.0.node;
        let looked_up = rules.breach_check.then(|| password.clone());
        let hash = node.hashing.hash(password, move |password| rules.check(password)).await?;
        match looked_up {
            Some(password) if node.is_breached(&password).await => Err(breached()),
            _ => Ok(hash),
        }
    }
}

pub(crate) fn count(reply: &Reply) -> Result<u32, Refusal> {
    match reply {
        Reply::Count(count) => Ok(*count),
        reply => Err(unexpected(reply)),
    }
}

/// What a password of one person must be (NIST SP 800-63B-4 §3.1.1.2).
pub(crate) struct Rules {
    shortest: usize,
    score: u8,
    email: String,
    local_part: String,
    names: Vec<String>,
    breach_check: bool,
}

impl Rules {
    pub fn new(settings: &Passwords, registration: &Registration) -> Self {
        let names = [&registration.first_name, &registration.last_name];
        Self::of(settings, registration.email.as_str(), names)
    }

    pub fn of_user(settings: &Passwords, user: &User) -> Self {
        let profile = &user.profile;
        Self::of(settings, &profile.email, [&profile.first_name, &profile.last_name])
    }

    pub fn of(settings: &Passwords, email: &str, names: [&Option<String>; 2]) -> Self {
        let local_part = email.rsplit_once('@').map_or(email, |(local, _)| local).to_owned();
        Self {
            shortest: settings.min_length as usize,
            score: settings.min_score,
            email: email.to_lowercase(),
            local_part: normal(&local_part),
            names: names.into_iter().flatten().map(|name| normal(name)).collect(),
            breach_check: settings.breach_check,
        }
    }

    /// Whether `password` will do. The list of common passwords is zxcvbn's; a listed one is refused
    /// whatever the score that the tenant asks for.
    pub fn check(&self, password: &Plaintext) -> Result<(), Refusal> {
        let text = password.expose();
        let length = text.chars().count();
        if length < self.shortest {
            return Err(weak(format!("must have at least {} characters", self.shortest)));
        }
        if length > LONGEST {
            return Err(weak(format!("must have at most {LONGEST} characters")));
        }
        let lower = normal(text);
        let telling = |word: &str| word.chars().count() >= TELLING && lower.contains(word);
        if lower.contains(&self.email)
            || telling(&self.local_part)
            || self.names.iter().any(|name| telling(name))
        {
            return Err(weak("must not hold your name or e-mail address"));
        }
        let estimate = zxcvbn::zxcvbn(text, &[]);
        if u8::from(estimate.score()) < self.score || is_common(&estimate) {
            return Err(weak(advice(&estimate)));
        }
        Ok(())
    }
}

/// As names and passwords are compared.
fn normal(text: &str) -> String {
    text.to_lowercase().nfc().collect()
}

fn weak(message: impl Into<String>) -> Refusal {
    Refusal::WeakPassword(vec![FieldError::new("password", message)])
}

fn breached() -> Refusal {
    let message = "is known from a breach of another service";
    Refusal::PasswordBreached(vec![FieldError::new("password", message)])
}

fn is_common(estimate: &zxcvbn::Entropy) -> bool {
    use zxcvbn::feedback::Warning::{
        ThisIsACommonPassword, ThisIsATop10Password, ThisIsATop100Password,
    };
    let warning = estimate.feedback().and_then(|feedback| feedback.warning());
    matches!(warning, Some(ThisIsATop10Password | ThisIsATop100Password | ThisIsACommonPassword))
}

fn advice(estimate: &zxcvbn::Entropy) -> String {
    let warning = estimate.feedback().and_then(|feedback| feedback.warning());
    match (estimate.score(), warning) {
        (_, Some(warning)) => format!("is too easily guessed: {warning}"),
        (Score::Zero, None) => "is one of the first that anybody would guess".into(),
        _ => "is too easily guessed: make it longer or less regular".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn judge(password: &str) -> Result<(), Refusal> {
        let names = [&Some("John".to_owned()), &Some("Featherstone".to_owned())];
        Rules::of(&Settings::default().passwords, "wilhelmina@example.com", names)
            .check(&Plaintext::new(password))
    }

    #[test]
    fn the_passwords_of_the_reference_will_do() {
        for password in
            ["SecurePassword123!", "OldPassword123!", "NewPassword456!", "UserPassword123!"]
        {
            assert_eq!(judge(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn what_anybody_would_guess_will_not() {
        let long = "aB3$".repeat(65);
        for password in [
            "short1!",
            "password",
            "Password123",
            "qwertyuiop",
            "12345678",
            "aaaaaaaaaaaa",
            "my wilhelmina 93 gets in",
            "xq7 FEATHERSTONE zk2",
            &long,
        ] {
            assert!(matches!(judge(password), Err(Refusal::WeakPassword(_))), "{password}");
        }
    }
}
