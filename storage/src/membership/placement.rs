//! Which nodes hold which shard: a function of the nodes alone, so that nobody has to decide it. The
//! leader of a shard brings its own group there, one step at a time.

use std::collections::BTreeSet;

use crate::capability::cluster::{Node, NodeState};
use crate::engine::Members;
use crate::ids::ShardId;

/// A replica that is so few entries behind may vote, and lead.
const CLOSE: u64 = 512;

/// Where a shard belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who votes.
    pub voters: BTreeSet<u64>,
    /// Who leads, if it can.
    pub leader: Option<u64>,
    /// Who only follows.
    pub learners: BTreeSet<u64>,
    /// Who may go on voting for as long as one of the voters is not to be had.
    pub staying: BTreeSet<u64>,
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

/// What the leader of a group knows of the other nodes.
pub struct Sight<'a> {
    /// Whether a node is there.
    pub answers: &'a dyn Fn(u64) -> bool,
    /// Whether its replica could lead: it runs, and has not failed to take over just now.
    pub can_lead: &'a dyn Fn(u64) -> bool,
    /// Whether leadership has not moved for a while.
    pub calm: bool,
    /// Whether this node must not lead.
    pub unfit: bool,
}

impl Place {
    /// Whether a node has a replica.
    pub fn holds(&self, node: u64) -> bool {
        self.voters.contains(&node) || self.learners.contains(&node)
    }
}

/// Where a shard belongs among these nodes: on as many as it wants, or on all there are, each shard
/// beginning at another one. A node that was never seen with its number gets nothing yet.
pub fn place(nodes: &[Node], shard: ShardId, replicas: usize) -> Place {
    let in_state = |state: NodeState| move |node: &&Node| node.state == state;
    let members = nodes.iter().filter(in_state(NodeState::Member));
    let mut staying: Vec<u64> = members.map(|node| node.id).collect();
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
    let leader = (count > 0).then(|| nth(0));
    Place { leader, voters, learners, staying: staying.into_iter().collect() }
}

/// What the leader `me` of a group does to bring it to its place. A node that is not to be had holds up
/// nothing but its own coming.
pub fn next(me: u64, members: &Members, place: &Place, sight: &Sight<'_>) -> Step {
    if place.voters.is_empty() {
        return Step::Settled;
    }
    // What was begun is finished first, whatever has become of the place meanwhile.
    if let Some(next) = &members.changing {
        return Step::SetVoters(next.clone());
    }
    let may_lead = |id: &u64| {
        *id != me && (sight.answers)(*id) && (sight.can_lead)(*id) && members.lag(*id) <= CLOSE
    };
    // A change that another leader began has let this one go. It changes nothing more.
    if !members.voters.contains(&me) {
        let heir = members.voters.iter().find(|id| may_lead(id));
        return heir.map_or(Step::Wait, |heir| Step::HandOver(*heir));
    }
    let wanted: BTreeSet<u64> = place.voters.union(&place.learners).copied().collect();
    let present: BTreeSet<u64> = members.voters.union(&members.learners).copied().collect();
    let missing: BTreeSet<u64> = wanted.difference(&present).copied().collect();
    if let Some(new) = missing.iter().find(|id| (sight.answers)(**id)) {
        return Step::AddLearner(*new);
    }
    let voters = voters(me, members, place, sight);
    if members.voters != voters {
        return match is_safe(me, &voters, sight) {
            true => Step::SetVoters(voters),
            false => Step::Wait,
        };
    }
    if sight.unfit || !place.voters.contains(&me) {
        let heirs = place.leader.iter().chain(&place.voters);
        // One that must go itself takes whoever stays.
        let others = if place.staying.contains(&me) { None } else { Some(&place.staying) };
        let others = others.into_iter().flatten();
        let mut heirs = heirs.chain(others).filter(|id| members.voters.contains(id));
        if let Some(heir) = heirs.find(|id| may_lead(id)) {
            return Step::HandOver(*heir);
        }
    }
    let extra: BTreeSet<u64> = members.learners.difference(&wanted).copied().collect();
    if !extra.is_empty() {
        return Step::RemoveLearners(extra);
    }
    let settled = missing.is_empty() && voters == place.voters;
    match place.leader.filter(|leader| *leader != me) {
        None if settled => Step::Settled,
        Some(leader)
            if sight.calm
                && may_lead(&leader)
                && members.voters.iter().all(|id| (sight.answers)(*id)) =>
        {
            Step::HandOver(leader)
        }
        _ => Step::Wait,
    }
}

/// Who is to vote now: whom the place wants, as far as they are there and have caught up; for those
/// who are not, others that vote already and stay; and the leader, who does not vote itself out.
fn voters(me: u64, members: &Members, place: &Place, sight: &Sight<'_>) -> BTreeSet<u64> {
    let is_ready =
        |id: &u64| members.voters.contains(id) || (sight.answers)(*id) && members.lag(*id) <= CLOSE;
    let mut voters: BTreeSet<u64> = place.voters.iter().copied().filter(is_ready).collect();
    let lacking = place.voters.len() - voters.len();
    let others = members.voters.intersection(&place.staying).filter(|id| !voters.contains(id));
    let others: Vec<u64> = others.copied().take(lacking).collect();
    voters.extend(others);
    voters.insert(me);
    voters
}

