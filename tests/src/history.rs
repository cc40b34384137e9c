//! What clients asked and what they heard, in the order of real time, and whether one truth explains
//! it: a history of one register that is linearizable (Herlihy & Wing 1990), by the checker of
//! `todc-utils` (Wing & Gong, Lowe).
//!
//! A write whose answer was lost may have happened at any time after it was asked, or never: it stays
//! open to the end of the history, where nobody looks any more. A read whose answer was lost says
//! nothing, and is left out.

use std::sync::{Arc, Mutex};

use todc_utils::specifications::register::{RegisterOperation as Operation, RegisterSpecification};
use todc_utils::{Action, History, WGLChecker};

/// One value and everything that was asked of it.
#[derive(Clone, Default)]
pub struct Register(Arc<Mutex<Vec<Entry>>>);

#[derive(Clone)]
enum Entry {
    Asked(Option<u64>),
    Answered { asked: usize, operation: Operation<u64> },
}

/// A question that waits for its answer; dropped without one, the answer was lost.
pub struct Asked {
    register: Register,
    at: usize,
}

impl Register {
    /// Somebody asks for the value.
    pub fn reads(&self) -> Asked {
        self.asks(None)
    }

    /// Somebody sets the value.
    pub fn writes(&self, value: u64) -> Asked {
        self.asks(Some(value))
    }

    fn asks(&self, write: Option<u64>) -> Asked {
        let mut entries = self.0.lock().expect("no holder panics");
        entries.push(Entry::Asked(write));
        Asked { register: self.clone(), at: entries.len() - 1 }
    }

    /// How many questions were answered.
    pub fn answers(&self) -> usize {
        let entries = self.0.lock().expect("no holder panics");
        entries.iter().filter(|entry| matches!(entry, Entry::Answered { .. })).count()
    }

    /// Whether one truth explains every answer.
    pub fn is_linearizable(&self) -> bool {
        let entries = self.0.lock().expect("no holder panics").clone();
        let mut actions = Vec::new();
        let mut open = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            let answer = entries.iter().find_map(|entry| match entry {
                Entry::Answered { asked, operation } if *asked == at => Some(*operation),
                _ => None,
            });
            match entry {
                Entry::Asked(Some(value)) => {
                    actions.push((at, Action::Call(Operation::Write(*value))));
                    if answer.is_none() {
                        open.push((at, Action::Response(Operation::Write(*value))));
                    }
                }
                Entry::Asked(None) if answer.is_some() => {
                    actions.push((at, Action::Call(Operation::Read(None))));
                }
                Entry::Asked(None) => {}
                Entry::Answered { asked, operation } => {
                    actions.push((*asked, Action::Response(*operation)));
                }
            }
        }
        actions.extend(open);
        if actions.is_empty() {
            return true;
        }
        WGLChecker::<RegisterSpecification<u64>>::is_linearizable(History::from_actions(actions))
    }

    /// Everything, for a reader of a failed test.
    pub fn told(&self) -> String {
        let entries = self.0.lock().expect("no holder panics");
        let line = |(at, entry): (usize, &Entry)| match entry {
            Entry::Asked(Some(value)) => format!("{at}: writes {value}"),
            Entry::Asked(None) => format!("{at}: reads"),
            Entry::Answered { asked, operation } => format!("{asked}: heard {operation:?}"),
        };
        entries.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Asked {
    /// The value was this.
    pub fn was(self, value: u64) {
        self.answered(Operation::Read(Some(value)));
    }

    /// The value has been set.
    pub fn is_done(self) {
        let written = match self.register.0.lock().expect("no holder panics")[self.at] {
            Entry::Asked(Some(value)) => value,
            _ => panic!("only a write is done"),
        };
        self.answered(Operation::Write(written));
    }

    /// It was refused: nothing has happened, and nothing will.
    pub fn is_refused(self) {
        self.register.0.lock().expect("no holder panics")[self.at] = Entry::Asked(None);
    }

    fn answered(self, operation: Operation<u64>) {
        let mut entries = self.register.0.lock().expect("no holder panics");
        entries.push(Entry::Answered { asked: self.at, operation });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_read_is_found_out() {
        let register = Register::default();
        register.writes(1).is_done();
        register.reads().was(1);
        assert!(register.is_linearizable());
        register.reads().was(0);
        assert!(!register.is_linearizable());
    }

    #[test]
    fn a_write_whose_answer_was_lost_may_have_happened_or_not() {
        for seen in [[0, 0], [0, 7], [7, 7]] {
            let register = Register::default();
            drop(register.writes(7));
            seen.into_iter().for_each(|value| register.reads().was(value));
            assert!(register.is_linearizable(), "{seen:?}");
        }
        let register = Register::default();
        drop(register.writes(7));
        [7, 0].into_iter().for_each(|value| register.reads().was(value));
        assert!(!register.is_linearizable(), "it has happened, and not any more");
    }

    #[test]
    fn a_refused_write_never_happens() {
        let register = Register::default();
        register.writes(7).is_refused();
        register.reads().was(7);
        assert!(!register.is_linearizable());
    }
}
