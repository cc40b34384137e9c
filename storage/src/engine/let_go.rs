//! A replica that its group has let go. Nobody tells it: the leader stops sending as soon as the entry
//! that lets it go is on its way. It would keep its records for ever, and stand for the shard when a
//! survivor is asked what it has.
//!
//! Invariant: nothing is removed before the leader has said that this node is no member, asked after
//! the replica had stopped. The vote stays: nobody votes who has forgotten what they voted for. And
//! nobody votes who has forgotten what they have acknowledged (`ShardLog::lacks_what_it_held`): a
//! member that was away while this node was let go still counts its vote.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::oneshot;

use super::error::Unavailable;
use super::lease;
use super::raft::Membership;
use super::raft::machine::Core;
use super::shard::{Leadership, Phase, Running, Shard};
use super::supervise::{self, Start, publish};

/// A replica that was silent for so long may have been let go.
const SILENT: Duration = Duration::from_secs(3);

/// Stop, find out whether this node was let go, and then give up what it holds.
pub(super) struct LetGo {
    confirmed: BoxFuture<'static, bool>,
    done: oneshot::Sender<()>,
}

impl Shard {
    /// Whether a node was let go, as the leader of the group says after this call.
    pub async fn has_let_go(&self, node: u64) -> Result<bool, Unavailable> {
        self.read().await?;
        let running = self.running_or_why()?;
        let metrics = running.metrics.borrow_watched();
        let holds = |members: &Membership| members.nodes().any(|(id, _)| *id == node);
        Ok(lease::leads(&metrics)
            && !holds(&metrics.membership_config)
            && !holds(&metrics.committed_membership_config))
    }

    /// Whether this node holds what nobody has written to for long.
    pub fn is_stray(&self) -> bool {
        let holds = || {
            let tree = self.core.tree();
            self.core.log.last().is_some() || tree.is_ok_and(|tree| !tree.is_fresh())
        };
        self.running().is_some()
            && !self.leadership.borrow().leads
            && self.pulse.silent_for() > SILENT
            && holds()
    }

    /// Stops the replica, and gives up what it holds if it is `confirmed` then that the group has let
    /// this node go. Returns when it runs again.
    pub async fn let_go(&self, confirmed: BoxFuture<'static, bool>) {
        let (done, over) = oneshot::channel();
        // One at a time is enough.
        if self.letting_go.try_send(LetGo { confirmed, done }).is_ok() {
            drop(over.await);
        }
    }
}

/// Does what was asked; the shard runs again afterwards, with or without what it held.
pub(super) async fn give_up(shard: &Arc<Shard>, start: &Start, running: &Running, asked: LetGo) {
    *shard.phase.lock() = Phase::LettingGo;
    publish(shard, &Leadership::default());
    shard.running.write().take();
    // It ends, one way or the other.
    drop(running.raft.shutdown().await);
    running.end();
    let is_closing = || shard.core.closing.load(Ordering::SeqCst);
    let gone = !is_closing() && asked.confirmed.await;
    if is_closing() {
        return;
    }
    let restarted = async {
        if gone {
            let emptied = empty(&shard.core).await;
            emptied.map_err(|error| error.to_string())?;
            tracing::info!(shard = shard.id().0, "gave up a replica that the group has let go");
        }
        // What is made anew without its members must not found the group a second time.
        let start = Start { founds: false, ..start.clone() };
        supervise::restart(shard, &start).await
    };
    if let Err(reason) = restarted.await {
        tracing::error!(shard = shard.id().0, reason, "a shard could not be started again");
        *shard.phase.lock() = Phase::Stopped(reason);
    }
    // Whoever asked may have gone.
    asked.done.send(()).ok();
}

/// Removes the records, log and snapshot. The records first: what the instance that has stopped has
/// under way, be it a snapshot, comes to nothing from then on.
async fn empty(core: &Core) -> io::Result<()> {
    core.exchange(core.fresh_tree().map_err(io::Error::other)?);
    core.log.forget().await?;
    core.snapshots.forget(core.shard)?;
    core.log.has_forgotten().await
}
