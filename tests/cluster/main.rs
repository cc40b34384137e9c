//! Several nodes as one: joining, failing, leaving.

mod failover;
mod joining;
mod routing;
