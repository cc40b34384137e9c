//! Whoever runs the cluster: founds it, changes its members, hands leadership over, and lets replicas
//! go that their group has let go.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::clients::ask;
use super::machine::{Directory, Node};
use crate::engine::{Members, Shard, Unavailable};

/// How often it looks.
const GLANCE: Duration = Duration::from_millis(50);
/// How many glances a new replica may take to catch up.
const GLANCES: u32 = 100;
/// How many entries it may be behind then.
const CLOSE: u64 = 20;

/// What the operator is asked to do.
#[derive(Debug, Clone)]
pub enum Order {
    /// These are to vote, and nobody else.
    Vote(BTreeSet<u64>),
    /// This node is to lead.
    Lead(u64),
}

/// Carries out orders, as far as it can.
pub async fn carry_out(directory: Directory, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Vote(voters) => drop(vote(&directory, &voters).await),
            Order::Lead(node) => {
                if let Some(leader) = leader(&directory) {
                    ask(leader, |shard| async move { shard.hand_over(node).await }).await;
                }
            }
        }
    }
}

/// Lets replicas go that nobody writes to any more, if their leader says that they were let go.
pub async fn let_go(directory: Directory) {
    loop {
        sleep(GLANCE * 10).await;
        let ids: Vec<u64> = directory.lock().keys().copied().collect();
        for id in ids {
            // Whoever holds a node for long keeps it from coming to its end.
            let node = directory.lock().get(&id).cloned();
            let Some(node) = node.filter(|node| node.shard().is_stray()) else { continue };
            let others = directory.clone();
            let confirmed = async move {
                let Some(leader) = leader(&others) else { return false };
                let said = ask(leader, |shard| async move { shard.has_let_go(id).await }).await;
                matches!(said, Some(Ok(true)))
            };
            // The answer of the leader is waited for where the replica runs.
            ask(node, |shard| async move { shard.let_go(confirmed.boxed()).await }).await;
        }
    }
}

fn leader(directory: &Directory) -> Option<Node> {
    let nodes = directory.lock();
    let leads = |node: &&Node| node.shard().is_leader();
    let term = |node: &&Node| node.shard().leadership().borrow().term;
    nodes.values().filter(leads).max_by_key(term).cloned()
}

/// The group, as its leader sees it.
fn members(directory: &Directory) -> Option<(Node, Members)> {
    let leader = leader(directory)?;
    let members = leader.shard().members()?;
    Some((leader, members))
}

/// Lets these vote and nobody else, and tries it until it has worked.
pub async fn settle(directory: &Directory, voters: &BTreeSet<u64>) {
    loop {
        let is_settled = |members: &Members| {
            members.voters == *voters && members.learners.is_empty() && members.changing.is_none()
        };
        let members = members(directory).map(|(_, members)| members);
        match members {
            Some(members) if is_settled(&members) => return,
            Some(_) => drop(vote(directory, voters).await),
            None => {}
        }
        sleep(GLANCE).await;
    }
}

/// Lets these vote and nobody else; `None` if something comes between.
async fn vote(directory: &Directory, voters: &BTreeSet<u64>) -> Option<()> {
    let (leader, now) = members(directory)?;
    let itself = leader.shards.node_id();
    if let Some(heir) = now.voters.first().filter(|_| !now.voters.contains(&itself)).copied() {
        // It leads on although it was let go, and openraft asserts that it changes nothing more.
        ask(leader, |shard| async move { shard.hand_over(heir).await }).await;
        return None;
    }
    drop(leader);
    let known: BTreeSet<u64> = now.voters.union(&now.learners).copied().collect();
    for node in voters.difference(&known).copied() {
        change(directory, move |shard| async move { shard.add_learner(node).await }).await?;
    }
    for _ in 0..GLANCES {
        let (_, now) = members(directory)?;
        if voters.iter().all(|node| now.lag(*node) <= CLOSE) {
            break;
        }
        sleep(GLANCE).await;
    }
    let wanted = voters.clone();
    change(directory, move |shard| async move { shard.set_voters(wanted).await }).await?;
    let (_, now) = members(directory)?;
    let gone: BTreeSet<u64> = now.learners.difference(voters).copied().collect();
    if !gone.is_empty() {
        change(directory, move |shard| async move { shard.remove_learners(gone).await }).await?;
    }
    Some(())
}

async fn change<F>(
    directory: &Directory,
    work: impl FnOnce(std::sync::Arc<Shard>) -> F,
) -> Option<()>
where
    F: Future<Output = Result<(), Unavailable>> + Send + 'static,
{
    ask(leader(directory)?, work).await?.ok()
}
