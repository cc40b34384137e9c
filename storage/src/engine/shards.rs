//! All shards of a node: opens and closes the data folder, and holds what the shards share.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::error::OpenError;
use super::folder::Folder;
use super::health::Health;
use super::link::Link;
use super::log::Log;
use super::opening::{Opening, gather, prepare_shard, start_shard};
use super::pace::Pace;
use super::poison::Poison;
use super::shard::{Leadership, Shard};
use super::supervise::Start;
use super::threads::Threads;
use super::tree::store::Store;
use super::{Door, Options, Parts, blocking, raft, scrub};
use crate::ids::{ShardId, TenantNumber};
use crate::version::Speech;

/// How long a node that stops goes on handing over, and how long it waits when nobody can take over.
const HAND_OVER: Duration = Duration::from_secs(3);
const RESPITE: Duration = Duration::from_millis(50);
/// How long opening waits for the shards to lead; beyond it `health` says which do not.
const LEAD_DEADLINE: Duration = Duration::from_secs(10);

/// The shards of a node, on an open data folder.
pub struct Shards {
    pub(super) node: u64,
    pub(super) founds: bool,
    pub(super) shards: Vec<Arc<Shard>>,
    pub(super) log: Arc<Log>,
    pub(super) store: Arc<Store>,
    pub(super) poison: Arc<Poison>,
    pub(super) speech: Arc<Speech>,
    pub(super) folder: Mutex<Option<Folder>>,
    pub(super) link: Option<Arc<Link>>,
    /// The cluster's port, until the cluster is known.
    pub(super) unmet: Mutex<Option<TcpListener>>,
    pub(super) pace: Mutex<Option<AbortOnDropHandle<()>>>,
    pub(super) runtime: Mutex<Option<Threads>>,
}

impl Shards {
    /// Opens the data folder, or makes an empty one into that of a new node, and waits until each
    /// of its shards has a leader.
    pub async fn open(options: Options, mut parts: Parts) -> Result<Self, OpenError> {
        let dir = options.data_dir.clone();
        let failed = move |problem: String| OpenError::Folder { path: dir.clone(), problem };
        let door = parts.door.take();
        let opening = blocking::run(move || Opening::begin(options, parts)).await;
        let opening = opening.map_err(|error| failed(error.to_string()))??;
        let threads = Threads::start().map_err(|error| failed(error.to_string()))?;
        let runtime = threads.handle().clone();
        let config = raft::config(opening.options.kept_entries)
            .map_err(|error| failed(error.to_string()))?;
        let link = door.as_ref().map(|door| opening.link(door, &runtime)).transpose()?;
        let (node, founds) = (opening.options.node, opening.options.founds);
        let start = Start { node, config, link: link.clone(), founds };
        let opening = Arc::new(opening);
        let ids = (0..opening.options.shards).map(ShardId);
        let prepared: Vec<_> =
            ids.map(|id| runtime.spawn(prepare_shard(opening.clone(), id))).collect();
        let (prepared, mut problem) = gather(prepared, &failed).await;
        let shards: Vec<_> = prepared.iter().map(|prepared| prepared.shard.clone()).collect();
        problem = problem
            .or_else(|| opening.folder.begin_log().err().map(|error| failed(error.to_string())));
        if problem.is_none() {
            let started = prepared.into_iter();
            let started = started.map(|shard| runtime.spawn(start_shard(shard, start.clone())));
            problem = gather(started.collect(), &failed).await.1;
        }
        let opening = Arc::into_inner(opening)
            .ok_or_else(|| failed("a shard is still being opened".into()))?;
        let unread = opening.folder.clean_state;
        let changed = opening.changed.clone();
        let opened = opening.end(shards, link, threads);
        let problem =
            problem.or_else(|| opened.go(door, changed).err().map(|e| failed(e.to_string())));
        if let Some(problem) = problem {
            opened.give_back(false).await;
            return Err(problem);
        }
        // What does not lead in time shows in `health`.
        drop(timeout(LEAD_DEADLINE, opened.all_settled()).await);
        opened.scrub(unread);
        Ok(opened)
    }

