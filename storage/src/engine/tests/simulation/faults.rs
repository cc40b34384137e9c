//! What goes wrong, and when.

use std::collections::BTreeSet;

use super::world::World;

/// The trouble of one seed.
pub struct Faults {
    /// Who is to vote.
    pub voters: BTreeSet<u64>,
    /// How many faults there were.
    pub count: usize,
}

impl Faults {
    /// None so far.
    pub fn new(voters: BTreeSet<u64>) -> Self {
        Self { voters, count: 0 }
    }

    /// Lets go wrong what is to go wrong now.
    pub fn act(&mut self, _world: &mut World) {}

    /// Makes an end of it all.
    pub fn end(&mut self, _world: &mut World) {}
}
