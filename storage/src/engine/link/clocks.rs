//! Whether this node's clock goes with those of the others, as their pings tell.
//!
//! Decision: a node whose clock is more than a second from the middle of a quorum's does not lead, since
//! the leader's clock is the time that is written down. On two nodes that disagree nobody can tell
//! who is right, and both may.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::moment::Moment;

/// How far a clock may be from the others.
const TOLERANCE_MS: u64 = 1_000;
/// What was heard longer ago says nothing.
const FRESH: Duration = Duration::from_secs(2);

/// Tells the time of day.
pub type Tell = Arc<dyn Fn() -> Moment + Send + Sync>;

/// The clocks of the nodes.
#[derive(Default)]
pub struct Clocks {
    own: OnceLock<Tell>,
    /// How many milliseconds each is ahead of this node's, and when that was heard.
    ahead: Mutex<BTreeMap<u64, (i64, Instant)>>,
    astray: AtomicBool,
}

impl Clocks {
    /// This node's clock.
    pub fn go_by(&self, own: Tell) {
        self.own.set(own).ok();
    }

    /// The time of day, if there is a clock.
    pub fn now(&self) -> Option<Moment> {
        self.own.get().map(|own| own())
    }

    /// Another of so many nodes says what time it is. Whether that has changed what `are_apart` says.
    pub fn hear(&self, node: u64, theirs: Option<Moment>, nodes: usize) -> bool {
        let (Some(theirs), Some(ours)) = (theirs, self.now()) else { return false };
        let mut ahead = self.ahead.lock();
        ahead.insert(
            node,
            (theirs.0.cast_signed().wrapping_sub(ours.0.cast_signed()), Instant::now()),
        );
        ahead.retain(|_, (_, heard)| heard.elapsed() < FRESH);
        let others = ahead.values().map(|(ahead, _)| *ahead);
        let Some(middle) = middle(others.collect(), nodes) else { return false };
        let astray = middle.unsigned_abs() > TOLERANCE_MS;
        if self.astray.swap(astray, Ordering::Relaxed) == astray {
            return false;
        }
        match astray {
            true => tracing::error!(
                behind_ms = middle,
                "this node's clock does not go with the others': it leads nothing until it does"
            ),
            false => tracing::info!("this node's clock goes with the others' again"),
        }
        true
    }

    /// Whether this node's clock does not go with the others'.
    pub fn are_apart(&self) -> bool {
        self.astray.load(Ordering::Relaxed)
    }
}

/// By how much the middle of the clocks that were heard is ahead of this node's, which is one of them;
/// of two in the middle, the one that is nearer. Nothing if they are no quorum.
fn middle(mut ahead: Vec<i64>, nodes: usize) -> Option<i64> {
    ahead.push(0);
    if 2 * ahead.len() <= nodes {
        return None;
    }
    ahead.sort_unstable();
    let (lower, upper) = (ahead[(ahead.len() - 1) / 2], ahead[ahead.len() / 2]);
    Some(if lower.abs() <= upper.abs() { lower } else { upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_quorum_is_right() {
        assert_eq!(middle(vec![5_000, 5_010], 3), Some(5_000));
        assert_eq!(middle(vec![5_000, 20], 3), Some(20));
        assert_eq!(middle(vec![-90_000, -4], 3), Some(-4));
        assert_eq!(middle(vec![5_000], 3), Some(0));
        assert_eq!(middle(vec![5_000, 5_000, 5_000], 4), Some(5_000));
        assert_eq!(middle(vec![5_000], 4), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_right_is_believed_again() {
        let clocks = Clocks::default();
        clocks.go_by(Arc::new(|| Moment(100_000)));
        for node in [2, 3] {
            clocks.hear(node, Some(Moment(103_000)), 3);
        }
        assert!(clocks.are_apart());
        clocks.hear(2, Some(Moment(100_900)), 3);
        assert!(!clocks.are_apart());
    }
}
