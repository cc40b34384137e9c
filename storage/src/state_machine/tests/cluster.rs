//! What the nodes agree on, and who may take part by it.

use super::*;
use crate::capability::cluster::{self, Agree, Announce, Join, Replicate, Version};

impl World {
    fn decide(&mut self, command: cluster::Command) -> Outcome {
        self.propose_for(TenantNumber::CLUSTER, Command::Cluster(command))
    }

    fn announces(&mut self, id: u64, data: u16) -> Outcome {
        self.decide(cluster::Command::Announce(Box::new(Announce {
            id,
            name: format!("node-{id}"),
            http_address: String::new(),
            cluster_address: String::new(),
            version: Version { protocol: 1, data },
            incarnation: 1,
        })))
    }

    fn joins(&mut self, number: u8, data: u16) -> Outcome {
        self.decide(cluster::Command::Join(Box::new(Join {
            name: format!("node-{number}"),
            http_address: String::new(),
            cluster_address: String::new(),
            version: Version { protocol: 1, data },
            ticket: SecretHash([number; 32]),
            replace: false,
        })))
    }

    fn agree(&mut self, version: u16) -> Outcome {
        self.decide(cluster::Command::Agree(Agree { version }))
    }

    fn replicate(&mut self, replicas: u8, anew: bool) -> Outcome {
        self.decide(cluster::Command::Replicate(Replicate { replicas, anew }))
    }

    fn agreed(&self) -> u16 {
        cluster::agreed(&self.records).expect("no fault")
    }
}

#[test]
fn a_version_is_agreed_on_when_every_node_understands_it() {
    let mut world = World::new();
    assert_eq!(world.agree(2), Err(Rejection::Stale));
    assert_eq!(world.announces(1, 2), Ok(Reply::Done));
    assert!(world.joins(2, 1).is_ok());
    assert_eq!(world.agree(2), Err(Rejection::Stale));
    assert_eq!(world.agreed(), 1);
    assert_eq!(world.announces(2, 2), Ok(Reply::Done));
    assert_eq!(world.agree(2), Ok(Reply::Done));
    assert_eq!(world.agree(1), Ok(Reply::Done));
    assert_eq!(world.agreed(), 2);
}

#[test]
fn nodes_that_have_left_hold_up_no_version() {
    let mut world = World::new();
    assert_eq!(world.announces(1, 2), Ok(Reply::Done));
    assert!(world.joins(2, 1).is_ok());
    assert_eq!(world.decide(cluster::Command::Remove(2)), Ok(Reply::Done));
    assert_eq!(world.agree(2), Ok(Reply::Done));
}

#[test]
fn nobody_takes_part_who_is_older_than_what_was_agreed_on() {
    let mut world = World::new();
    assert_eq!(world.announces(1, 2), Ok(Reply::Done));
    assert_eq!(world.agree(2), Ok(Reply::Done));
    assert_eq!(world.joins(2, 1), Err(Rejection::Stale));
    assert_eq!(world.announces(1, 1), Err(Rejection::Stale));
    let nodes = cluster::nodes(&world.records).expect("no fault");
    assert_eq!(nodes.iter().map(|node| node.version.data).collect::<Vec<_>>(), [2]);
    assert!(world.joins(2, 2).is_ok());
}

#[test]
fn the_configured_number_of_replicas_is_but_the_first_word() {
    let mut world = World::new();
    let replicas = |world: &World| cluster::replicas(&world.records).expect("no fault");
    assert_eq!(replicas(&world), None);
    assert_eq!(world.replicate(3, false), Ok(Reply::Done));
    assert_eq!(world.replicate(1, false), Ok(Reply::Done));
    assert_eq!(replicas(&world), Some(3));
    assert_eq!(world.replicate(5, true), Ok(Reply::Done));
    assert_eq!(world.replicate(2, true), Err(Rejection::Stale));
    assert_eq!(replicas(&world), Some(5));
}
