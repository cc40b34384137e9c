//! What the demo knows and shows. `view` draws it, a line of JSON is it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::tally::Counts;

/// How many seconds the view looks back.
pub const REMEMBERED: usize = 120;

/// Everything that is shown.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// How far the demo is.
    pub phase: Phase,
    /// How long people have been at work, in seconds.
    pub seconds: u64,
    /// The nodes, in the order of their names.
    pub nodes: Vec<NodeState>,
    /// Who leads each shard, as a place among the nodes; none when nobody says that it does. JSON
    /// has the numbers that are in the nodes' names.
    #[serde(serialize_with = "numbers")]
    pub leaders: Vec<Option<usize>>,
    /// Requests that were answered in the last second.
    pub requests_per_second: u64,
    /// The same of the seconds before it, oldest first.
    #[serde(skip)]
    pub history: VecDeque<u64>,
    /// How many times a node was killed.
    pub kills: u64,
    /// What people have counted.
    #[serde(flatten)]
    pub counts: Counts,
    /// Which node the keys are about.
    #[serde(skip)]
    pub chosen: usize,
}

/// How far the demo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The nodes become a cluster.
    Starting,
    /// People are at work.
    Working,
    /// All nodes are back; what has not been checked yet is checked.
    Checking,
    /// It is over.
    Ended,
}

/// One node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeState {
    /// As `node.name`.
    pub name: String,
    /// Where clients reach it.
    pub address: SocketAddr,
    /// What it is at.
    pub condition: Condition,
}

/// What a node is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// It runs, and is not ready to answer, or no longer.
    Unready,
    /// It answers.
    Serving,
    /// It stands still, and others cannot tell it from one that is slow.
    Stopped,
    /// It was killed.
    Killed,
    /// It has ended by itself, which none should.
    Ended,
}

impl State {
    /// The state before anything has happened.
    pub fn new(nodes: Vec<NodeState>) -> Self {
        Self {
            phase: Phase::Starting,
            seconds: 0,
            nodes,
            leaders: Vec::new(),
            requests_per_second: 0,
            history: VecDeque::new(),
            kills: 0,
            counts: Counts::default(),
            chosen: 0,
        }
    }

    /// Takes the counts of another second.
    pub fn counted(&mut self, counts: Counts) {
        self.requests_per_second = counts.answered - self.counts.answered;
        self.counts = counts;
        self.history.push_back(self.requests_per_second);
        if self.history.len() > REMEMBERED {
            self.history.pop_front();
        }
    }

    /// The shards that a node leads.
    pub fn leads(&self, node: usize) -> impl Iterator<Item = usize> {
        let led = self.leaders.iter().enumerate();
        led.filter(move |(_, leader)| **leader == Some(node)).map(|(shard, _)| shard)
    }

    /// Whether every node answers.
    pub fn all_serve(&self) -> bool {
        self.nodes.iter().all(|node| node.condition == Condition::Serving)
    }

    /// What the demo came to, on one line.
    pub fn summary(&self) -> String {
        let Counts { acknowledged, checked, lost, .. } = &self.counts;
        format!(
            "{acknowledged} writes acknowledged, {checked} checked at another node, {lost} lost; \
             nodes killed: {}",
            self.kills
        )
    }
}

fn numbers<S: Serializer>(places: &[Option<usize>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(places.iter().map(|place| place.map(|place| place + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_the_requests_that_came_in_it() {
        let mut state = State::new(Vec::new());
        for answered in [5, 12] {
            state.counted(Counts { answered, ..Counts::default() });
        }
        assert_eq!((state.requests_per_second, state.history), (7, [5, 7].into()));
    }
}
