//! The session's actor. What it holds is vouched for by the user's stamp; it looks again when the
//! stamp has changed.

use std::sync::Arc;
use std::time::Duration;

use janua_storage::capability::sessions::{self, EndReason, Expire};
use janua_storage::capability::users::{Status, Touch};
use janua_storage::command::{Command, Outcome, Rejection};
use janua_storage::event::Origin;
use janua_storage::moment::Moment;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::{Change, Live, SessionKey};
use crate::refusal::Refusal;
use crate::tenant::Shared;

/// How far behind the recorded last activity may be.
const COARSE: Duration = Duration::from_secs(5 * 60);

type Checked = Result<Arc<Live>, Refusal>;

/// What a session's actor is asked.
pub(crate) enum SessionMessage {
    /// Is it valid?
    Check(oneshot::Sender<Checked>),
    /// Propose this change of it.
    Change(Box<Change>, oneshot::Sender<Result<Outcome, Refusal>>),
}

/// It never leaves the node.
impl ractor::Message for SessionMessage {}

/// The actor of one session.
pub(crate) struct SessionActor;

pub(crate) struct State {
    key: SessionKey,
    tenant: Arc<Shared>,
    held: Option<(u64, Arc<Live>)>,
}

impl Actor for SessionActor {
    type Msg = SessionMessage;
    type State = State;
    type Arguments = (SessionKey, Arc<Shared>);

    async fn pre_start(
        &self,
        _: ActorRef<SessionMessage>,
        (key, tenant): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        Ok(State { key, tenant, held: None })
    }

    async fn handle(
        &self,
        _: ActorRef<SessionMessage>,
        message: SessionMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SessionMessage::Check(reply) => match state.check().await {
                Ok(live) if live.session.expires <= state.tenant.node.clock.now() => {
                    state.expire(reply);
                }
                checked => {
                    let _ = reply.send(checked);
                }
            },
            SessionMessage::Change(change, reply) => {
                let tenant = state.tenant.clone();
                ractor::concurrency::spawn(async move {
                    let Change { origin, ticket, command } = *change;
                    let _ = reply.send(tenant.write(origin, ticket, command).await);
                });
            }
        }
        Ok(())
    }
}

impl State {
    /// Invariant: the stamp is read before the lease, and the lease before the records.
    async fn check(&mut self) -> Checked {
        let now = self.tenant.node.clock.now();
        let stamp = self.tenant.node.stamps.user(self.key.tenant, self.key.user);
        let records = self.tenant.shard.read().await?;
        let live = match self.held.take() {
            Some((held, live)) if held == stamp && live.session.expires > now => live,
            _ => load(self.key, &self.tenant, &records)?,
        };
        let live = self.touched(live, now);
        self.held = Some((stamp, live.clone()));
        Ok(live)
    }

    /// Notes a sign of life, written behind when the recorded one is old.
    fn touched(&self, live: Arc<Live>, now: Moment) -> Arc<Live> {
        let recorded = live.session.last_active.min(live.user.profile.last_active);
        if now.since(recorded) < COARSE {
            return live;
        }
        let touch = Touch { user: self.key.user, session: self.key.session, seen: now };
        if !self.tenant.node.touches.note(self.key.tenant, touch) {
            return live;
        }
        let mut touched = Live::clone(&live);
        touched.session.last_active = now;
        touched.user.profile.last_active = now;
        Arc::new(touched)
    }

    /// Invariant: an expiry is committed before it is answered, so that no node thinks otherwise
    /// afterwards.
    fn expire(&self, reply: oneshot::Sender<Checked>) {
        let (key, tenant) = (self.key, self.tenant.clone());
        let expire = Expire { user: key.user, session: key.session };
        ractor::concurrency::spawn(async move {
            let command = Command::Sessions(sessions::Command::Expire(expire));
            let answer = match tenant.write(Origin::default(), None, command).await {
                Ok(Ok(_)) => Refusal::SessionExpired,
                // A refresh was faster and has moved its end.
                Ok(Err(Rejection::Stale)) => {
                    let _ = reply.send(look_again(key, &tenant).await);
                    return;
                }
                Ok(Err(rejection)) => Refusal::from_rejection(rejection, tenant.node.clock.now()),
                Err(refusal) => refusal,
            };
            let _ = reply.send(Err(answer));
        });
    }
}

async fn look_again(key: SessionKey, tenant: &Shared) -> Checked {
    let records = tenant.shard.read().await?;
    load(key, tenant, &records)
}

fn load(key: SessionKey, tenant: &Shared, records: &janua_storage::engine::View) -> Checked {
    let view = tenant.view(records);
    let Some(session) = view.session(key.user, key.session)? else {
        return Err(match view.ended(key.session)?.map(|mark| mark.reason) {
            Some(EndReason::Expired) => Refusal::SessionExpired,
            Some(_) => Refusal::SessionRevoked,
            None => Refusal::InvalidToken,
        });
    };
    let user = view.user(key.user)?.ok_or(Refusal::SessionRevoked)?;
    if user.status == Status::Suspended {
        return Err(Refusal::AccountSuspended);
    }
    Ok(Arc::new(Live { user, session }))
}
