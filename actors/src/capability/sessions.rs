//! Sessions: their tokens, their refresh, their end.

use janua_storage::capability::sessions::{
    self, AccessGrant, Claims, HandOver, HandOverTo, LogOut, Refresh, Revoke, RevokeOthers,
    Session, Start, Within,
};
use janua_storage::capability::users::Profile;
use janua_storage::command::{Command, Reply};
use janua_storage::ids::{DeviceId, SessionId, UserId};
use janua_storage::moment::Moment;
use janua_storage::pkce::Challenge;
use janua_storage::seal::{self, Key};
use janua_storage::secret::{Purpose, Secret};
use sha2::{Digest, Sha256};

use super::passwords::count;
use crate::context::{Context, DeviceInfo};
use crate::directory::Caller;
use crate::idempotency::{Attempt, First};
use crate::refusal::Refusal;
use crate::session::Change;
use crate::tenant::{Answer, TenantRef};

/// A session's tokens, as handed to its client.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// JWT (RFC 9068 in spirit).
    pub access_token: String,
    /// Opaque, spent by its first use.
    pub refresh_token: Secret,
    /// When the access token stops being valid.
    pub expires: Moment,
}

/// A login that came to a session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who logged in.
    pub profile: Profile,
    /// Their session.
    pub session: SessionId,
    /// From which device.
    pub device: DeviceId,
    /// What they go on with.
    pub tokens: Tokens,
}

/// A session to be, and its first refresh token.
pub(crate) struct NewSession {
    pub start: Start,
    pub refresh_token: Secret,
}

/// Under which context a successor is sealed by its predecessor.
const SUCCESSOR: &[u8] = b"successor";

impl TenantRef {
    /// Spends a refresh token for the next (RFC 6749 §6, RFC 9700 §4.14.2).
    pub async fn refresh(&self, context: &Context, token: &Secret) -> Result<Tokens, Refusal> {
        match self.attempt(context).await? {
            Attempt::Repeated(answer) => self.renewed(answer, None, token).await,
            Attempt::First(first) => self.rotate(context, token, first).await,
        }
    }

    async fn rotate(
        &self,
        context: &Context,
        token: &Secret,
        first: First,
    ) -> Result<Tokens, Refusal> {
        let node = &self.0.node;
        let records = self.0.shard.read().await?;
        let found = self.0.view(&records).refresh_token(&token.hash())?;
        let found = found.ok_or(Refusal::InvalidToken)?;
        let settings = self.settings().await?;
        let successor = Secret::new(Purpose::RefreshToken, self.number(), &node.clock.random());
        let sealed = sealing_key(token).seal(
            node.clock.random(),
            SUCCESSOR,
            successor.expose().as_bytes(),
        )?;
        let tokens = &settings.tokens;
        let refresh = Refresh {
            presented: token.hash(),
            successor: successor.hash(),
            sealed,
            access: self.access_grant(tokens.access_ttl),
            sliding_ttl_ms: tokens.sliding_session.then_some(tokens.session_ttl * 1000),
        };
        let ticket = self.ticket(&first, Some(successor.expose())).await?;
        let digest = ticket.as_ref().map(|ticket| ticket.digest);
        let command = Command::Sessions(sessions::Command::Refresh(Box::new(refresh)));
        let change = Change { origin: context.origin(), ticket, command };
        let outcome = self.change(found.user, found.session, change).await?;
        let answer = self.settle(outcome, digest).await?;
        self.renewed(answer, Some(successor), token).await
    }

    async fn renewed(
        &self,
        answer: Answer,
        successor: Option<Secret>,
        presented: &Secret,
    ) -> Result<Tokens, Refusal> {
        let renewed = match answer.reply {
            Reply::Renewed(renewed) => *renewed,
            Reply::ReuseDetected => return Err(Refusal::TokenUsed),
            reply => return Err(unexpected(&reply)),
        };
        let refresh_token = match (renewed.repeated, answer.secrets) {
            (Some(sealed), _) => text(sealing_key(presented).open(SUCCESSOR, &sealed)?)?,
            (None, Some(recorded)) => text(recorded)?,
            (None, None) => successor.ok_or_else(|| unexpected(&Reply::Done))?,
        };
        self.tokens(&renewed.claims, refresh_token).await
    }

