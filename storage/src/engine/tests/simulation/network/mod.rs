//! The network between simulated machines: connections that keep the order of their bytes and lose
//! none, as TCP's do, until they break; ways that are slow, or closed in one direction or in both.

mod end;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub use self::end::End;
use crate::engine::link::Channel;
use crate::engine::tests::Dice;

/// Bytes that may be under way before the sender has to wait.
const WINDOW: usize = 256 * 1024;
/// How long after a way has opened again what was lost on it is sent anew, at most.
const RESENT: u64 = 200;

/// Where connections arrive.
pub type Port = mpsc::UnboundedReceiver<(End, Channel, u64)>;

/// The network; clones share it.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

struct State {
    now: u64,
    seed: u64,
    ways: BTreeMap<(u64, u64), Way>,
    ports: BTreeMap<u64, mpsc::UnboundedSender<(End, Channel, u64)>>,
    /// Machines without power: whatever is sent to them is lost, and nobody says so.
    dark: BTreeSet<u64>,
    knocks: Vec<Knock>,
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

/// From one machine to another.
struct Way {
    dice: Dice,
    closed: bool,
    /// Nothing arrives before then.
    not_before: u64,
    /// Milliseconds at least, and how many more at most.
    delay: (u64, u64),
}

struct Knock {
    from: u64,
    to: u64,
    channel: Channel,
    due: u64,
    answer: oneshot::Sender<End>,
}

struct Connection {
    /// From the end that has connected, and to it.
    pipes: [Pipe; 2],
    broken: bool,
    /// One of its machines lost its power: nothing is said to the other any more.
    mute: bool,
}

#[derive(Default)]
struct Pipe {
    from: u64,
    to: u64,
    under_way: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
    last_due: u64,
    arrived: VecDeque<u8>,
    /// Whoever wrote has gone: the end comes behind what is under way.
    ending: bool,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    fn way(&mut self, from: u64, to: u64) -> &mut Way {
        let seed = self.seed ^ (from << 40) ^ (to << 48);
        self.ways.entry((from, to)).or_insert_with(|| Way {
            dice: Dice(seed),
            closed: false,
            not_before: 0,
            delay: (1, 2),
        })
    }

    fn due(&mut self, from: u64, to: u64) -> u64 {
        let now = self.now;
        let way = self.way(from, to);
        now + way.delay.0 + way.dice.roll(way.delay.1 + 1)
    }

    fn is_open(&mut self, from: u64, to: u64) -> bool {
        let now = self.now;
        let way = self.way(from, to);
        !way.closed && way.not_before <= now
    }

    fn break_connections(&mut self, which: impl Fn(&Connection) -> bool) -> Vec<Waker> {
        let mut woken = Vec::new();
        for connection in self.connections.values_mut().filter(|connection| which(connection)) {
            connection.broken = true;
            connection.wake(&mut woken);
        }
        woken
    }
}

impl Connection {
    fn wake(&mut self, woken: &mut Vec<Waker>) {
        for pipe in &mut self.pipes {
            woken.extend(pipe.reader.take());
            woken.extend(pipe.writer.take());
        }
    }

    fn is_of(&self, one: u64, other: u64) -> bool {
        let Pipe { from, to, .. } = self.pipes[0];
        (from, to) == (one, other) || (from, to) == (other, one)
    }

