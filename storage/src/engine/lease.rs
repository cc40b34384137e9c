//! The lease: whether a leader may answer a read without asking anyone.
//!
//! Invariant: the clock is read after the request arrived. A read is answered only by the leader
//! of the present term, once that term's first entry has been applied (with it, everything that
//! earlier terms acknowledged), and before any other node could have been elected.

use std::time::Duration;

use openraft::async_runtime::Instant as _;
use openraft::{RaftMetrics, ServerState, TokioInstant};

use super::raft::{ELECTION_MIN, Types};

/// How long after a quorum was last heard of a leader answers by itself.
///
/// Decision: openraft's voters refuse to elect another for `ELECTION_MAX` after they heard the
/// leader. Stopping at nine tenths of `ELECTION_MIN`, less than half of that, leaves far more than
/// clocks can drift apart meanwhile.
pub const LEASE: Duration = ELECTION_MIN
    .checked_sub(ELECTION_MIN.checked_div(10).expect("ten is not zero"))
    .expect("a tenth is less than the whole");

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
    leads(metrics) && (is_lone_voter(metrics) || is_fresh(metrics, TokioInstant::now()))
}

/// A voter that is alone in its group needs nobody's word. While another one is being added, both
/// the old and the new members must agree, so its own vote is needed for as long as this is true.
fn is_lone_voter(metrics: &RaftMetrics<Types>) -> bool {
    match metrics.membership_config.get_joint_config().as_slice() {
        [voters] => voters.len() == 1 && voters.contains(&metrics.id),
        _ => false,
    }
}

fn is_fresh(metrics: &RaftMetrics<Types>, now: TokioInstant) -> bool {
    metrics.last_quorum_acked.as_ref().is_some_and(|acked| now < **acked + LEASE)
}
