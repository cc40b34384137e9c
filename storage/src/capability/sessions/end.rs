//! How sessions end. What ends one leaves a mark until its tokens would have expired, so that they
//! are told apart from tokens that never were.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::Session;
use super::refresh;
use crate::capability::users::User;
use crate::codec;
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::{SessionId, UserId};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::records::Records;
use crate::secret::SecretHash;
use crate::state_machine::Step;
use crate::traces;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// Its user logged out.
    LoggedOut,
    /// Its user revoked it.
    Revoked,
    /// Its user changed their password.
    PasswordChanged,
    /// Its user is gone.
    AccountDeleted,
    /// A spent refresh token came back.
    ReuseDetected,
    /// Newer sessions of its user took its place.
    Displaced,
    /// Its time was over.
    Expired,
    /// Its user set a new password by a mailed token.
    PasswordReset,
    /// Its user was suspended.
    Suspended,
    /// Its cluster was restored to an earlier state, which may not know of its end.
    Restored,
}

impl EndReason {
    /// As events name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logout",
            Self::Revoked => "revoked",
            Self::PasswordChanged => "password_changed",
            Self::AccountDeleted => "account_deleted",
            Self::ReuseDetected => "reuse_detected",
            Self::Displaced => "displaced",
            Self::Expired => "expired",
            Self::PasswordReset => "password_reset",
            Self::Suspended => "suspended",
            Self::Restored => "restored",
        }
    }
}

/// The mark of a session that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Why.
    pub reason: EndReason,
    /// Its last refresh token.
    pub token: SecretHash,
    /// When the mark may go.
    pub expires: Moment,
}

/// Ends the session of a refresh token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOut {
    /// Hash of the token.
    pub token: SecretHash,
}

/// Ends one session of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoke {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub session: SessionId,
}

/// Ends all sessions of a user but one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeOthers {
    /// Whose.
    pub user: UserId,
    /// The one that stays.
    pub except: SessionId,
}

/// Ends a session whose time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expire {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub session: SessionId,
}

/// Ends sessions of whoever has any, at most so many, and voids what can be used once. Repeated
/// until there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndAll {
    /// Why.
    pub reason: EndReason,
    /// How many at once.
    pub most: u32,
}

impl EndAll {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let most = self.most as usize;
        let mut found = Vec::new();
        let sessions = keys::range(step.tenant, Kind::Session);
        step.records().scan(&sessions, None, &mut |_, value| {
            found.push(codec::decode::<Session>(value));
            if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let mut ended = 0;
        for session in found {
            let session = session?;
            match User::load(step, session.user)? {
                Some(mut user) => {
                    end(step, &mut user, &session, self.reason)?;
                    user.save(step)?;
                }
                None => step.delete(keys::session(step.tenant, session.user, session.id)),
            }
            ended += 1;
        }
        for kind in keys::ONE_TIME {
            let mut void = Vec::new();
            step.records().scan(&keys::range(step.tenant, kind), None, &mut |key, _| {
                void.push(key.to_vec());
                match ended + void.len() < most {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
            ended += void.len();
            void.into_iter().for_each(|key| step.delete(key));
        }
        Ok(Reply::Count(ended as u32))
    }
}

impl LogOut {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let token = refresh::find(step, &self.token)?.ok_or(Rejection::InvalidToken)?;
        let Some(session) = Session::load(step, token.user, token.session)? else {
            return Err(why_ended(step, token.session)?.into());
        };
        let mut user = User::load(step, token.user)?.ok_or(Rejection::InvalidToken)?;
        step.record(
            Draft::new(EventKind::LoggedOut, token.user)
                .with("sessionId", session.id.to_string().as_str()),
        );
        end(step, &mut user, &session, EndReason::LoggedOut)?;
        user.save(step)?;
        Ok(Reply::Done)
    }
}

impl Revoke {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let session = Session::load(step, self.user, self.session)?.ok_or(Rejection::NotFound)?;
        let mut user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        end(step, &mut user, &session, EndReason::Revoked)?;
        user.save(step)?;
        Ok(Reply::Done)
    }
}

impl RevokeOthers {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut user = User::load(step, self.user)?.ok_or(Rejection::NotFound)?;
        let ended = end_all(step, &mut user, Some(self.except), EndReason::Revoked)?;
        traces::void(step, &user)?;
        user.save(step)?;
        Ok(Reply::Count(ended))
    }
}

impl Expire {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let Some(session) = Session::load(step, self.user, self.session)? else {
            return Ok(Reply::Done);
        };
        if session.expires > step.now {
            return Err(Rejection::Stale.into());
        }
        if let Some(mut user) = User::load(step, self.user)? {
            end(step, &mut user, &session, EndReason::Expired)?;
            user.save(step)?;
        }
        Ok(Reply::Done)
    }
}

