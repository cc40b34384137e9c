//! Trouble by itself: one node after the other is killed, and started again halfway to the next.

use std::time::{Duration, Instant};

/// What to do to which node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// Kill it.
    Kill(usize),
    /// Start it again.
    Revive(usize),
}

/// When trouble strikes next, and whom.
#[derive(Debug)]
pub struct Strikes {
    half: Duration,
    at: Instant,
    next: usize,
}

impl Strikes {
    /// Strikes every so often from now on.
    pub fn new(every: Duration, now: Instant) -> Self {
        Self { half: every / 2, at: now + every / 2, next: 0 }
    }

    /// What is to be done now, if anything: `down` has no process, `all_serve` tells that every node
    /// answers. At most one is down, so the others are a quorum.
    pub fn due(
        &mut self,
        now: Instant,
        nodes: usize,
        down: Option<usize>,
        all_serve: bool,
    ) -> Option<Strike> {
        if now < self.at {
            return None;
        }
        self.at = now + self.half;
        match down {
            Some(node) => Some(Strike::Revive(node)),
            None if all_serve => {
                let node = self.next % nodes;
                self.next = node + 1;
                Some(Strike::Kill(node))
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_after_the_other_is_killed_and_revived_before_the_next() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut strikes = Strikes::new(Duration::from_secs(2), start);
        assert_eq!(strikes.due(start, 3, None, true), None);
        assert_eq!(strikes.due(at(1), 3, None, true), Some(Strike::Kill(0)));
        assert_eq!(strikes.due(at(1), 3, Some(0), false), None);
        assert_eq!(strikes.due(at(2), 3, Some(0), false), Some(Strike::Revive(0)));
        assert_eq!(strikes.due(at(3), 3, None, false), None, "it is not back yet");
        let kills = (4..7).map(|second| strikes.due(at(second), 3, None, true));
        let kills: Vec<_> = kills.flatten().collect();
        assert_eq!(kills, [Strike::Kill(1), Strike::Kill(2), Strike::Kill(0)]);
    }
}
