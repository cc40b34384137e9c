//! Which nodes hold which shard: a function of the nodes alone, so that nobody has to decide it. The
//! leader of a shard brings its own group there, one step at a time.

use std::collections::BTreeSet;

use crate::capability::cluster::{Node, NodeState};
use crate::engine::Members;
use crate::ids::ShardId;

/// A replica that is so few entries behind may vote.
const CLOSE: u64 = 512;
/// A replica that is so few entries behind may lead.
const CLOSEST: u64 = 16;

/// Where a shard belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who votes.
    pub voters: BTreeSet<u64>,
    /// Who leads, if it can.
    pub leader: Option<u64>,
    /// Who only follows.
    pub learners: BTreeSet<u64>,
}

/// What a leader does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Everything is in its place.
    Settled,
    /// Nothing can be done before something else has happened.
    Wait,
    /// Let this node follow.
    AddLearner(u64),
    /// Let these vote.
    SetVoters(BTreeSet<u64>),
    /// Let these go.
    RemoveLearners(BTreeSet<u64>),
    /// Let this node lead.
    HandOver(u64),
}

/// Where a shard belongs among these nodes: on as many as it wants, or on all there are, each shard
/// beginning at another one.
pub fn place(nodes: &[Node], shard: ShardId, replicas: usize) -> Place {
    let mut staying: Vec<u64> =
        nodes.iter().filter(|node| node.stays()).map(|node| node.id).collect();
    staying.sort_unstable();
    let count = staying.len();
    let nth = |number: usize| staying[(usize::from(shard.0) + number) % count];
    let voters: BTreeSet<u64> = (0..replicas.min(count)).map(nth).collect();
    let present = nodes.iter().filter(|node| node.state != NodeState::Removed);
    let learners = match shard.0 {
        // Everybody follows the cluster's own records.
        0 => present.map(|node| node.id).filter(|id| !voters.contains(id)).collect(),
        _ => BTreeSet::new(),
    };
    Place { leader: (count > 0).then(|| nth(0)), voters, learners }
}

/// What the leader `me` of a group does to bring it to its place. `answers` tells whether a node is
/// there; `calm`, that leadership has not moved for a while.
pub fn next(
    me: u64,
    members: &Members,
    place: &Place,
    answers: impl Fn(u64) -> bool,
    calm: bool,
) -> Step {
    if place.voters.is_empty() {
        return Step::Settled;
    }
    let wanted: BTreeSet<u64> = place.voters.union(&place.learners).copied().collect();
    let present: BTreeSet<u64> = members.voters.union(&members.learners).copied().collect();
    // A leader does not vote itself out: it hands over first.
    let mut voters = place.voters.clone();
    voters.insert(me);
    if members.changing {
        return Step::SetVoters(voters);
    }
    let mut missing = wanted.difference(&present).copied().peekable();
    if missing.peek().is_some() {
        return missing.find(|id| answers(*id)).map_or(Step::Wait, Step::AddLearner);
    }
    if members.voters != voters {
        let mut new = voters.difference(&members.voters);
        return match new.all(|id| answers(*id) && members.lag(*id) <= CLOSE) {
            true => Step::SetVoters(voters),
            false => Step::Wait,
        };
    }
    let may_lead = |id: u64| id != me && answers(id) && members.lag(id) <= CLOSEST;
    if !place.voters.contains(&me) {
        let heir = place.leader.filter(|id| may_lead(*id));
        let heir = heir.or_else(|| place.voters.iter().copied().find(|id| may_lead(*id)));
        return heir.map_or(Step::Wait, Step::HandOver);
    }
    let extra: BTreeSet<u64> = members.learners.difference(&wanted).copied().collect();
    if !extra.is_empty() {
        return Step::RemoveLearners(extra);
    }
    match place.leader.filter(|leader| *leader != me) {
        None => Step::Settled,
        Some(leader)
            if calm && may_lead(leader) && members.voters.iter().all(|id| answers(*id)) =>
        {
            Step::HandOver(leader)
        }
        Some(_) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::capability::cluster::Version;
    use crate::moment::Moment;

    fn node(id: u64, state: NodeState) -> Node {
        Node {
            id,
            name: format!("node-{id}"),
            http_address: String::new(),
            cluster_address: String::new(),
            state,
            version: Version { protocol: 1, data: 1 },
            incarnation: 1,
            joined: Moment(0),
            ticket: None,
        }
    }

    fn nodes(count: u64) -> Vec<Node> {
        (1..=count).map(|id| node(id, NodeState::Member)).collect()
    }

    fn set(ids: &[u64]) -> BTreeSet<u64> {
        ids.iter().copied().collect()
    }

    #[test]
    fn leaders_and_replicas_are_spread_evenly() {
        let nodes = nodes(5);
        let (mut leads, mut holds) = (BTreeMap::new(), BTreeMap::new());
        for shard in 0..15 {
            let place = place(&nodes, ShardId(shard), 3);
            *leads.entry(place.leader.expect("a leader")).or_insert(0) += 1;
            for voter in &place.voters {
                *holds.entry(*voter).or_insert(0) += 1;
            }
        }
        assert_eq!(leads.into_values().collect::<Vec<_>>(), [3; 5]);
        assert_eq!(holds.into_values().collect::<Vec<_>>(), [9; 5]);
    }

    #[test]
    fn everybody_follows_shard_0_until_it_has_left() {
        let mut nodes = nodes(5);
        nodes[3].state = NodeState::Draining;
        nodes[4].state = NodeState::Removed;
        assert_eq!(place(&nodes, ShardId(0), 3).learners, set(&[4]));
        assert_eq!(place(&nodes, ShardId(1), 3).learners, set(&[]));
    }

    /// Plays the steps of a group until it is settled; who leads then, and who votes.
    fn settle(mut me: u64, voters: &[u64], place: &Place) -> (u64, BTreeSet<u64>) {
        let mut members = Members {
            term: 1,
            voters: set(voters),
            learners: BTreeSet::new(),
            changing: false,
            matched: BTreeMap::new(),
            last: 10,
            applied: 10,
        };
        for _ in 0..20 {
            members.matched = members.voters.union(&members.learners).map(|id| (*id, 10)).collect();
            match next(me, &members, place, |_| true, true) {
                Step::Settled => return (me, members.voters),
                Step::Wait => panic!("nothing to wait for: {members:?}"),
                Step::AddLearner(id) => drop(members.learners.insert(id)),
                Step::SetVoters(voters) => {
                    let all: BTreeSet<u64> =
                        members.voters.union(&members.learners).copied().collect();
                    assert!(voters.is_subset(&all) && voters.contains(&me));
                    members.learners = all.difference(&voters).copied().collect();
                    members.voters = voters;
                }
                Step::RemoveLearners(ids) => members.learners.retain(|id| !ids.contains(id)),
                Step::HandOver(to) => me = to,
            }
        }
        panic!("never settled: {members:?}");
    }

    #[test]
    fn a_group_grows_and_shrinks_step_by_step() {
        let three = place(&nodes(3), ShardId(1), 3);
        assert_eq!(settle(1, &[1], &three), (2, set(&[1, 2, 3])));
        let mut left = nodes(4);
        left[0].state = NodeState::Draining;
        let without_1 = place(&left, ShardId(0), 3);
        assert_eq!(settle(1, &[1, 2, 3], &without_1), (2, set(&[2, 3, 4])));
    }
}
