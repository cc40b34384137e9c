//! Records, commands and the Raft shards below them: **storage records, actors decide, http
//! translates, node wires.**

pub mod backup;
pub mod capability;
pub mod cluster_key;
pub mod codec;
pub mod command;
pub mod effect;
pub mod engine;
pub mod event;
pub mod fault;
pub mod idempotency;
pub mod ids;
pub mod keys;
pub mod membership;
pub mod moment;
pub mod one_time;
pub mod outbox;
pub mod pkce;
pub mod records;
pub mod seal;
pub mod secret;
pub mod state_machine;
pub mod sweep;
pub mod traces;
pub mod transaction;
pub mod version;
pub mod view;

#[cfg(test)]
mod golden;