    fn touches(&self, node: u64) -> bool {
        self.pipes[0].from == node || self.pipes[0].to == node
    }
}

impl Network {
    /// A network that works well.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            now: 0,
            seed,
            ways: BTreeMap::new(),
            ports: BTreeMap::new(),
            dark: BTreeSet::new(),
            knocks: Vec::new(),
            connections: BTreeMap::new(),
            next: 0,
        })))
    }

    /// Where a machine is reached from now on.
    pub fn listen(&self, node: u64) -> Port {
        let (port, arrivals) = mpsc::unbounded_channel();
        let before = self.0.lock().ports.insert(node, port);
        drop(before);
        arrivals
    }

    /// Asks a machine for a connection. The answer is dropped if it refuses, and never comes if it
    /// is not reached.
    pub fn knock(&self, from: u64, to: u64, channel: Channel) -> oneshot::Receiver<End> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.0.lock();
        let due = state.due(from, to);
        state.knocks.push(Knock { from, to, channel, due, answer });
        answered
    }

    /// Closes or opens the way from one machine to another.
    pub fn close(&self, from: u64, to: u64, closed: bool) {
        let mut state = self.0.lock();
        let now = state.now;
        let way = state.way(from, to);
        if way.closed && !closed {
            way.not_before = now + way.dice.roll(RESENT);
        }
        way.closed = closed;
    }

    /// How many milliseconds a way takes at least, and how many more at most.
    pub fn delay(&self, from: u64, to: u64, delay: (u64, u64)) {
        self.0.lock().way(from, to).delay = delay;
    }

    /// Breaks all connections between two machines: what is under way is lost.
    pub fn reset(&self, one: u64, other: u64) {
        let woken = self.0.lock().break_connections(|connection| connection.is_of(one, other));
        woken.into_iter().for_each(Waker::wake);
    }

    /// A machine loses its power, and nobody hears of it.
    pub fn power_off(&self, node: u64) {
        let mut state = self.0.lock();
        state.dark.insert(node);
        for connection in state.connections.values_mut() {
            connection.mute |= connection.touches(node);
        }
        let port = state.ports.remove(&node);
        drop(state);
        drop(port);
    }

    /// The program of a machine has ended: who knocks is refused.
    pub fn end(&self, node: u64) {
        let port = self.0.lock().ports.remove(&node);
        drop(port);
    }

    /// A machine has power, and knows nothing of what was.
    pub fn power_on(&self, node: u64) {
        let mut state = self.0.lock();
        state.dark.remove(&node);
        let woken =
            state.break_connections(|connection| connection.mute && connection.touches(node));
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Delivers what is due by now.
    pub fn deliver(&self, now: u64) {
        let mut woken = Vec::new();
        let mut state = self.0.lock();
        state.now = now;
        let mut ids: Vec<u64> = state.connections.keys().copied().collect();
        ids.retain(|id| {
            let connection = &state.connections[id];
            !connection.broken && !connection.mute
        });
        for id in ids {
            for side in 0..2 {
                let (from, to) = {
                    let pipe = &state.connections[&id].pipes[side];
                    if pipe.under_way.is_empty() && (pipe.ended || !pipe.ending) {
                        continue;
                    }
                    (pipe.from, pipe.to)
                };
                let open = state.is_open(from, to);
                let Some(connection) = state.connections.get_mut(&id).filter(|_| open) else {
                    continue;
                };
                connection.deliver(side, now, &mut woken);
            }
        }
        let refused = self.answer_knocks(&mut state);
        drop(state);
        drop(refused);
        woken.into_iter().for_each(Waker::wake);
    }

    /// The knocks that are refused.
    fn answer_knocks(&self, state: &mut State) -> Vec<Knock> {
        let mut refused = Vec::new();
        for knock in std::mem::take(&mut state.knocks) {
            let Knock { from, to, .. } = knock;
            let reached = state.is_open(from, to) && state.is_open(to, from);
            if knock.answer.is_closed() {
                refused.push(knock);
            } else if knock.due > state.now || !reached || state.dark.contains(&to) {
                state.knocks.push(knock);
            } else if let Some(port) = state.ports.get(&to).filter(|port| !port.is_closed()) {
                let port = port.clone();
                let id = state.next;
                state.next += 1;
                let pipe = |from, to| Pipe { from, to, ..Pipe::default() };
                let pipes = [pipe(from, to), pipe(to, from)];
                state.connections.insert(id, Connection { pipes, broken: false, mute: false });
                let end = |side| End::new(self.clone(), id, side);
                // Neither is refused, since both were asked for a moment ago.
                if let Err(lost) = port.send((end(1), knock.channel, from)) {
                    lost.0.0.forget();
                }
                if let Err(given_up) = knock.answer.send(end(0)) {
                    given_up.forget();
                }
            } else {
                refused.push(knock);
            }
        }
        refused
    }
}

impl Connection {
    fn deliver(&mut self, side: usize, now: u64, woken: &mut Vec<Waker>) {
        let pipe = &mut self.pipes[side];
        while pipe.under_way.front().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, bytes)) = pipe.under_way.pop_front() {
                pipe.bytes -= bytes.len();
                pipe.arrived.extend(bytes);
                woken.extend(pipe.reader.take());
                woken.extend(pipe.writer.take());
            }
        }
        if pipe.ending && pipe.under_way.is_empty() && !pipe.ended {
            pipe.ended = true;
            woken.extend(pipe.reader.take());
            // Whoever has gone reads nothing either.
            woken.extend(self.pipes[1 - side].writer.take());
        }
    }
}
