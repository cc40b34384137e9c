//! What openraft sees of the log: one shard's entries, vote and committed position.
//!
//! Invariant: an entry is readable as soon as `append` has returned, and acknowledged only after
//! its sync. A vote, a truncation and a purge return only after theirs.
//!
//! Decision: `committed` is remembered in memory and written with the next append, so that it
//! costs no sync and no wake-up of its own. It may therefore be older than what was applied; a
//! lone voter applies the rest when it has elected itself, which it does before it serves.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use parking_lot::Mutex;
use serde::Serialize;

use super::recent::Recent;
use super::writer::{Item, Request, Waiting};
use super::{Log, frame, region};
use crate::codec;
use crate::engine::raft::{Entry, LogId, Types, Vote};
use crate::fault::Fault;
use crate::ids::ShardId;

const VOTE: &[u8] = b"vote";
const COMMITTED: &[u8] = b"committed";
const PURGED: &[u8] = b"purged";
/// The truncation mark: the last index that counts, while entries behind it are still there.
const END: &[u8] = b"end";
/// The shard was given up: what else there is of it is still to be removed.
const FORGOTTEN: &[u8] = b"forgotten";
/// The last entry that the shard had whenever it was given up.
const HELD: &[u8] = b"held";

type GrowthHook = Box<dyn Fn(u64) + Send + Sync>;

#[derive(Default)]
struct State {
    vote: Option<Vote>,
    committed: Option<LogId>,
    committed_written: bool,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The log begins here, unless `purged` is later.
    first: u64,
    end_marked: bool,
    forgotten: bool,
    held: Option<LogId>,
    recent: Recent,
}

/// The log of one shard. Clones share it.
#[derive(Clone)]
pub struct ShardLog(Arc<Inner>);

struct Inner {
    log: Arc<Log>,
    shard: ShardId,
    state: Mutex<State>,
    /// Up to here the log thread has written the entries.
    durable: Arc<AtomicU64>,
    /// Bytes appended since the last snapshot.
    grown: AtomicU64,
    /// Called after each append with the bytes since the last snapshot.
    on_growth: Mutex<Option<GrowthHook>>,
}

impl ShardLog {
    /// Reads the shard's position in the log.
    pub fn open(log: &Arc<Log>, shard: ShardId) -> Result<Self, Fault> {
        let value = |key| log.value(shard, key);
        let mut state = State {
            vote: value(VOTE).as_deref().map(codec::decode).transpose()?,
            purged: value(PURGED).as_deref().map(codec::decode).transpose()?,
            committed_written: true,
            forgotten: value(FORGOTTEN).is_some(),
            held: value(HELD).as_deref().map(codec::decode::<Option<LogId>>).transpose()?.flatten(),
            first: log.first_index(shard),
            ..State::default()
        };
        let mut grown = 0;
        if let Some(bytes) = value(COMMITTED) {
            (state.committed, grown) = codec::decode(&bytes)?;
        }
        let end = value(END).as_deref().map(codec::decode::<Option<u64>>).transpose()?;
        state.end_marked = end.is_some();
        let written = log.last_index(shard);
        // A mark of `None` voids everything.
        let last = match end {
            Some(end) => end.min(written),
            None => written,
        };
        let purged = state.purged.as_ref().map(|id| id.index());
        if written.is_some() && state.first > purged.map_or(0, |purged| purged + 1) {
            let first = state.first;
            return Err(Fault::Damaged(format!(
                "entries before {first} of shard {shard} are gone"
            )));
        }
        state.last = match last.filter(|last| purged.is_none_or(|purged| *last > purged)) {
            None => state.purged,
            Some(last) => {
                let entry = log.read(shard, last, last + 1)?.pop();
                let missing = || Fault::Damaged(format!("log entry {last} of shard {shard}"));
                Some(entry.ok_or_else(missing)?.log_id)
            }
        };
        Ok(Self(Arc::new(Inner {
            log: log.clone(),
            shard,
            state: Mutex::new(state),
            durable: Arc::default(),
            grown: AtomicU64::new(grown),
            on_growth: Mutex::default(),
        })))
    }

    /// Calls `hook` after each append with the bytes appended since the last snapshot.
    pub fn on_growth(&self, hook: impl Fn(u64) + Send + Sync + 'static) {
        *self.0.on_growth.lock() = Some(Box::new(hook));
    }