    /// Ends the session of a refresh token.
    pub async fn log_out(&self, context: &Context, token: &Secret) -> Result<(), Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(_) => return Ok(()),
            Attempt::First(first) => first,
        };
        let log_out = LogOut { token: token.hash() };
        let command = Command::Sessions(sessions::Command::LogOut(log_out));
        let ticket = self.ticket(&first, None).await?;
        self.propose(context.origin(), ticket, command).await?;
        Ok(())
    }

    /// Leaves a session where an application finds it, by the code that is returned: whoever redeems
    /// it, and answers the challenge if there is one, carries the session on in place of the page that
    /// logged in.
    pub async fn hand_over(
        &self,
        context: &Context,
        user: UserId,
        session: SessionId,
        challenge: Option<Challenge>,
    ) -> Result<Secret, Refusal> {
        let code = Secret::new(Purpose::Code, self.number(), &self.0.node.clock.random());
        let hand_over = HandOver { user, session, code: code.hash() };
        let command = match challenge {
            Some(challenge) => sessions::Command::HandOverTo(HandOverTo { hand_over, challenge }),
            None => sessions::Command::HandOver(hand_over),
        };
        self.propose(context.origin(), None, Command::Sessions(command)).await?;
        Ok(code)
    }

    /// The caller's live sessions, oldest first.
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<Session>, Refusal> {
        let records = self.0.shard.read().await?;
        let now = self.0.node.clock.now();
        let mut sessions = self.0.view(&records).sessions(caller.user())?;
        sessions.retain(|session| session.expires > now);
        Ok(sessions)
    }

    /// Ends one of the caller's sessions.
    pub async fn revoke_session(
        &self,
        context: &Context,
        caller: &Caller,
        session: SessionId,
    ) -> Result<(), Refusal> {
        let revoke = Revoke { user: caller.user(), session };
        let command = Command::Sessions(sessions::Command::Revoke(revoke));
        self.propose_once(context, command).await.map(drop)
    }

    /// Ends all the caller's sessions but this one, and says how many.
    pub async fn revoke_other_sessions(
        &self,
        context: &Context,
        caller: &Caller,
    ) -> Result<u32, Refusal> {
        let revoke = RevokeOthers { user: caller.user(), except: caller.session() };
        let command = Command::Sessions(sessions::Command::RevokeOthers(revoke));
        let command = caller.within(command);
        count(&self.propose_once(context, command).await?.reply)
    }

    /// What `apply` needs to begin a session, and the refresh token that only its client gets.
    pub(crate) async fn new_session(
        &self,
        context: &Context,
        device: &DeviceInfo,
    ) -> Result<NewSession, Refusal> {
        let node = &self.0.node;
        let settings = self.settings().await?;
        let refresh_token = Secret::new(Purpose::RefreshToken, self.number(), &node.clock.random());
        let (ms, random) = node.clock.id_bits();
        let (_, device_random) = node.clock.id_bits();
        let origin = context.origin_of(device);
        let start = Start {
            session: SessionId::new(ms, random),
            device: DeviceId::new(ms, device_random),
            fingerprint: fingerprint(device, origin.user_agent.as_deref()),
            origin,
            token: refresh_token.hash(),
            access: self.access_grant(settings.tokens.access_ttl),
            ttl_ms: settings.tokens.session_ttl * 1000,
            most: node.sessions_per_user,
        };
        Ok(NewSession { start, refresh_token })
    }

    /// The answer to a login: `token` is the one that was proposed, unless another was recorded.
    pub(crate) async fn signed_in(
        &self,
        answer: Answer,
        token: Option<Secret>,
    ) -> Result<SignedIn, Refusal> {
        let Reply::SignedIn(signed_in) = answer.reply else {
            return Err(unexpected(&answer.reply));
        };
        let refresh_token = match answer.secrets {
            Some(recorded) => text(recorded)?,
            None => token.ok_or_else(|| unexpected(&Reply::Done))?,
        };
        let tokens = self.tokens(&signed_in.claims, refresh_token).await?;
        let (profile, session) = (signed_in.profile, signed_in.claims.session);
        Ok(SignedIn { profile, session, device: signed_in.device, tokens })
    }

    async fn tokens(&self, claims: &Claims, refresh_token: Secret) -> Result<Tokens, Refusal> {
        let access_token = self.held().await?.keys.sign(claims)?;
        Ok(Tokens { access_token, refresh_token, expires: claims.expires })
    }

    fn access_grant(&self, ttl_seconds: u64) -> AccessGrant {
        AccessGrant { token_id: self.0.node.clock.random(), ttl_ms: ttl_seconds * 1000 }
    }
}

impl Caller {
    /// A command that the caller's session decides, and that comes to nothing if the session has ended
    /// by the time that it is applied: whoever was put out of an account changes nothing in it by a
    /// request that was on its way.
    pub(crate) fn within(&self, command: Command) -> Command {
        let (user, session) = (self.user(), self.session());
        Command::Within(Box::new(Within { user, session, command }))
    }
}

/// A key that only the holder of `token` can derive: its hash, which is stored, does not give it.
fn sealing_key(token: &Secret) -> Key {
    Key::new(seal::mac(token.expose().as_bytes(), b"janua successor"))
}

pub(crate) fn text(bytes: Vec<u8>) -> Result<Secret, Refusal> {
    let bytes = zeroize::Zeroizing::new(bytes);
    std::str::from_utf8(&bytes)
        .map(Secret::given)
        .map_err(|_| Refusal::unavailable("a sealed token that is no text"))
}

/// Sixteen bytes that tell a user's devices apart.
fn fingerprint(device: &DeviceInfo, user_agent: Option<&str>) -> [u8; 16] {
    let told = device.fingerprint.as_deref().map(|fingerprint| ("fingerprint", fingerprint));
    let (kind, value) = told.unwrap_or(("user agent", user_agent.unwrap_or_default()));
    let digest = Sha256::new().chain_update(kind).chain_update(value).finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

pub(crate) fn unexpected(reply: &Reply) -> Refusal {
    // Its kind alone: what it holds is some person's.
    let kind = format!("{reply:?}");
    let kind = kind.split(['(', '{', ' ']).next().unwrap_or_default();
    Refusal::unavailable(format!("the state answered something else: {kind}"))
}
