//! Records, commands and the Raft shards below them: **storage records, actors decide, http
//! translates, node wires.**

pub mod codec;
pub mod command;
pub mod effect;
pub mod engine;
pub mod fault;
pub mod ids;
pub mod records;
pub mod state_machine;
pub mod transaction;
