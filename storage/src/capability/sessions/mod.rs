//! Sessions: begun by a login, carried by a rotating refresh token, ended once and for all.

mod end;
mod hand_over;
mod refresh;

use serde::{Deserialize, Serialize};

pub use end::{EndAll, EndReason, Ended, Expire, LogOut, Revoke, RevokeOthers};
pub(crate) use end::{end_all, forget};
pub use hand_over::{HandOver, HandOverTo, HandedOver};
pub use refresh::{PREDECESSOR_GRACE, Refresh, RefreshToken, Renewed};

use crate::capability::users::{Profile, Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind, Origin};
use crate::fault::Fault;
use crate::ids::{DeviceId, SessionId, UserId};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::seal::Sealed;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// How a user has shown who they are (RFC 8176). Append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// `pwd`
    Password,
    /// `otp`: a code of an authenticator app (RFC 6238).
    Totp,
    /// `otp`: one of the codes that are kept for when the other factor is lost.
    BackupCode,
    /// `pop`: a passkey that has verified its user.
    Passkey,
    /// `email`: a link that was sent to their address.
    MagicLink,
    /// `fed`: another provider vouches for them.
    Federated,
}

impl Method {
    /// The value in the `amr` claim (RFC 8176 §2).
    pub const fn amr(self) -> &'static str {
        match self {
            Self::Password => "pwd",
            Self::Totp | Self::BackupCode => "otp",
            Self::Passkey => "pop",
            Self::MagicLink => "email",
            Self::Federated => "fed",
        }
    }

    /// The name that events and clients use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::BackupCode => "backup_code",
            Self::Passkey => "passkey",
            Self::MagicLink => "magic_link",
            Self::Federated => "oauth",
        }
    }
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id, the `sid` of its tokens.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// From which device.
    pub device: DeviceId,
    /// From which address and program.
    pub origin: Origin,
    /// How its user logged in.
    pub methods: Vec<Method>,
    /// When its user logged in.
    pub created: Moment,
    /// When it was last used, some minutes coarse.
    pub last_active: Moment,
    /// When it ends by itself.
    pub expires: Moment,
    /// The refresh token that carries it on.
    pub token: SecretHash,
    /// How many tokens came before.
    pub generation: u32,
    /// The last rotation, for clients that missed its answer.
    pub rotation: Option<Rotation>,
}

/// The rotation that made the current refresh token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The token that was spent.
    pub predecessor: SecretHash,
    /// When.
    pub at: Moment,
    /// The current token, sealed under a key that only the predecessor's holder can derive.
    pub successor: Sealed,
}

/// What an access token says, but for what is the same in the whole tenant (RFC 7519 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// `sub`
    pub user: UserId,
    /// `sid`
    pub session: SessionId,
    /// `amr`
    pub methods: Vec<Method>,
    /// `auth_time`
    pub authenticated: Moment,
    /// `iat`
    pub issued: Moment,
    /// `exp`
    pub expires: Moment,
    /// `jti`
    pub token_id: [u8; 16],
}

/// An access token to be: what the proposer knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessGrant {
    /// `jti`
    pub token_id: [u8; 16],
    /// How long it lasts, milliseconds.
    pub ttl_ms: u64,
}

/// A session to be: what the proposer knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its id.
    pub session: SessionId,
    /// Id of its device, if it turns out to be a new one.
    pub device: DeviceId,
    /// Digest of the device's fingerprint or, without one, of its user agent.
    pub fingerprint: [u8; 16],
    /// From which address and program.
    pub origin: Origin,
    /// Hash of its first refresh token.
    pub token: SecretHash,
    /// Its first access token.
    pub access: AccessGrant,
    /// How long it lasts, milliseconds.
    pub ttl_ms: u64,
    /// How many live sessions a user may have; the oldest goes when there are more.
    pub most: u32,
}

/// The answer to a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// Who logged in.
    pub profile: Profile,
    /// From which device.
    pub device: DeviceId,
    /// What the access token says.
    pub claims: Claims,
}

/// What somebody has decided in a session, to be done only while that lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Within {
    /// Whose session.
    pub user: UserId,
    /// Which.
    pub session: SessionId,
    /// What was decided.
    pub command: crate::command::Command,
}

