//! How a second factor comes and goes.

use std::time::Duration;

use janua_storage::capability::mfa::{
    self, Disable, Enable, Enroll, Proof, RenewBackupCodes, SHOWN_FOR, StepUp,
};
use janua_storage::capability::sessions::Method;
use janua_storage::command::{Command, Reply};
use janua_storage::moment::Moment;
use janua_storage::secret::Secret;
use zeroize::Zeroizing;

use super::codes::{Seed, draw_backup_codes, hash_of_backup_code, qr_code};
use crate::capability::passwords::Shown;
use crate::capability::sessions::{text, unexpected};
use crate::context::Context;
use crate::directory::Caller;
use crate::hashing::Plaintext;
use crate::idempotency::Attempt;
use crate::refusal::Refusal;
use crate::tenant::{Answer, TenantRef};

/// Under which context the seed of an app is sealed.
const SEED: &[u8] = b"totp seed";

/// What a user has for a second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactors {
    /// Since when codes of an app are asked for, if they are.
    pub totp: Option<Moment>,
    /// How many backup codes are left.
    pub backup_codes: usize,
    /// How many passkeys there are.
    pub passkeys: usize,
}

/// What an authenticator app is told.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// To be typed.
    pub secret: Secret,
    /// To be opened.
    pub uri: Secret,
    /// To be scanned: the source of an image.
    pub qr_code: Secret,
}

/// Somebody who is logged in and has confirmed that it is still they.
pub(crate) struct Confirmed {
    /// Generation of the password that was checked; `None` for a user without one.
    pub verified: Option<u32>,
    _shown: Option<Shown>,
}

impl TenantRef {
    /// Lets somebody who is logged in confirm that it is still they: by their password or, where
    /// they have none, by having logged in just now.
    pub(crate) async fn confirm(
        &self,
        context: &Context,
        caller: &Caller,
        password: Option<Plaintext>,
    ) -> Result<Confirmed, Refusal> {
        match (&caller.live.user.password, password) {
            (Some(_), Some(password)) => {
                let shown = self.reauthenticate(context, caller, password).await?;
                Ok(Confirmed { verified: Some(shown.generation), _shown: Some(shown) })
            }
            (Some(_), None) => Err(Refusal::field("password", "is required")),
            (None, _) if self.has_just_logged_in(caller) => {
                Ok(Confirmed { verified: None, _shown: None })
            }
            (None, _) => Err(Refusal::ReauthenticationRequired),
        }
    }

    fn has_just_logged_in(&self, caller: &Caller) -> bool {
        self.0.node.clock.now().since(caller.live.session.created) < SHOWN_FOR
    }

    /// Lets only those go on who have shown a second factor within the last quarter of an hour; who
    /// has none goes on as well. For what a stolen session must not do.
    pub async fn require_second_factor(&self, caller: &Caller) -> Result<(), Refusal> {
        if !caller.live.user.profile.mfa_enabled {
            return Ok(());
        }
        let session = &caller.live.session;
        let second =
            |method: &Method| matches!(method, Method::Totp | Method::BackupCode | Method::Passkey);
        if session.methods.iter().any(second) && self.has_just_logged_in(caller) {
            return Ok(());
        }
        let records = self.0.shard.read().await?;
        let factors = self.0.view(&records).factors(caller.user())?;
        match factors.has_shown(session.id, self.0.node.clock.now()) {
            true => Ok(()),
            false => Err(Refusal::MfaRequired),
        }
    }

    /// What the caller has for a second factor.
    pub async fn second_factors(&self, caller: &Caller) -> Result<SecondFactors, Refusal> {
        let records = self.0.shard.read().await?;
        let view = self.0.view(&records);
        let factors = view.factors(caller.user())?;
        Ok(SecondFactors {
            totp: factors.totp.map(|app| app.enrolled),
            backup_codes: factors.backup_codes.len(),
            passkeys: view.passkeys(caller.user())?.len(),
        })
    }

