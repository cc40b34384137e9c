//! What clients asked and what they heard, in the order in which it happened, and whether one truth
//! explains it: each key is a register whose history is linearizable (Herlihy & Wing 1990).
//!
//! A write whose answer was lost stays open to the end; a read whose answer was lost says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use todc_utils::specifications::register::{RegisterOperation as Operation, RegisterSpecification};
use todc_utils::{Action, History as Checked, WGLChecker};
use xxhash_rust::xxh3::xxh3_64;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Somebody asks to set a key to a value; the operation's number is the value.
    Writes { key: u64, value: u64 },
    /// It is set.
    Written { key: u64, value: u64 },
    /// Somebody asks for the value of a key.
    Reads { key: u64, question: u64 },
    /// It is this.
    Read { key: u64, question: u64, value: u64 },
}

/// The history of one simulation; clones share it.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Vec<Event>>>);

impl History {
    /// Notes what happens.
    pub fn note(&self, event: Event) {
        self.0.lock().push(event);
    }

    /// How much was answered.
    pub fn answers(&self) -> usize {
        let answered = |event: &&Event| matches!(event, Event::Written { .. } | Event::Read { .. });
        self.0.lock().iter().filter(answered).count()
    }

    /// The writes that were acknowledged.
    pub fn written(&self) -> BTreeSet<u64> {
        let written = |event: &Event| match event {
            Event::Written { value, .. } => Some(*value),
            _ => None,
        };
        self.0.lock().iter().filter_map(written).collect()
    }

    /// The same for the same history.
    pub fn digest(&self) -> u64 {
        xxh3_64(self.told(None).as_bytes())
    }

    /// Everything, or all that is about one key.
    pub fn told(&self, key: Option<u64>) -> String {
        let mut text = String::new();
        for event in self.0.lock().iter().filter(|event| key.is_none_or(|key| event.key() == key)) {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{event:?}");
        }
        text
    }

    /// The key whose history no truth explains, if there is one.
    pub fn unexplained(&self) -> Option<u64> {
        let mut keys: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
        for event in self.0.lock().iter() {
            keys.entry(event.key()).or_default().push(*event);
        }
        keys.iter().find(|(_, events)| !is_linearizable(events)).map(|(key, _)| *key)
    }
}

impl Event {
    fn key(&self) -> u64 {
        match self {
            Self::Writes { key, .. }
            | Self::Written { key, .. }
            | Self::Reads { key, .. }
            | Self::Read { key, .. } => *key,
        }
    }
}

fn is_linearizable(events: &[Event]) -> bool {
    let mut numbers = BTreeMap::new();
    let mut actions = Vec::new();
    let mut open = BTreeMap::new();
    let heard = events.iter().filter_map(|event| match event {
        Event::Read { question, .. } => Some(*question),
        _ => None,
    });
    let heard: BTreeSet<u64> = heard.collect();
    let mut number = |writes: bool, name: u64| {
        let next = numbers.len();
        *numbers.entry((writes, name)).or_insert(next)
    };
    for event in events {
        match *event {
            Event::Writes { value, .. } => {
                let number = number(true, value);
                actions.push((number, Action::Call(Operation::Write(value))));
                open.insert(number, value);
            }
            Event::Written { value, .. } => {
                let number = number(true, value);
                actions.push((number, Action::Response(Operation::Write(value))));
                open.remove(&number);
            }
            Event::Reads { question, .. } if heard.contains(&question) => {
                actions.push((number(false, question), Action::Call(Operation::Read(None))));
            }
            Event::Reads { .. } => {}
            Event::Read { question, value, .. } => {
                let number = number(false, question);
                actions.push((number, Action::Response(Operation::Read(Some(value)))));
            }
        }
    }
    let left_open = open.into_iter();
    actions.extend(left_open.map(|(at, value)| (at, Action::Response(Operation::Write(value)))));
    if actions.is_empty() {
        return true;
    }
    WGLChecker::<RegisterSpecification<u64>>::is_linearizable(Checked::from_actions(actions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &[Event]) -> History {
        let history = History::default();
        events.iter().for_each(|event| history.note(*event));
        history
    }

    #[test]
    fn a_stale_read_is_found_out() {
        let (key, value) = (3, 7);
        let mut events = vec![
            Event::Writes { key, value },
            Event::Written { key, value },
            Event::Reads { key, question: 1 },
            Event::Read { key, question: 1, value },
        ];
        assert_eq!(told(&events).unexplained(), None);
        events.extend([
            Event::Reads { key, question: 2 },
            Event::Read { key, question: 2, value: 0 },
        ]);
        assert_eq!(told(&events).unexplained(), Some(key));
    }

    #[test]
    fn a_write_whose_answer_was_lost_may_have_happened_or_not() {
        for seen in [[0, 0], [0, 7], [7, 7], [7, 0]] {
            let key = 1;
            let mut events = vec![Event::Writes { key, value: 7 }];
            for (question, value) in (0..).zip(seen) {
                events.push(Event::Reads { key, question });
                events.push(Event::Read { key, question, value });
            }
            let found = told(&events).unexplained();
            assert_eq!(found.is_some(), seen == [7, 0], "{seen:?}");
        }
    }
}
