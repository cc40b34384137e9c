//! Several nodes as one: joining, failing, leaving.

mod failover;
mod joining;
mod partitions;
mod routing;
mod troubles;
