//! The kinds of trouble.

use std::fmt;

use super::lets_work;
use crate::chance::Chance;
use crate::cluster::Cluster;

/// What happens to a cluster, and to which of its nodes.
pub enum Trouble {
    /// Killed with signal 9, and started again.
    Killed(usize),
    /// It stands still, and wakes.
    Stopped(usize),
    /// Its disk is lost; it joins again in its own place.
    Replaced(usize),
    /// All are stopped in order and started again, one after the other.
    Rolled,
    /// It reaches nobody, and nobody reaches it.
    Isolated(usize),
    /// It is heard, and hears nobody.
    Deaf(usize),
    /// It hears, and nobody hears it.
    Mute(usize),
    /// Only this one reaches the two others.
    Bridge(usize),
    /// This share of all packets is lost, in percent.
    Loss(u64),
}

impl Trouble {
    /// By chance: of what this cluster can be met with, more often at whoever leads.
    pub async fn by(chance: &mut Chance, cluster: &Cluster) -> Self {
        let leader = cluster.leader_of_the_default_tenant().await;
        let anybody = 1 + chance.below(3) as usize;
        let node = if chance.below(3) == 0 { anybody } else { leader };
        let kinds = if cluster.network().is_some() { 9 } else { 4 };
        match chance.below(kinds) {
            0 => Self::Killed(node),
            1 => Self::Stopped(node),
            // The first has founded the cluster, and knows of nobody whom it could join.
            2 => Self::Replaced(node.max(2)),
            3 => Self::Rolled,
            4 => Self::Isolated(node),
            5 => Self::Deaf(node),
            6 => Self::Mute(node),
            7 => Self::Bridge(node),
            _ => Self::Loss(5 + chance.below(26)),
        }
    }

    /// Lasts for as long as chance says, and is over when this returns.
    pub async fn strikes(&self, cluster: &Cluster, chance: &mut Chance) {
        match self {
            Self::Killed(node) => {
                cluster.node(*node).kill_9();
                lets_work(chance).await;
                cluster.node(*node).restart().await;
            }
            Self::Stopped(node) => {
                cluster.node(*node).signal("STOP");
                lets_work(chance).await;
                cluster.node(*node).signal("CONT");
            }
            Self::Replaced(node) => {
                cluster.node(*node).kill_9();
                lets_work(chance).await;
                cluster.node(*node).restart_without_its_data().await;
                // Whoever loses a second disk before the first is made good has lost a quorum.
                cluster.is_settled().await;
            }
            Self::Rolled => {
                for node in cluster.nodes() {
                    node.stops().await;
                    node.restart().await;
                }
            }
            _ => self.parts(cluster, chance).await,
        }
    }

    async fn parts(&self, cluster: &Cluster, chance: &mut Chance) {
        let network = cluster.network().expect("hosts of their own");
        match self {
            Self::Isolated(node) => network.isolates(*node),
            Self::Deaf(node) => {
                network.others(*node).for_each(|other| network.silences(other, *node));
            }
            Self::Mute(node) => {
                network.others(*node).for_each(|other| network.silences(*node, other));
            }
            Self::Bridge(node) => {
                let others: Vec<_> = network.others(*node).collect();
                network.parts(others[0], others[1]);
            }
            Self::Loss(percent) => network.loses(*percent),
            Self::Killed(_) | Self::Stopped(_) | Self::Replaced(_) | Self::Rolled => {}
        }
        lets_work(chance).await;
        lets_work(chance).await;
        network.heals();
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(node) => write!(f, "{node} killed"),
            Self::Stopped(node) => write!(f, "{node} stopped"),
            Self::Replaced(node) => write!(f, "{node} without its disk"),
            Self::Rolled => f.write_str("rolling restart"),
            Self::Isolated(node) => write!(f, "{node} isolated"),
            Self::Deaf(node) => write!(f, "{node} deaf"),
            Self::Mute(node) => write!(f, "{node} mute"),
            Self::Bridge(node) => write!(f, "{node} a bridge"),
            Self::Loss(percent) => write!(f, "{percent} % lost"),
        }
    }
}
