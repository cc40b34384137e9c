//! Several nodes as one: joining, failing, leaving.

mod backups;
mod demo;
mod failover;
mod flows;
mod growing;
mod joining;
mod partitions;
mod replicas;
mod routing;
mod troubles;
mod versions;