/// Whether these could decide without anybody else.
fn is_safe(me: u64, voters: &BTreeSet<u64>, sight: &Sight<'_>) -> bool {
    let there = voters.iter().filter(|id| **id == me || (sight.answers)(**id)).count();
    2 * there > voters.len()
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

    /// Those that answer can lead, and all is calm.
    fn all_there(answers: &dyn Fn(u64) -> bool) -> Sight<'_> {
        Sight { answers, can_lead: answers, calm: true, unfit: false }
    }

    /// A group that has caught up.
    fn group(voters: &[u64], learners: &[u64]) -> Members {
        Members {
            term: 1,
            voters: set(voters),
            learners: set(learners),
            changing: None,
            matched: voters.iter().chain(learners).map(|id| (*id, 10)).collect(),
            last: 10,
            applied: 10,
        }
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
        let mut members = group(voters, &[]);
        for _ in 0..20 {
            members.matched = members.voters.union(&members.learners).map(|id| (*id, 10)).collect();
            match next(me, &members, place, &all_there(&|_| true)) {
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
    fn a_change_that_was_interrupted_is_finished_before_another_begins() {
        let members = Members { changing: Some(set(&[1, 2])), ..group(&[1, 2], &[]) };
        let place = place(&nodes(3), ShardId(2), 3);
        let step = next(1, &members, &place, &all_there(&|_| true));
        assert_eq!(step, Step::SetVoters(set(&[1, 2])));
        let members = Members { changing: None, ..members };
        let step = next(1, &members, &place, &all_there(&|_| true));
        assert_eq!(step, Step::AddLearner(3));
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

    #[test]
    fn a_group_follows_the_number_of_replicas() {
        let nodes = nodes(5);
        let of = |replicas| place(&nodes, ShardId(1), replicas);
        assert_eq!(settle(2, &[2], &of(3)), (2, set(&[2, 3, 4])));
        assert_eq!(settle(2, &[2, 3, 4], &of(5)), (2, set(&[1, 2, 3, 4, 5])));
        assert_eq!(settle(4, &[1, 2, 3, 4, 5], &of(1)), (2, set(&[2])));
    }

    #[test]
    fn a_leader_that_was_let_go_hands_over_and_changes_nothing() {
        let place = place(&nodes(3), ShardId(2), 3);
        let (all, only_2, nobody) = (|_| true, |id| id == 2, |_| false);
        let sight = Sight { can_lead: &only_2, ..all_there(&all) };
        assert_eq!(next(3, &group(&[1, 2], &[3]), &place, &sight), Step::HandOver(2));
        let sight = Sight { can_lead: &nobody, ..all_there(&all) };
        assert_eq!(next(3, &group(&[1, 2], &[3]), &place, &sight), Step::Wait);
    }

    #[test]
    fn a_node_that_leaves_waits_for_nobody_who_is_not_there() {
        let mut nodes = nodes(4);
        nodes[0].state = NodeState::Draining;
        let place = place(&nodes, ShardId(1), 3);
        assert_eq!(place.voters, set(&[2, 3, 4]));
        let without_4 = |id| id != 4;
        let sight = all_there(&without_4);
        let step = next(2, &group(&[1, 2, 3], &[]), &place, &sight);
        assert_eq!(step, Step::SetVoters(set(&[2, 3])));
        let step = next(1, &group(&[1, 2, 3], &[]), &place, &sight);
        assert_eq!(step, Step::HandOver(3));
        // It is not yet in its place, but whoever is let go is let go.
        let step = next(2, &group(&[2, 3], &[1]), &place, &sight);
        assert_eq!(step, Step::RemoveLearners(set(&[1])));
        assert_eq!(next(2, &group(&[2, 3], &[]), &place, &sight), Step::HandOver(3));
        assert_eq!(next(3, &group(&[2, 3], &[]), &place, &sight), Step::Wait);
    }

    #[test]
    fn whoever_would_leave_a_minority_behind_stays() {
        let mut nodes = nodes(3);
        nodes[0].state = NodeState::Draining;
        let place = place(&nodes, ShardId(0), 3);
        let alone = |_| false;
        let step = next(1, &group(&[1, 2, 3], &[]), &place, &all_there(&alone));
        assert_eq!(step, Step::Wait);
        let step = next(2, &group(&[1, 2, 3], &[]), &place, &all_there(&alone));
        assert_eq!(step, Step::Wait);
    }

    #[test]
    fn a_replica_that_stays_votes_until_the_one_that_takes_its_place_is_there() {
        let place = place(&nodes(4), ShardId(2), 3);
        assert_eq!(place.voters, set(&[1, 3, 4]));
        let without_4 = |id| id != 4;
        let step = next(3, &group(&[1, 2, 3], &[]), &place, &all_there(&without_4));
        assert_eq!(step, Step::Wait);
        let step = next(3, &group(&[1, 2, 3], &[4]), &place, &all_there(&|_| true));
        assert_eq!(step, Step::SetVoters(set(&[1, 3, 4])));
    }

    #[test]
    fn leadership_goes_to_nobody_whose_replica_does_not_run() {
        let place = place(&nodes(3), ShardId(1), 3);
        let sight = Sight { can_lead: &|id| id != 2, ..all_there(&|_| true) };
        assert_eq!(next(1, &group(&[1, 2, 3], &[]), &place, &sight), Step::Wait);
        let sight = all_there(&|_| true);
        assert_eq!(next(1, &group(&[1, 2, 3], &[]), &place, &sight), Step::HandOver(2));
    }

    #[test]
    fn a_node_that_was_never_seen_has_no_place() {
        let mut nodes = nodes(4);
        nodes[3].state = NodeState::Joining;
        assert_eq!(place(&nodes, ShardId(2), 3).voters, set(&[1, 2, 3]));
        assert!(place(&nodes, ShardId(0), 3).holds(4));
    }

    #[test]
    fn whoever_must_not_lead_hands_over_at_once() {
        let place = place(&nodes(3), ShardId(0), 3);
        assert_eq!(place.leader, Some(1));
        let sight = Sight { calm: false, unfit: true, ..all_there(&|_| true) };
        assert_eq!(next(1, &group(&[1, 2, 3], &[]), &place, &sight), Step::HandOver(2));
    }
}