    /// Counts from here the bytes since the last snapshot, of which `bytes` were there before.
    pub fn snapshot_taken(&self, bytes: u64) {
        let less = |grown: u64| Some(grown.saturating_sub(bytes));
        // The closure never refuses.
        let _ = self.0.grown.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Bytes appended since the last snapshot.
    pub fn grown(&self) -> u64 {
        self.0.grown.load(Ordering::Relaxed)
    }

    /// The file to name when an entry turns out to be damaged.
    pub fn damaged_file(&self) -> PathBuf {
        self.0.log.damaged_file()
    }

    /// The last entry that was purged.
    pub fn purged(&self) -> Option<LogId> {
        self.0.state.lock().purged
    }

    /// The last entry.
    pub fn last(&self) -> Option<LogId> {
        self.0.state.lock().last
    }

    /// The term of the last vote; 0 if there is none.
    pub fn voted_term(&self) -> u64 {
        self.0.state.lock().vote.as_ref().map_or(0, |vote| vote.leader_id.term)
    }

    /// Removes everything but the vote and how far it had come, and notes that the rest of the shard
    /// has to go too.
    pub async fn forget(&self) -> io::Result<()> {
        let written = self.0.log.last_index(self.0.shard);
        let items = {
            let mut state = self.0.state.lock();
            let (vote, held) = (state.vote.take(), state.held.max(state.last));
            // What the replica that has stopped appended last may still wait to be written.
            let last = written.max(state.last.map(|last| last.index));
            let compact = Item::Compact(last.map_or(0, |last| last + 1));
            let kept = [Item::Put(HELD, bytes(&held)?), Item::Put(FORGOTTEN, Vec::new())];
            let (committed_written, forgotten) = (true, true);
            *state = State { vote, held, committed_written, forgotten, ..State::default() };
            let deleted = [COMMITTED, PURGED, END].map(Item::Delete);
            deleted.into_iter().chain([compact]).chain(kept).collect()
        };
        self.0.durable.store(0, Ordering::Release);
        self.0.grown.store(0, Ordering::Relaxed);
        self.0.log.write(self.0.shard, items).await
    }

    /// Whether it had entries once that it has not got again since it was given up.
    ///
    /// Invariant: whoever lacks them does not stand, and votes for nobody who lacks them. A member that
    /// was away while the others let this node go takes it for a voter still, and both could elect a
    /// leader that has nothing of what this node has helped to commit.
    pub fn lacks_what_it_held(&self) -> bool {
        let state = self.0.state.lock();
        state.last < state.held
    }

    /// The last entry that it had whenever it was given up.
    pub fn held(&self) -> Option<LogId> {
        self.0.state.lock().held
    }

    /// Whether something of the shard is still to be removed.
    pub fn is_forgotten(&self) -> bool {
        self.0.state.lock().forgotten
    }

    /// Nothing of it is.
    pub async fn has_forgotten(&self) -> io::Result<()> {
        if !std::mem::take(&mut self.0.state.lock().forgotten) {
            return Ok(());
        }
        self.0.log.write(self.0.shard, vec![Item::Delete(FORGOTTEN)]).await
    }

    /// Writes what otherwise waits for the next append, and returns once all that was appended so
    /// far is durable.
    pub async fn settle(&self) -> io::Result<()> {
        let item = self.0.committed_item(&mut self.0.state.lock())?;
        self.0.log.write(self.0.shard, item.into_iter().collect()).await
    }

    /// Entries `from..until`; missing ones only at the ends.
    pub fn entries(&self, from: u64, until: u64) -> Result<Vec<Entry>, Fault> {
        let inner = &*self.0;
        let (from, until, split, recent) = {
            let mut state = inner.state.lock();
            state.recent.shrink(inner.durable.load(Ordering::Acquire));
            let (from, until) = state.bounded(from, until);
            let split = state.recent.first().unwrap_or(until).clamp(from, until);
            (from, until, split, state.recent.range(split, until))
        };
        let mut entries = match from < split {
            true => inner.log.read(inner.shard, from, split)?,
            false => Vec::new(),
        };
        entries.extend(recent);
        // What was purged or truncated while this read ran may be missing, and nothing else.
        let (from, until) = inner.state.lock().bounded(from, until);
        entries.retain(|entry| (from..until).contains(&entry.log_id.index()));
        let whole = (from..until).eq(entries.iter().map(|entry| entry.log_id.index()));
        if whole {
            return Ok(entries);
        }
        let shard = inner.shard;
        Err(Fault::Damaged(format!("log entries {from} to {until} of shard {shard} have a hole")))
    }
}

impl State {
    /// The part of `from..until` that the log has.
    fn bounded(&self, from: u64, until: u64) -> (u64, u64) {
        let from = from.max(self.first).max(self.purged.as_ref().map_or(0, |id| id.index() + 1));
        let until = until.min(self.last.as_ref().map_or(0, |id| id.index() + 1));
        (from, until.max(from))
    }
}

impl Inner {
    /// The committed position as an item, unless the log has it already.
    fn committed_item(&self, state: &mut State) -> io::Result<Option<Item>> {
        if state.committed_written {
            return Ok(None);
        }
        state.committed_written = true;
        let value = bytes(&(&state.committed, self.grown.load(Ordering::Relaxed)))?;
        Ok(Some(Item::Put(COMMITTED, value)))
    }