    /// Gives the caller a seed for an authenticator app; nothing is asked of it before it has shown
    /// a code.
    pub async fn enroll_totp(
        &self,
        context: &Context,
        caller: &Caller,
        password: Option<Plaintext>,
    ) -> Result<Enrolment, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return self.enrolment(answer, None, caller).await,
            Attempt::First(first) => first,
        };
        self.require_second_factor(caller).await?;
        let confirmed = self.confirm(context, caller, password).await?;
        let clock = &*self.0.node.clock;
        let seed = Seed::draw(clock);
        let sealed = self.held().await?.key.seal(clock.random(), SEED, &seed.0)?;
        let enroll = Enroll { user: caller.user(), verified: confirmed.verified, seed: sealed };
        let command = caller.within(Command::Mfa(mfa::Command::Enroll(Box::new(enroll))));
        let ticket = self.ticket(&first, Some(seed.secret().expose())).await?;
        let answer = self.propose(context.origin(), ticket, command).await?;
        self.enrolment(answer, Some(seed), caller).await
    }

    async fn enrolment(
        &self,
        answer: Answer,
        seed: Option<Seed>,
        caller: &Caller,
    ) -> Result<Enrolment, Refusal> {
        let seed = match answer.secrets {
            Some(recorded) => Seed::of_secret(&text(recorded)?)?,
            None => seed.ok_or_else(|| unexpected(&answer.reply))?,
        };
        let settings = self.settings().await?;
        let brand = [&settings.mail.brand, &settings.webauthn.rp_name];
        let issuer = brand.into_iter().find(|name| !name.is_empty());
        let issuer = issuer.map_or("Janua", String::as_str);
        let uri = seed.uri(issuer, &caller.live.user.profile.email)?;
        Ok(Enrolment { secret: seed.secret(), qr_code: qr_code(&uri)?, uri })
    }

    /// Switches the second factor on, once the app has shown a code. The caller is told their backup
    /// codes, this once.
    pub async fn enable_totp(
        &self,
        context: &Context,
        caller: &Caller,
        code: &str,
    ) -> Result<Vec<Secret>, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return backup_codes(answer, Vec::new()),
            Attempt::First(first) => first,
        };
        self.require_second_factor(caller).await?;
        let user = caller.user();
        let records = self.0.shard.read().await?;
        let app = self.0.view(&records).factors(user)?.pending.ok_or(Refusal::NotFound)?;
        let time_step = self.step_of(code, &app).await?;
        let codes = draw_backup_codes(&*self.0.node.clock);
        let enable = Enable {
            user,
            session: caller.session(),
            generation: app.generation,
            time_step,
            backup_codes: hashes(caller, &codes),
            policy: self.settings().await?.second_factor_policy(),
        };
        let command = Command::Mfa(mfa::Command::Enable(Box::new(enable)));
        let command = self.guessing(context, command).await?;
        let ticket = self.ticket(&first, Some(&recorded(&codes))).await?;
        let answer = self.propose(context.origin(), ticket, command).await?;
        match answer.reply {
            Reply::WrongGuess => Err(Refusal::InvalidMfaCode),
            _ => backup_codes(answer, codes),
        }
    }

    /// Switches the second factor off; it is shown for the last time.
    pub async fn disable_totp(
        &self,
        context: &Context,
        caller: &Caller,
        password: Option<Plaintext>,
        code: &str,
    ) -> Result<(), Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return shown(answer),
            Attempt::First(first) => first,
        };
        if !caller.live.user.profile.mfa_enabled {
            return Err(Refusal::NotFound);
        }
        let confirmed = self.confirm(context, caller, password).await?;
        let disable = Disable {
            user: caller.user(),
            verified: confirmed.verified,
            proof: self.proof_of_either(caller, code).await?,
            policy: self.settings().await?.second_factor_policy(),
        };
        let command = caller.within(Command::Mfa(mfa::Command::Disable(Box::new(disable))));
        let command = self.guessing(context, command).await?;
        let ticket = self.ticket(&first, None).await?;
        shown(self.propose(context.origin(), ticket, command).await?)
    }

    /// Gives the caller other backup codes in the place of those that are left.
    pub async fn renew_backup_codes(
        &self,
        context: &Context,
        caller: &Caller,
        password: Option<Plaintext>,
    ) -> Result<Vec<Secret>, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return backup_codes(answer, Vec::new()),
            Attempt::First(first) => first,
        };
        let confirmed = self.confirm(context, caller, password).await?;
        self.require_second_factor(caller).await?;
        let codes = draw_backup_codes(&*self.0.node.clock);
        let renew = RenewBackupCodes {
            user: caller.user(),
            verified: confirmed.verified,
            backup_codes: hashes(caller, &codes),
        };
        let command = caller.within(Command::Mfa(mfa::Command::RenewBackupCodes(Box::new(renew))));
        let ticket = self.ticket(&first, Some(&recorded(&codes))).await?;
        backup_codes(self.propose(context.origin(), ticket, command).await?, codes)
    }

    /// Lets the caller show a second factor once more within their session, for what demands one.
    /// For how long it counts from now.
    pub async fn step_up(
        &self,
        context: &Context,
        caller: &Caller,
        code: &str,
    ) -> Result<Duration, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return shown(answer).map(|()| SHOWN_FOR),
            Attempt::First(first) => first,
        };
        if !caller.live.user.profile.mfa_enabled {
            return Err(Refusal::NotFound);
        }
        let step_up = StepUp {
            user: caller.user(),
            session: caller.session(),
            proof: self.proof_of_either(caller, code).await?,
            policy: self.settings().await?.second_factor_policy(),
        };
        let command = Command::Mfa(mfa::Command::StepUp(Box::new(step_up)));
        let command = self.guessing(context, command).await?;
        let ticket = self.ticket(&first, None).await?;
        shown(self.propose(context.origin(), ticket, command).await?).map(|()| SHOWN_FOR)
    }

    /// A code of whichever kind: those of apps have six digits, backup codes more letters.
    async fn proof_of_either(&self, caller: &Caller, code: &str) -> Result<Proof, Refusal> {
        let letters = code.chars().filter(|c| !c.is_whitespace()).count();
        if letters > 8 {
            return Ok(Proof::BackupCode(hash_of_backup_code(caller.user(), code)));
        }
        self.proof_of_totp(caller.user(), code).await
    }

    /// A code of the app that `user` has, as checked here.
    pub(super) async fn proof_of_totp(
        &self,
        user: janua_storage::ids::UserId,
        code: &str,
    ) -> Result<Proof, Refusal> {
        let records = self.0.shard.read().await?;
        match self.0.view(&records).factors(user)?.totp {
            Some(app) => {
                let time_step = self.step_of(code, &app).await?;
                Ok(Proof::Totp { generation: app.generation, time_step })
            }
            None => Ok(Proof::Totp { generation: 0, time_step: None }),
        }
    }

    async fn step_of(&self, code: &str, app: &mfa::Totp) -> Result<Option<u64>, Refusal> {
        let opened = self.held().await?.key.open(SEED, &app.seed)?;
        Seed(Zeroizing::new(opened)).step_of(code, self.0.node.clock.now())
    }
}

/// What a factor that was shown within a session has come to.
fn shown(answer: Answer) -> Result<(), Refusal> {
    match answer.reply {
        Reply::Done => Ok(()),
        Reply::WrongGuess => Err(Refusal::InvalidMfaCode),
        reply => Err(unexpected(&reply)),
    }
}

fn hashes(caller: &Caller, codes: &[Secret]) -> Vec<janua_storage::secret::SecretHash> {
    codes.iter().map(|code| hash_of_backup_code(caller.user(), code.expose())).collect()
}

/// Backup codes as an idempotency record keeps them: none holds a space.
fn recorded(codes: &[Secret]) -> Zeroizing<String> {
    let texts: Vec<&str> = codes.iter().map(Secret::expose).collect();
    Zeroizing::new(texts.join(" "))
}

/// The codes that were proposed, unless others were recorded.
fn backup_codes(answer: Answer, proposed: Vec<Secret>) -> Result<Vec<Secret>, Refusal> {
    match answer.secrets {
        Some(recorded) => Ok(text(recorded)?.expose().split(' ').map(Secret::given).collect()),
        None if proposed.is_empty() => Err(unexpected(&answer.reply)),
        None => Ok(proposed),
    }
}
