//! What two nodes say first: who they are, and what they speak.
//!
//! Invariant: members that are older than what the cluster has agreed on are not spoken to, since they
//! could not read what they would be sent; a connection that stands when more is agreed on ends. Who has
//! no number yet is told so when it asks to join.

use super::Link;
use super::wire::{Hello, Welcome};
use crate::version::TooOld;

/// What is said to whoever belongs to another cluster.
pub const OTHER_CLUSTER: &str = "it belongs to another cluster";

impl Link {
    pub(super) fn hello(&self, to: u64) -> Hello {
        let cluster = self.cluster();
        // A stranger is told what it will have to speak, a member what is spoken here.
        let data = if to == 0 { self.speech.agreed() } else { self.speech.speaks() };
        Hello { cluster, from: self.node, to, data, address: self.address.clone() }
    }

    /// What is said to a node that says this of itself.
    pub(super) fn welcome(&self, hello: &Hello) -> Welcome {
        if hello.to != 0 && hello.to != self.node {
            return Welcome::No(format!("node {} is here, not node {}", self.node, hello.to));
        }
        if hello.from == self.node {
            return Welcome::No(format!("node {} is here already", self.node));
        }
        if let Some(Err(reason)) = self.admission.get().map(|admit| admit(hello)) {
            return Welcome::No(reason);
        }
        let other = hello.cluster.zip(self.cluster()).is_some_and(|(theirs, ours)| theirs != ours);
        if other {
            return Welcome::No(OTHER_CLUSTER.into());
        }
        if let Err(problem) = self.hears(hello) {
            return Welcome::No(problem.to_string());
        }
        self.learn(hello.from, &hello.address);
        Welcome::Yes(self.hello(hello.from))
    }

    /// What a node says that it speaks, unless that is too old.
    pub(super) fn hears(&self, hello: &Hello) -> Result<(), TooOld> {
        if hello.from != 0 {
            self.speech.admits(hello.data)?;
            self.spoken.write().insert(hello.from, hello.data);
        }
        Ok(())
    }

    /// Returns once the cluster has agreed on more than a node has last said that it speaks: then no
    /// connection with it may go on.
    pub async fn outgrows(&self, node: u64) -> TooOld {
        loop {
            let Some(speaks) = self.spoken_by(node) else { return std::future::pending().await };
            self.speech.outgrows(speaks).await;
            // It may have been started anew meanwhile, and speak more.
            let now = self.spoken_by(node).unwrap_or(speaks);
            if let Err(too_old) = self.speech.admits(now) {
                return too_old;
            }
        }
    }

    /// What a node has last said that it speaks; nothing if it was not heard yet.
    pub fn spoken_by(&self, node: u64) -> Option<u16> {
        self.spoken.read().get(&node).copied()
    }
}
