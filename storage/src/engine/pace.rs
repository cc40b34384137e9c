//! The heart of a node: one task that lets the leaders of all shards beat at the same moments, so
//! that their heartbeats ride together, and that stands for election where a leader has gone.
//! openraft's own ticks are off: they would wake every shard a hundred times a second.
//!
//! Invariant: nothing here shortens a lease. When it has run out, whoever is first in line stands
//! at once if the leader's connection is gone, and after a random wait if it is not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use xxhash_rust::xxh3::xxh3_64;

use super::lease::LEASE;
use super::link::Link;
use super::raft::{ELECTION_MAX, ELECTION_MIN, HEARTBEAT, Types};
use super::shard::{Running, Shard};
use crate::ids::ShardId;

/// Between those who stand for election after a leader whose connection is gone.
const IN_LINE: Duration = Duration::from_millis(40);
/// The longest random wait of one who does not know that the leader is gone.
const RANDOM: Duration = Duration::from_millis(200);
/// Between the first pre-votes, which change nothing: another's lease may end a little later.
const AGAIN: Duration = Duration::from_millis(30);
/// How long an election may take before another one is begun over it. Two candidates that have
/// refused each other's votes, or whose votes were lost, would wait for ever.
const CANDIDACY: Duration = Duration::from_secs(1);
/// How long a shard may keep the others from beating.
const PATIENCE: Duration = Duration::from_millis(20);

/// A heartbeat that comes so much later than it should endangers the leases of this node.
const LATE: Duration = LEASE.saturating_sub(HEARTBEAT);

/// What one shard needs.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    /// Nothing until something changes.
    Rest,
    /// A heartbeat, with all the others.
    Beat,
    /// To stand for election; without a pre-vote where nobody could answer it.
    Stand { pre_vote: bool, candidate_in: Option<u64> },
    /// To be looked at again then.
    Wait(Instant),
}

/// How a shard has stood for election.
struct Stood {
    /// Not to stand again before then.
    until: Instant,
    /// From when on there might be another leader, when it last stood; and how often it has since.
    occasion: (Duration, u32),
    /// The term in which it was last seen to be a candidate, and since when.
    candidacy: (u64, Instant),
}

impl Stood {
    /// How long to wait after another pre-vote of the same occasion.
    fn again(&mut self, free_from: Duration) -> Duration {
        let (occasion, tries) = self.occasion;
        let tries = if occasion == free_from { tries + 1 } else { 0 };
        self.occasion = (free_from, tries);
        (AGAIN * 2_u32.pow(tries.min(8) / 2)).min(RANDOM)
    }

    /// Whether the election in this term has taken too long.
    fn has_failed(&self, candidate_in: Option<u64>) -> bool {
        let (term, since) = self.candidacy;
        candidate_in == Some(term) && since.elapsed() >= CANDIDACY
    }

    /// A candidate is given the time that its votes may take.
    fn note(&mut self, node: u64, shard: &Shard, candidate_in: Option<u64>) {
        let Some(term) = candidate_in.filter(|term| *term != self.candidacy.0) else { return };
        self.candidacy = (term, Instant::now());
        let wait = random(node, shard.id(), shard.pulse.now());
        self.until = Instant::now() + ELECTION_MIN / 2 + wait;
    }
}

/// What keeps the shards of a node alive.
pub struct Pace {
    node: u64,
    shards: Vec<Arc<Shard>>,
    link: Option<Arc<Link>>,
    /// How each shard has stood for election.
    stood: Vec<Stood>,
    next_beat: Instant,
}

impl Pace {
    /// For these shards.
    pub fn new(node: u64, shards: Vec<Arc<Shard>>, link: Option<Arc<Link>>) -> Self {
        // Those that are alone in their group have stood when they were started.
        let until = Instant::now() + ELECTION_MAX;
        let stood = shards
            .iter()
            .map(|_| Stood { until, occasion: (Duration::ZERO, 0), candidacy: (0, until) })
            .collect();
        Self { node, shards, link, stood, next_beat: Instant::now() }
    }

    /// Runs until it is aborted; `changed` tells that shards or connections are not as they were.
    pub async fn keep(mut self, changed: Arc<Notify>) {
        loop {
            let wake = self.beat().await;
            let asleep = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = asleep => {}
                () = changed.notified() => {}
            }
            let late = wake.map_or(Duration::ZERO, |at| at.elapsed());
            if late > LATE {
                tracing::warn!(
                    late_ms = late.as_millis(),
                    "heartbeats are late: the machine is too busy"
                );
                metrics::counter!("janua_raft_late_beats_total").increment(1);
            }
        }
    }

    /// Does what the shards need now, and tells when to look again.
    async fn beat(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let beats = now >= self.next_beat;
        if beats {
            self.next_beat = now + HEARTBEAT;
        }
        let (mut wake, mut work) = (None::<Instant>, Vec::new());
        let mut again = |at: Instant| wake = Some(wake.map_or(at, |wake: Instant| wake.min(at)));
        for (shard, stood) in self.shards.iter().zip(&mut self.stood) {
            let Some(running) = shard.running() else { continue };
            match need(self.node, shard, &running, self.link.as_deref()) {
                Need::Rest => {}
                Need::Beat => {
                    again(self.next_beat);
                    if beats {
                        work.push(act(running, Act::Beat));
                    }
                }
                Need::Stand { pre_vote, candidate_in } => {
                    stood.note(self.node, shard, candidate_in);
                    if now >= stood.until {
                        let wait = match pre_vote {
                            true => stood.again(shard.pulse.free_from()),
                            false => {
                                ELECTION_MIN / 2 + random(self.node, shard.id(), shard.pulse.now())
                            }
                        };
                        stood.until = now + wait;
                        let over_another = stood.has_failed(candidate_in);
                        work.push(act(running, Act::Stand { pre_vote, over_another }));
                    }
                    again(stood.until);
                }
                Need::Wait(at) => again(at),
            }
        }
        join_all(work).await;
        wake
    }
}

