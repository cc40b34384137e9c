//! What holds for the whole cluster.

use super::*;
use crate::capability::cluster::{Agree, Replicate};

pub fn checks() -> Vec<Option<String>> {
    let of = |command| proposal(Command::Cluster(command));
    let replicate = Replicate { replicas: 5, anew: true };
    vec![
        check("agreed", &2u16),
        check("replicas", &3u8),
        check("proposal-agree", &of(cluster::Command::Agree(Agree { version: 2 }))),
        check("proposal-replicate", &of(cluster::Command::Replicate(replicate))),
    ]
}
