//! A login that a hosted page has completed and an application carries on: the session changes hands
//! by a one-time code, since tokens never travel in a URL.

use serde::{Deserialize, Serialize};

use super::end;
use super::{EndReason, RefreshToken, Session, SignedIn, Start};
use crate::capability::oauth::CODE_TTL_MS;
use crate::capability::users::{Status, User};
use crate::command::{Rejection, Reply, Stop};
use crate::fault::Fault;
use crate::ids::{SessionId, UserId};
use crate::keys::{self, Kind};
use crate::one_time::{Content, OneTime};
use crate::pkce::Challenge;
use crate::secret::SecretHash;
use crate::state_machine::Step;
use crate::traces;

/// Leaves a session where an application finds it by a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub session: SessionId,
    /// Hash of the code.
    pub code: SecretHash,
}

/// The same, for the application that knows the verifier of a challenge (RFC 7636).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOverTo {
    /// What is left.
    pub hand_over: HandOver,
    /// The challenge that the application began with.
    pub challenge: Challenge,
}

/// A session that waits for its application, under the hash of its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOver {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub session: SessionId,
}

impl HandOver {
    /// Invariant: a session is given away by a page that holds it alone. Once its refresh token has
    /// changed, an application has it, and what the page knew of it gives nobody a share in that; a page
    /// itself never renews one.
    pub(super) fn apply(
        self,
        step: &mut Step<'_, '_>,
        challenge: Option<Challenge>,
    ) -> Result<Reply, Stop> {
        let HandOver { user, session, code } = self;
        let Some(held) = Session::load(step, user, session)? else {
            return Err(end::why_ended(step, session)?.into());
        };
        if held.generation > 0 {
            return Err(Rejection::InvalidToken.into());
        }
        let content = Content::HandedOver(HandedOver { user, session });
        OneTime::issue(step, &code, content.proven_by(challenge), CODE_TTL_MS)?;
        Ok(Reply::Done)
    }
}

impl HandOverTo {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        self.hand_over.apply(step, Some(self.challenge))
    }
}

impl HandedOver {
    /// Whether the session is still there to be taken over.
    pub(crate) fn is_live(&self, step: &Step<'_, '_>) -> Result<bool, Fault> {
        Ok(Session::load(step, self.user, self.session)?.is_some())
    }

    /// Ends the session, which nobody will take over any more.
    pub(crate) fn end(&self, step: &mut Step<'_, '_>) -> Result<(), Fault> {
        if let Some(session) = Session::load(step, self.user, self.session)?
            && let Some(mut user) = User::load(step, self.user)?
        {
            end::end(step, &mut user, &session, EndReason::Revoked)?;
            user.save(step)?;
        }
        Ok(())
    }

    /// Gives the session to whoever has redeemed its code: it goes on under the refresh token of
    /// `new`. The page's own was spent by this; should it ever come back, somebody has stolen it.
    pub(crate) fn take_over(self, step: &mut Step<'_, '_>, new: &Start) -> Result<SignedIn, Stop> {
        let Some(mut session) = Session::load(step, self.user, self.session)? else {
            return Err(end::why_ended(step, self.session)?.into());
        };
        let user = User::load(step, self.user)?.ok_or(Rejection::InvalidToken)?;
        if user.status == Status::Suspended {
            return Err(Rejection::AccountSuspended.into());
        }
        if session.expires <= step.now {
            return Err(Rejection::SessionExpired.into());
        }
        traces::take_back_codes(step, self.user, self.session)?;
        let tenant = step.tenant;
        step.put(keys::spent(tenant, session.id, session.generation), &session.token)?;
        session.generation += 1;
        session.token = new.token;
        session.rotation = None;
        session.last_active = step.now;
        let (user_id, id, generation) = (session.user, session.id, session.generation);
        let token = RefreshToken { user: user_id, session: id, generation };
        step.put(keys::by_hash(tenant, Kind::RefreshToken, &new.token), &token)?;
        session.save(step)?;
        step.user_changed(user_id);
        let claims = session.claims(&new.access, step.now);
        Ok(SignedIn { profile: user.profile, device: session.device, claims })
    }
}