    fn frame_all(&self, state: &mut State, entries: Vec<Entry>) -> io::Result<Item> {
        let mut frames = Vec::with_capacity(entries.len());
        let mut grown = 0;
        for entry in entries {
            let frame = frame::encode(self.shard, &entry).map_err(io::Error::other)?;
            grown += frame.value.len();
            if state.last.is_none() {
                state.first = entry.log_id.index();
            }
            state.last = Some(entry.log_id);
            state.recent.push(entry, frame.value.len());
            frames.push(frame);
        }
        self.grown.fetch_add(grown as u64, Ordering::Relaxed);
        Ok(Item::Append(frames))
    }
}

fn bytes<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    codec::encode(value).map_err(io::Error::other)
}

impl RaftLogReader<Types> for ShardLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let from = match range.start_bound() {
            Bound::Included(from) => *from,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let until = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(until) => *until,
            Bound::Unbounded => u64::MAX,
        };
        self.entries(from, until).map_err(io::Error::other)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.0.state.lock().vote)
    }
}

impl RaftLogStorage<Types> for ShardLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let state = self.0.state.lock();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.0.state.lock().vote = Some(*vote);
        self.0.log.write(self.0.shard, vec![Item::Put(VOTE, bytes(vote)?)]).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let mut state = self.0.state.lock();
        if state.committed != committed {
            state.committed = committed;
            state.committed_written = false;
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.0.state.lock().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let (items, last) = {
            let mut state = self.0.state.lock();
            let mut items = Vec::with_capacity(3);
            items.extend(self.0.committed_item(&mut state)?);
            if std::mem::take(&mut state.end_marked) {
                items.push(Item::Delete(END));
            }
            items.push(self.0.frame_all(&mut state, entries)?);
            (items, state.last.as_ref().map_or(0, |id| id.index()))
        };
        let waiting = Waiting::Flushed { callback, durable: self.0.durable.clone(), last };
        self.0.log.send(Request::Write { region: region(self.0.shard), items, waiting }).await?;
        if let Some(hook) = &*self.0.on_growth.lock() {
            hook(self.grown());
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let end = last.as_ref().map(|id| id.index());
        {
            let mut state = self.0.state.lock();
            if state.last <= last {
                return Ok(());
            }
            state.recent.truncate_after(end);
            self.0.durable.fetch_min(end.unwrap_or(0), Ordering::AcqRel);
            state.last = last;
            state.end_marked = true;
        }
        let written = self.0.log.write(self.0.shard, vec![Item::Put(END, bytes(&end)?)]).await;
        // Appends that waited before it have raised this again.
        self.0.durable.fetch_min(end.unwrap_or(0), Ordering::AcqRel);
        written
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let behind = self.0.log.last_index(self.0.shard).map_or(0, |last| last + 1);
        let mut items = vec![Item::Put(PURGED, bytes(&upto)?), Item::Compact(upto.index() + 1)];
        {
            let mut state = self.0.state.lock();
            state.recent.purge(upto.index());
            state.purged = state.purged.max(Some(upto));
            if state.last.as_ref() < Some(&upto) {
                // Everything is gone, and the next entry follows the purged one.
                state.last = Some(upto);
                if std::mem::take(&mut state.end_marked) {
                    // With what the mark has voided, all of which is written: it would count again.
                    items.extend([Item::Compact(behind), Item::Delete(END)]);
                }
            }
        }
        self.0.log.write(self.0.shard, items).await?;
        self.0.log.free_files();
        Ok(())
    }
}