/// What can be done to sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Spend a refresh token for the next.
    Refresh(Box<Refresh>),
    /// End the session of a refresh token.
    LogOut(LogOut),
    /// End one session of a user.
    Revoke(Revoke),
    /// End all sessions of a user but one.
    RevokeOthers(RevokeOthers),
    /// End a session whose time is over.
    Expire(Expire),
    /// End sessions of everybody, after a restore.
    EndAll(EndAll),
    /// Leave a session where an application finds it by a code.
    HandOver(HandOver),
    /// The same, for the application that knows the verifier of a challenge.
    HandOverTo(HandOverTo),
}

pub(crate) fn apply(step: &mut Step<'_, '_>, command: Command) -> Result<Reply, Stop> {
    match command {
        Command::Refresh(command) => command.apply(step),
        Command::LogOut(command) => command.apply(step),
        Command::Revoke(command) => command.apply(step),
        Command::RevokeOthers(command) => command.apply(step),
        Command::Expire(command) => command.apply(step),
        Command::EndAll(command) => command.apply(step),
        Command::HandOver(command) => command.apply(step, None),
        Command::HandOverTo(command) => command.apply(step),
    }
}

/// Begins a session of `user`, who has shown `methods`; the caller saves the record.
///
/// Invariant: no session of a suspended user is live, whatever was shown before the suspension.
pub(crate) fn start(
    step: &mut Step<'_, '_>,
    user: &mut User,
    start: Start,
    methods: Vec<Method>,
) -> Result<SignedIn, Stop> {
    if user.status == Status::Suspended {
        return Err(Rejection::AccountSuspended.into());
    }
    end::make_room(step, user, start.most)?;
    let id = user.profile.id;
    let device = user.device(start.device, start.fingerprint, step.now);
    let expires = Moment(step.now.0.saturating_add(start.ttl_ms));
    let session = Session {
        id: start.session,
        user: id,
        device,
        origin: start.origin,
        methods,
        created: step.now,
        last_active: step.now,
        expires,
        token: start.token,
        generation: 0,
        rotation: None,
    };
    let token = RefreshToken { user: id, session: session.id, generation: 0 };
    step.put(keys::by_hash(step.tenant, Kind::RefreshToken, &start.token), &token)?;
    let claims = session.claims(&start.access, step.now);
    session.save(step)?;
    user.sessions += 1;
    user.profile.last_active = step.now;
    step.record(
        Draft::new(EventKind::SessionCreated, id)
            .with("sessionId", session.id.to_string().as_str()),
    );
    Ok(SignedIn { profile: user.profile.clone(), device, claims })
}

/// Refuses what was asked for in a session that has ended meanwhile.
///
/// Invariant: what is decided in a session holds only while it lives: whoever was put out of an account
/// sets nothing up in it by a request that was on its way.
pub(crate) fn require_live(step: &Step<'_, '_>, user: UserId, id: SessionId) -> Result<(), Stop> {
    match Session::load(step, user, id)? {
        Some(session) if session.expires > step.now => Ok(()),
        Some(_) => Err(Rejection::SessionExpired.into()),
        None => Err(end::why_ended(step, id)?.into()),
    }
}

/// Notes that a live session was seen.
pub(crate) fn touch(
    step: &mut Step<'_, '_>,
    user: UserId,
    session: SessionId,
    seen: Moment,
) -> Result<(), Fault> {
    if let Some(mut session) = Session::load(step, user, session)?
        && session.last_active < seen
    {
        session.last_active = seen;
        session.save(step)?;
    }
    Ok(())
}

impl Session {
    fn load(step: &Step<'_, '_>, user: UserId, id: SessionId) -> Result<Option<Self>, Fault> {
        step.get(&keys::session(step.tenant, user, id))
    }

    fn save(&self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        step.put(keys::session(step.tenant, self.user, self.id), self)
    }

    /// What the next access token says: it never outlives the session.
    fn claims(&self, access: &AccessGrant, now: Moment) -> Claims {
        Claims {
            user: self.user,
            session: self.id,
            methods: self.methods.clone(),
            authenticated: self.created,
            issued: now,
            expires: Moment(now.0.saturating_add(access.ttl_ms)).min(self.expires),
            token_id: access.token_id,
        }
    }
}