    /// Raft's id of this node.
    pub fn node_id(&self) -> u64 {
        self.node
    }

    /// What this node speaks, and what its cluster has agreed on.
    pub fn speech(&self) -> &Arc<Speech> {
        &self.speech
    }

    /// The folder may hold what programs older than this version cannot read.
    pub fn keep_version(&self, version: u16) -> io::Result<()> {
        self.folder.lock().as_ref().map_or(Ok(()), |folder| folder.raise(version))
    }

    /// The links to other nodes, if there are any.
    pub fn link(&self) -> Option<&Arc<Link>> {
        self.link.as_ref()
    }

    /// Starts to beat, and to take connections of others.
    fn go(&self, door: Option<Door>, changed: Arc<Notify>) -> io::Result<()> {
        let runtime = self.runtime.lock();
        let Some(runtime) = runtime.as_ref().map(Threads::handle) else { return Ok(()) };
        let pace = Pace::new(self.node, self.shards.clone(), self.link.clone());
        self.pace.lock().replace(AbortOnDropHandle::new(runtime.spawn(pace.keep(changed))));
        let (Some(link), Some(door)) = (&self.link, door) else { return Ok(()) };
        link.serve(&self.shards);
        for (node, address) in &door.peers {
            link.learn(*node, address);
            link.peer(*node);
        }
        *self.unmet.lock() = Some(door.listener);
        match door.cluster {
            Some(cluster) => self.belong_to(cluster),
            None => Ok(()),
        }
    }

    /// Takes connections of nodes of this cluster from now on, and of no other.
    ///
    /// Invariant: nobody is met before the cluster is known. The groups of a node that founds anew
    /// would else take in what an older cluster sends to the node that it takes this one for.
    pub fn belong_to(&self, cluster: [u8; 16]) -> io::Result<()> {
        let Some(link) = &self.link else { return Ok(()) };
        link.belong_to(cluster);
        match self.unmet.lock().take() {
            Some(listener) => link.open(listener),
            None => Ok(()),
        }
    }

    /// Stops serving for good, for a reason that lies outside.
    pub fn condemn(&self, reason: &str) {
        self.poison.set(reason);
    }

    /// Hands over all that this node leads to others that can lead it, before it stops.
    pub async fn hand_over(&self) {
        let Some(link) = &self.link else { return };
        link.leave();
        let handed = join_all(self.shards.iter().map(|shard| hand_over(shard, link)));
        drop(timeout(HAND_OVER, handed).await);
        for shard in self.shards.iter().filter(|shard| !shard.is_alone() && shard.is_leader()) {
            tracing::warn!(shard = shard.id().0, "a shard was not handed over");
        }
    }

    /// One shard. Its id must be one of this node's.
    pub fn shard(&self, id: ShardId) -> &Arc<Shard> {
        &self.shards[usize::from(id.0)]
    }

    /// The shard of a tenant.
    pub fn of(&self, tenant: TenantNumber) -> &Arc<Shard> {
        self.shard(tenant.shard(self.shards.len() as u16))
    }

