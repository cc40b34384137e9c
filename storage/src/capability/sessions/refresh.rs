//! Rotation of refresh tokens (RFC 9700 §4.14): idempotent for clients, deadly for thieves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::end::{self, EndReason, end};
use super::{AccessGrant, Claims, Rotation, Session};
use crate::capability::users::{Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::event::{Draft, EventKind};
use crate::fault::Fault;
use crate::ids::{SessionId, UserId};
use crate::keys::{self, Kind};
use crate::moment::Moment;
use crate::seal::Sealed;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// For how long the predecessor of the current token still yields it: two tabs, a lost answer.
pub const PREDECESSOR_GRACE: Duration = Duration::from_secs(10);

/// How many refresh tokens a session may spend; each is remembered while it lasts, so that the
/// return of any of them is noticed. Then it expires: its user logs in anew.
const SPENT: u32 = 100_000;

/// Where a refresh token belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshToken {
    /// Whose session.
    pub user: UserId,
    /// Which session.
    pub session: SessionId,
    /// How many tokens of the session came before it.
    pub generation: u32,
}

/// Spends a refresh token for the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// Hash of the token that was presented.
    pub presented: SecretHash,
    /// Hash of the token that is to follow.
    pub successor: SecretHash,
    /// The same, sealed under a key derived from the presented one.
    pub sealed: Sealed,
    /// The access token that comes with it.
    pub access: AccessGrant,
    /// From when on the session's end moves with its use: its lifetime in milliseconds.
    pub sliding_ttl_ms: Option<u64>,
}

/// The answer to a refresh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// What the access token says.
    pub claims: Claims,
    /// The successor of an earlier use of the same token, still sealed; `None` when this was the
    /// first use, and the proposer's own successor holds.
    pub repeated: Option<Sealed>,
}

impl Refresh {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let token = find(step, &self.presented)?.ok_or(Rejection::InvalidToken)?;
        let Some(mut session) = Session::load(step, token.user, token.session)? else {
            return Err(end::why_ended(step, token.session)?.into());
        };
        let user = User::load(step, token.user)?.ok_or(Rejection::InvalidToken)?;
        if user.status == Status::Suspended {
            return Err(Rejection::AccountSuspended.into());
        }
        if session.expires <= step.now || session.generation >= SPENT {
            return Err(Rejection::SessionExpired.into());
        }
        if session.token == self.presented {
            self.rotate(step, &mut session)?;
            return renewed(&session, &self.access, step.now, None);
        }
        match session.rotation.take() {
            Some(rotation)
                if rotation.predecessor == self.presented
                    && step.now.since(rotation.at) <= PREDECESSOR_GRACE =>
            {
                renewed(&session, &self.access, step.now, Some(rotation.successor))
            }
            _ => reused(step, user, &session),
        }
    }

    fn rotate(&self, step: &mut Step<'_, '_>, session: &mut Session) -> Result<(), Fault> {
        let tenant = step.tenant;
        step.put(keys::spent(tenant, session.id, session.generation), &self.presented)?;
        session.generation += 1;
        session.token = self.successor;
        session.last_active = step.now;
        session.rotation = Some(Rotation {
            predecessor: self.presented,
            at: step.now,
            successor: self.sealed.clone(),
        });
        if let Some(ttl) = self.sliding_ttl_ms {
            session.expires = session.expires.max(Moment(step.now.0.saturating_add(ttl)));
        }
        let generation = session.generation;
        let token = RefreshToken { user: session.user, session: session.id, generation };
        step.put(keys::by_hash(tenant, Kind::RefreshToken, &self.successor), &token)?;
        session.save(step)
    }
}

/// Where the token with this hash belongs.
pub(super) fn find(step: &Step<'_, '_>, token: &SecretHash) -> Result<Option<RefreshToken>, Fault> {
    step.get(&keys::by_hash(step.tenant, Kind::RefreshToken, token))
}

fn renewed(
    session: &Session,
    access: &AccessGrant,
    now: Moment,
    repeated: Option<Sealed>,
) -> Result<Reply, Stop> {
    let claims = session.claims(access, now);
    Ok(Reply::Renewed(Box::new(Renewed { claims, repeated })))
}

/// A token that was spent before has come back: somebody has stolen it, or the session's current
/// one. Nobody can tell who is who, so the session ends.
fn reused(step: &mut Step<'_, '_>, mut user: User, session: &Session) -> Result<Reply, Stop> {
    step.record(
        Draft::new(EventKind::SessionReuseDetected, session.user)
            .with("sessionId", session.id.to_string().as_str()),
    );
    end(step, &mut user, session, EndReason::ReuseDetected)?;
    user.save(step)?;
    Ok(Reply::ReuseDetected)
}