/// Ends a session of `user`, whose record the caller saves. Its tokens stay known until they would
/// have expired.
pub(super) fn end(
    step: &mut Step<'_, '_>,
    user: &mut User,
    session: &Session,
    reason: EndReason,
) -> Result<(), Fault> {
    step.delete(keys::session(step.tenant, session.user, session.id));
    let mark = Ended { reason, token: session.token, expires: session.expires };
    step.put(keys::ended(step.tenant, session.id), &mark)?;
    user.sessions = user.sessions.saturating_sub(1);
    step.user_changed(session.user);
    if reason != EndReason::Expired {
        step.record(
            Draft::new(EventKind::SessionRevoked, session.user)
                .with("sessionId", session.id.to_string().as_str())
                .with("reason", reason.as_str()),
        );
    }
    Ok(())
}

/// Ends every session of `user` but `except`, and says how many.
pub(crate) fn end_all(
    step: &mut Step<'_, '_>,
    user: &mut User,
    except: Option<SessionId>,
    reason: EndReason,
) -> Result<u32, Fault> {
    let mut ended = 0;
    for session in live(step, user.profile.id, usize::MAX)? {
        if Some(session.id) != except {
            end(step, user, &session, reason)?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// Ends the oldest sessions of `user` until one more is within `most`.
pub(super) fn make_room(step: &mut Step<'_, '_>, user: &mut User, most: u32) -> Result<(), Fault> {
    let Some(surplus) = (user.sessions + 1).checked_sub(most.max(1)).filter(|more| *more > 0)
    else {
        return Ok(());
    };
    for session in live(step, user.profile.id, surplus as usize)? {
        end(step, user, &session, EndReason::Displaced)?;
    }
    Ok(())
}

/// What to say to a token whose session is no longer live.
pub(super) fn why_ended(step: &Step<'_, '_>, session: SessionId) -> Result<Rejection, Fault> {
    let mark: Option<Ended> = step.get(&keys::ended(step.tenant, session))?;
    Ok(match mark.map(|mark| mark.reason) {
        Some(EndReason::Expired) => Rejection::SessionExpired,
        Some(_) => Rejection::SessionRevoked,
        None => Rejection::InvalidToken,
    })
}

/// Removes spent tokens of a session that has ended, at most so many, and with the last of them its
/// mark. How many it removed.
pub(crate) fn forget(
    step: &mut Step<'_, '_>,
    session: SessionId,
    mark: &Ended,
    most: usize,
) -> Result<usize, Fault> {
    let mut spent = Vec::new();
    step.records().scan(&keys::spent_of(step.tenant, session), None, &mut |key, value| {
        spent.push((key.to_vec(), codec::decode::<SecretHash>(value)));
        if spent.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let removed = spent.len();
    for (key, hash) in spent {
        step.delete(keys::by_hash(step.tenant, Kind::RefreshToken, &hash?));
        step.delete(key);
    }
    if removed >= most {
        return Ok(removed);
    }
    step.delete(keys::by_hash(step.tenant, Kind::RefreshToken, &mark.token));
    step.delete(keys::ended(step.tenant, session));
    Ok(removed)
}

/// The live sessions of a user, oldest first, at most so many.
fn live(step: &Step<'_, '_>, user: UserId, most: usize) -> Result<Vec<Session>, Fault> {
    let mut found = Vec::new();
    step.records().scan(&keys::sessions_of(step.tenant, user), None, &mut |_, value| {
        found.push(codec::decode::<Session>(value));
        if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    found.into_iter().collect()
}
