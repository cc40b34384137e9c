//! Which members of a node's cluster are alive, as a node can tell that does not run itself: by their
//! addresses, as its folder last knew them.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::time::Duration;

use futures::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::home::Home;
use crate::engine::link::wire::Hello;
use crate::engine::link::{self, Channel, Identity, Refused};
use crate::moment::Moment;
use crate::secret::Secret;
use crate::version::NEWEST;

/// How long a connection may take that a living system accepts.
const REACH: Duration = Duration::from_secs(2);

/// A member that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Living {
    /// Its number.
    pub node: u64,
    /// Where.
    pub address: String,
    /// Whether it has shown who it is. Who has not may be another program, or stand still.
    pub shown: bool,
}

impl fmt::Display for Living {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, address, shown } = self;
        match shown {
            true => write!(to, "node {node} ({address})"),
            false => write!(to, "node {node} ({address}, where somebody listens)"),
        }
    }
}

/// The members that answer. Without the cluster's secret nobody can be known, and whoever listens at
/// a member's address is taken for it.
///
/// Decision: in doubt it lives. Two clusters made of one cannot be made one again.
pub async fn living(home: &Home, secret: Option<&Secret>, now: Moment) -> Vec<Living> {
    let identity = secret.and_then(|secret| Identity::new(&secret.clone().into(), 0, now).ok());
    let asked = home.peers.iter().map(|(node, address)| {
        let identity = identity.as_ref();
        async move {
            let shown = look(home, identity, *node, address).await?;
            Some(Living { node: *node, address: address.clone(), shown })
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Whether the node is there that is meant: nothing if it certainly is not.
async fn look(home: &Home, identity: Option<&Identity>, node: u64, address: &str) -> Option<bool> {
    let reached = timeout(REACH, TcpStream::connect(address)).await;
    drop(reached.ok()?.ok()?);
    let Some(identity) = identity else { return Some(false) };
    let cluster = Some(home.cluster);
    let hello = Hello { cluster, from: 0, to: node, data: NEWEST, address: String::new() };
    match link::connect(identity, address, Channel::Control, hello).await {
        Ok((_, theirs)) if theirs.cluster.is_none_or(|theirs| theirs == home.cluster) => Some(true),
        Ok(_) => None,
        Err(error) => (!belongs_elsewhere(&error)).then_some(false),
    }
}

/// Whether a node of the same secret has said that it has nothing to do with this cluster.
fn belongs_elsewhere(error: &io::Error) -> bool {
    let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<Refused>());
    refused.is_some_and(|Refused(reason)| reason == link::OTHER_CLUSTER)
}

/// Whether a group could decide if the node of this folder ran again beside those that live. In the
/// middle of a change there are two sets of voters, and both must.
pub fn could_decide(voters: &[BTreeSet<u64>], me: u64, living: &[Living]) -> bool {
    let is_there = |id: &&u64| **id == me || living.iter().any(|other| other.node == **id);
    let decides = |set: &BTreeSet<u64>| 2 * set.iter().filter(is_there).count() > set.len();
    !living.is_empty() && !voters.is_empty() && voters.iter().all(decides)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::net::TcpListener;

    use super::*;

    fn living_ones(nodes: &[u64]) -> Vec<Living> {
        let of = |node: &u64| Living { node: *node, address: String::new(), shown: true };
        nodes.iter().map(of).collect()
    }

    #[test]
    fn a_quorum_is_counted_in_each_set_of_voters() {
        let of_three = [BTreeSet::from([1, 2, 3])];
        assert!(could_decide(&of_three, 1, &living_ones(&[2])));
        assert!(!could_decide(&of_three, 1, &living_ones(&[])));
        assert!(!could_decide(&of_three, 1, &living_ones(&[4, 5])));
        let of_five = [BTreeSet::from([1, 2, 3, 4, 5])];
        assert!(!could_decide(&of_five, 1, &living_ones(&[2])));
        assert!(could_decide(&of_five, 1, &living_ones(&[2, 3])));
        let changing = [BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4, 5])];
        assert!(!could_decide(&changing, 1, &living_ones(&[2])));
        assert!(could_decide(&changing, 1, &living_ones(&[3, 4])));
    }

    #[tokio::test]
    async fn whoever_listens_may_be_the_member() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let there = listener.local_addr().expect("an address").to_string();
        let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let nowhere = gone.local_addr().expect("an address").to_string();
        drop(gone);
        let home = Home {
            node: 1,
            cluster: [1; 16],
            shards: 1,
            incarnation: 1,
            agreed: 1,
            founded: true,
            address: None,
            peers: BTreeMap::from([(2, there.clone()), (3, nowhere)]),
        };
        let found = living(&home, None, Moment(0)).await;
        assert_eq!(found, [Living { node: 2, address: there, shown: false }]);
    }
}