/// What a shard is told to do.
enum Act {
    Beat,
    Stand { pre_vote: bool, over_another: bool },
}

/// A shard whose queue is full is busy, and a busy leader is heard of anyway.
async fn act(running: Arc<Running>, act: Act) {
    let trigger = running.raft.trigger();
    let done = async {
        match act {
            Act::Beat => trigger.heartbeat().await,
            Act::Stand { pre_vote: false, .. } => trigger.elect(false).await,
            Act::Stand { over_another: true, .. } => trigger.elect(true).await,
            // Asked in its own queue: an instance that is busy with an election, and perhaps with the
            // disk that has to keep its vote, must not begin another one over it.
            Act::Stand { .. } => {
                match running.raft.with_raft_state(|state| state.server_state).await {
                    Ok(ServerState::Candidate) | Err(_) => Ok(()),
                    Ok(_) => trigger.elect(true).await,
                }
            }
        }
    };
    // An instance that has ended shows in its metrics.
    drop(timeout(PATIENCE, done).await);
}

fn need(node: u64, shard: &Shard, running: &Running, link: Option<&Link>) -> Need {
    if running.metrics.borrow_watched().running_state.is_err() {
        return Need::Rest;
    }
    // What wakes this task is told of by the same channel: the other one may be a little behind.
    let metrics = running.standing.borrow_watched();
    if metrics.state == ServerState::Leader {
        let alone = metrics.membership_config.nodes().count() == 1;
        return if alone { Need::Rest } else { Need::Beat };
    }
    let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
    if !voters.contains(&node) {
        return Need::Rest;
    }
    if shard.core.log.lacks_what_it_held() {
        return Need::Wait(Instant::now() + ELECTION_MAX);
    }
    if link.is_some_and(Link::is_astray) {
        return Need::Wait(Instant::now() + ELECTION_MAX);
    }
    let candidate_in =
        (metrics.state == ServerState::Candidate).then_some(metrics.vote.leader_id.term);
    if voters.len() == 1 {
        return Need::Stand { pre_vote: false, candidate_in };
    }
    let wait = wait(node, shard, &metrics, &voters, link);
    let at = shard.pulse.instant(shard.pulse.free_from() + wait);
    match Instant::now() >= at {
        true => Need::Stand { pre_vote: true, candidate_in },
        false => Need::Wait(at),
    }
}

/// How long this node waits beyond the lease.
fn wait(
    node: u64,
    shard: &Shard,
    metrics: &RaftServerMetrics<Types>,
    voters: &BTreeSet<u64>,
    link: Option<&Link>,
) -> Duration {
    let is_up = |other: u64| link.is_some_and(|link| link.is_up(other));
    let heard = shard.pulse.last_heard();
    let is_gone = |leader: u64| link.is_none_or(|link| link.is_lost_since(leader, heard));
    match metrics.current_leader {
        Some(leader) if leader != node && is_gone(leader) => {
            let others = voters.iter().copied().filter(|other| *other != leader);
            IN_LINE * place_in_line(node, shard.id(), others, is_up)
        }
        _ => random(node, shard.id(), shard.pulse.free_from()),
    }
}

/// How many are to stand before this node. Each shard has another order, so that a node that is
/// gone leaves its shards to all the others.
fn place_in_line(
    node: u64,
    shard: ShardId,
    voters: impl Iterator<Item = u64>,
    is_up: impl Fn(u64) -> bool,
) -> u32 {
    let order = |voter: u64| {
        (xxh3_64(&[voter.to_be_bytes(), u64::from(shard.0).to_be_bytes()].concat()), voter)
    };
    let before = voters.filter(|other| order(*other) < order(node) && is_up(*other));
    u32::try_from(before.count()).unwrap_or(u32::MAX)
}

/// The same for the same occasion, and different on every node.
fn random(node: u64, shard: ShardId, occasion: Duration) -> Duration {
    let occasion = u64::try_from(occasion.as_millis()).unwrap_or(u64::MAX);
    let parts = [node, u64::from(shard.0), occasion].map(u64::to_be_bytes).concat();
    RANDOM.mul_f64((xxh3_64(&parts) % 1024) as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stood() -> Stood {
        let now = Instant::now();
        Stood { until: now, occasion: (Duration::ZERO, 0), candidacy: (7, now) }
    }

    #[tokio::test(start_paused = true)]
    async fn an_election_that_nobody_wins_is_begun_again() {
        let stood = stood();
        assert!(!stood.has_failed(Some(7)));
        tokio::time::advance(CANDIDACY).await;
        assert!(stood.has_failed(Some(7)));
        assert!(!stood.has_failed(Some(8)), "another election has begun");
        assert!(!stood.has_failed(None));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_asks_again_soon_and_then_less_often() {
        let mut stood = stood();
        let free_from = Duration::from_secs(1);
        let waits: Vec<_> = (0..10).map(|_| stood.again(free_from)).collect();
        assert_eq!(waits[..2], [AGAIN, AGAIN]);
        assert!(waits.is_sorted() && waits[9] == RANDOM, "{waits:?}");
        assert_eq!(stood.again(free_from + AGAIN), AGAIN, "another leader has come and gone");
    }
}
