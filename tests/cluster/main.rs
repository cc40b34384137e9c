//! Several nodes as one: joining, failing, leaving.

mod demo;
mod failover;
mod flows;
mod joining;
mod partitions;
mod routing;
mod troubles;
