//! The lease: whether a leader may answer a read without asking anyone.
//!
//! Invariant: the clock is read after the request arrived. A read is answered only by the leader
//! of the present term, once that term's first entry has been applied (with it, everything that
//! earlier terms acknowledged), and before any other node could have been elected.

use std::time::Duration;

use openraft::async_runtime::Instant as _;
use openraft::{RaftMetrics, ServerState, TokioInstant};

use super::raft::{ELECTION_MIN, Types};
use super::suspend::has_slept_since;

/// How long after a quorum was last heard of a leader answers by itself.
///
/// Decision: openraft's voters refuse to elect another for `ELECTION_MAX` after they heard the
/// leader. Stopping at nine tenths of `ELECTION_MIN`, three quarters of that, leaves far more than
/// clocks can drift apart meanwhile.
pub const LEASE: Duration = Duration::from_millis(ELECTION_MIN.as_millis() as u64 * 9 / 10);

/// Whether this node leads its term and has caught up with all that came before.
pub fn leads(metrics: &RaftMetrics<Types>) -> bool {
    metrics.running_state.is_ok()
        && metrics.state == ServerState::Leader
        && metrics
            .last_applied
            .is_some_and(|applied| applied.leader_id.term == metrics.current_term)
}

/// Whether a read may be answered now.
pub fn holds(metrics: &RaftMetrics<Types>) -> bool {
    leads(metrics) && is_voter(metrics) && within(metrics, LEASE)
}

/// Decision: a leader that is being let go has no lease. Whoever remains may be alone in the group,
/// and then leads at once, whatever it has promised the one that goes.
fn is_voter(metrics: &RaftMetrics<Types>) -> bool {
    let groups = metrics.membership_config.get_joint_config();
    groups.iter().all(|voters| voters.contains(&metrics.id))
}

/// Whether a quorum was heard of within this time, or nobody needs to be.
pub fn within(metrics: &RaftMetrics<Types>, time: Duration) -> bool {
    is_lone_voter(metrics) || is_fresh(metrics, TokioInstant::now(), time)
}

/// A voter that is alone in its group needs nobody's word. While another one is being added, both
/// the old and the new members must agree, so its own vote is needed for as long as this is true.
fn is_lone_voter(metrics: &RaftMetrics<Types>) -> bool {
    match metrics.membership_config.get_joint_config().as_slice() {
        [voters] => voters.len() == 1 && voters.contains(&metrics.id),
        _ => false,
    }
}

fn is_fresh(metrics: &RaftMetrics<Types>, now: TokioInstant, time: Duration) -> bool {
    let acked = metrics.last_quorum_acked.as_ref();
    acked.is_some_and(|acked| now < **acked + time && !has_slept_since(**acked))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use openraft::metrics::SerdeInstant;

    use super::*;
    use crate::engine::raft::{LogId, Membership};

    /// A leader of these voters in term 3, which has applied an entry of `applied_term`.
    fn leader(voters: &[u64], applied_term: u64) -> RaftMetrics<Types> {
        let voters: BTreeSet<u64> = voters.iter().copied().collect();
        let members = openraft::Membership::new_with_defaults(vec![voters], []);
        RaftMetrics {
            current_term: 3,
            state: ServerState::Leader,
            last_applied: Some(LogId::new(applied_term.into(), 7)),
            membership_config: Arc::new(Membership::new(None, members)),
            ..RaftMetrics::new_initial(1)
        }
    }

    fn heard(before: Duration, mut metrics: RaftMetrics<Types>) -> RaftMetrics<Types> {
        metrics.last_quorum_acked = Some(SerdeInstant::new(TokioInstant::now() - before));
        metrics
    }

    #[test]
    fn a_lone_voter_needs_nobody() {
        assert!(holds(&leader(&[1], 3)));
        assert!(!holds(&leader(&[2], 3)));
    }

    #[test]
    fn a_lease_lasts_as_long_as_a_quorum_was_heard() {
        let group = || leader(&[1, 2, 3], 3);
        assert!(!holds(&group()));
        assert!(holds(&heard(LEASE / 2, group())));
        assert!(!holds(&heard(LEASE, group())));
    }

    #[test]
    fn a_leader_that_is_let_go_has_no_lease() {
        assert!(!holds(&heard(Duration::ZERO, leader(&[2], 3))));
        assert!(!holds(&heard(Duration::ZERO, leader(&[2, 3], 3))));
    }

    #[test]
    fn a_leader_that_has_not_caught_up_answers_nothing() {
        assert!(!holds(&leader(&[1], 2)));
        assert!(!holds(&heard(Duration::ZERO, leader(&[1, 2, 3], 2))));
    }

    #[test]
    fn only_the_leader_answers() {
        for state in [ServerState::Follower, ServerState::Candidate, ServerState::Learner] {
            let metrics = RaftMetrics { state, ..leader(&[1], 3) };
            assert!(!holds(&metrics));
        }
    }
}
