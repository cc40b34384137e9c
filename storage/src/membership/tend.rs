//! One task a shard. Where this node leads the shard, it brings the group to its place, a step at a
//! time; where it was let go of, it gives up what it still holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep};

use super::Inner;
use super::control::{Ask, Told};
use super::keep::{NOW_AND_THEN, SOON};
use super::placement::{self, Place, Sight, Step};
use crate::capability::cluster::Node;
use crate::engine::{Members, Shard, Unavailable};
use crate::ids::ShardId;

/// How soon to look again when something else has to happen first.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often it is looked whether a replica was let go.
const STRAY: Duration = Duration::from_secs(2);
/// Leadership is moved only where it has stayed for so long.
const CALM: Duration = Duration::from_secs(2);
/// After a node has not taken over, it is not asked to again for so long; twice as long each time.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(8));

/// What is known of a group that this node leads.
struct Led {
    term: u64,
    since: Instant,
    /// Who has not taken over, how long not to ask it again, and since when.
    failed: BTreeMap<u64, (Duration, Instant)>,
}

/// Runs until it is aborted.
pub async fn tend(inner: Arc<Inner>, shard: Arc<Shard>) {
    let (mut nodes, mut hurry) = (inner.known.subscribe(), inner.hurry.subscribe());
    let mut replicas = inner.replicas.subscribe();
    let (mut leadership, mut moves) = (shard.leadership(), inner.link.moves());
    let mut led = None;
    loop {
        let in_a_hurry = hurry.has_changed().unwrap_or(false);
        hurry.mark_unchanged();
        leadership.mark_unchanged();
        moves.mark_unchanged();
        replicas.mark_unchanged();
        let known = nodes.borrow_and_update().clone().unwrap_or_default();
        let wait = inner.look_after(&shard, &known, &mut led, in_a_hurry).await;
        tokio::select! {
            // The senders live as long as this task.
            _ = nodes.changed() => {}
            _ = moves.changed() => {}
            _ = replicas.changed() => {}
            _ = hurry.changed() => hurry.mark_changed(),
            changed = leadership.changed() => if changed.is_err() { return },
            () = sleep(wait) => {}
        }
    }
}

impl Inner {
    /// Does what is to be done now with a shard, and tells when to look again.
    async fn look_after(
        self: &Arc<Self>,
        shard: &Shard,
        nodes: &[Node],
        led: &mut Option<Led>,
        in_a_hurry: bool,
    ) -> Duration {
        let replicas = *self.replicas.borrow();
        let place = placement::place(nodes, shard.id(), replicas);
        let placed = place.voters.is_empty() || place.holds(self.me());
        shard.belongs_here(placed);
        let Some(members) = shard.members() else {
            *led = None;
            if placed {
                return NOW_AND_THEN;
            }
            self.shed(shard).await;
            return STRAY;
        };
        let anew = || Led { term: members.term, since: Instant::now(), failed: BTreeMap::new() };
        let led = led.get_or_insert_with(anew);
        if led.term != members.term {
            *led = anew();
        }
        let calm = in_a_hurry || led.since.elapsed() >= CALM;
        self.step(shard, &members, &place, led, calm).await
    }

    async fn step(
        &self,
        shard: &Shard,
        members: &Members,
        place: &Place,
        led: &mut Led,
        calm: bool,
    ) -> Duration {
        let step = {
            let failed =
                |node| led.failed.get(&node).is_some_and(|(wait, at)| at.elapsed() < *wait);
            let sight = Sight {
                answers: &|node| self.link.can_take_over(node),
                can_lead: &|node| shard.is_heard_by(node) && !failed(node),
                calm,
                unfit: self.link.is_astray(),
            };
            placement::next(self.me(), members, place, &sight)
        };
        match step {
            Step::Settled => return NOW_AND_THEN,
            Step::Wait => return PATIENCE,
            _ => {}
        }
        tracing::debug!(shard = shard.id().0, ?step, ?members, "a group is not in its place");
        let heir = if let Step::HandOver(heir) = step { Some(heir) } else { None };
        if let Err(problem) = take(shard, step).await {
            tracing::warn!(shard = shard.id().0, %problem, "a group could not be changed");
            if let Some(heir) = heir {
                let (wait, _) =
                    led.failed.get(&heir).copied().unwrap_or((BACKOFF.0 / 2, led.since));
                led.failed.insert(heir, ((wait * 2).min(BACKOFF.1), Instant::now()));
            }
            return PATIENCE;
        }
        SOON
    }

    /// Gives up a replica that the group has let go.
    async fn shed(self: &Arc<Self>, shard: &Shard) {
        let id = shard.id();
        if shard.is_stray() && self.was_let_go(id).await {
            let inner = self.clone();
            shard.let_go(async move { inner.was_let_go(id).await }.boxed()).await;
        }
    }

    /// Whether the leader of a shard says that it has let this node go.
    async fn was_let_go(&self, shard: ShardId) -> bool {
        let Some((_, leader)) = self.link.leader_of(shard) else { return false };
        matches!(self.ask(leader, &Ask::HasLetGo(shard)).await, Some(Told::LetGo(true)))
    }
}

async fn take(shard: &Shard, step: Step) -> Result<(), Unavailable> {
    match step {
        Step::Settled | Step::Wait => Ok(()),
        Step::AddLearner(node) => shard.add_learner(node).await,
        Step::SetVoters(voters) => shard.set_voters(voters).await,
        Step::RemoveLearners(nodes) => shard.remove_learners(nodes).await,
        Step::HandOver(to) => shard.hand_over(to).await,
    }
}