    /// All shards.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Shard>> {
        self.shards.iter()
    }

    /// What keeps storage from serving.
    pub fn health(&self) -> Health {
        if let Some(reason) = self.poison.reason() {
            return Health { reasons: vec![format!("storage has stopped: {reason}")] };
        }
        let stopped = self.pace.lock().as_ref().is_some_and(AbortOnDropHandle::is_finished);
        let stopped = stopped.then(|| "the heartbeats have stopped: start the node again".into());
        let problems = self.shards.iter().filter_map(|shard| shard.problem());
        Health { reasons: stopped.into_iter().chain(problems).collect() }
    }

    /// Bytes on disk: of the log, and of the state.
    pub fn bytes(&self) -> (u64, u64) {
        (self.log.bytes(), self.store.bytes())
    }

    /// Stops serving, writes everything down, and gives the folder back.
    pub async fn close(&self) {
        self.give_back(true).await;
    }

    /// `whole` if all that opening has to check was checked.
    async fn give_back(&self, whole: bool) {
        let Some(runtime) = self.runtime.lock().take() else { return };
        self.pace.lock().take();
        if let Some(link) = &self.link {
            link.close();
        }
        join_all(self.shards.iter().map(stop)).await;
        let (store, log) = (self.store.clone(), self.log.clone());
        let folder = self.folder.lock().take();
        let closing = blocking::run(move || {
            runtime.end(Duration::from_secs(1));
            let state = store.close();
            let clean = log.close() && whole;
            match folder {
                Some(folder) if clean => state.and_then(|()| folder.mark_clean()),
                _ => Ok(()),
            }
        });
        match closing.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the next start will take this for a crash"),
            Err(error) => tracing::error!(%error, "closing has failed"),
        }
    }

    fn scrub(&self, trees_too: bool) {
        let shards = self.shards.clone();
        if let Some(Threads::Own(runtime)) = &*self.runtime.lock() {
            runtime.spawn_blocking(move || scrub::run(&shards, trees_too));
        }
    }

    /// Returns once another node says that it leads the shard.
    async fn is_led_elsewhere(&self, shard: ShardId) {
        let Some(link) = &self.link else { return std::future::pending().await };
        // The sender lives in the link.
        drop(link.moves().wait_for(|_| link.leader_of(shard).is_some()).await);
    }

    /// Returns once each shard leads or follows, or is known not to.
    async fn all_settled(&self) {
        let settled = join_all(self.shards.iter().map(|shard| async {
            let mut leadership = shard.leadership();
            let settled = |now: &Leadership| {
                now.leads || now.stopped || now.leader.is_some_and(|leader| leader != self.node)
            };
            if self.founds || shard.is_member() {
                tokio::select! {
                    biased;
                    // The sender lives in the shard, so waiting cannot fail.
                    _ = leadership.wait_for(settled) => {}
                    () = self.is_led_elsewhere(shard.id()) => {}
                }
            }
        }));
        tokio::select! {
            biased;
            _ = settled => {}
            () = self.poison.stopped() => {}
        }
    }
}

/// Tries one heir after the other, the one that has come furthest first, until this node does not lead
/// the shard any more, or there is none.
async fn hand_over(shard: &Shard, link: &Link) {
    let mut tried = BTreeSet::new();
    while let Some(members) = shard.members() {
        let others = members.voters.iter().copied().filter(|id| *id != link.node());
        let up: Vec<u64> = others.filter(|id| link.can_take_over(*id)).collect();
        let untried = up.iter().filter(|id| shard.is_heard_by(**id) && !tried.contains(*id));
        match untried.copied().min_by_key(|id| members.lag(*id)) {
            Some(heir) => {
                tried.insert(heir);
                if let Err(problem) = shard.hand_over(heir).await {
                    tracing::info!(shard = shard.id().0, heir, %problem, "another one is tried");
                }
            }
            None if up.is_empty() => return,
            None => {
                tried.clear();
                sleep(RESPITE).await;
            }
        }
    }
}

impl Drop for Shards {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.begin_close();
        }
        if let Some(runtime) = self.runtime.lock().take() {
            runtime.abandon();
        }
    }
}

/// Ends a shard: no further leadership, Raft stopped, tree let go.
async fn stop(shard: &Arc<Shard>) {
    shard.begin_close();
    let running = shard.running.write().take();
    // A poisoned log refuses, and then there is nothing worth keeping.
    drop(shard.core.log.settle().await);
    if let Some(running) = running {
        drop(running.raft.shutdown().await);
        running.end();
    }
    let core = shard.core.clone();
    // A snapshot under way has heard that it may end.
    let waited = blocking::run(move || drop(core.snapshotting.lock())).await;
    drop(waited);
    let tree = shard.core.tree.write().take();
    if let Some(tree) = tree {
        // What sled does not get is applied from the log again.
        drop(tree.settle());
        tree.retire("the shard is closed");
    }
}
