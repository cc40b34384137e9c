//! Resident memory of a node that has nothing to do: just started, and after it has been busy.

use std::time::Duration;

use super::clients::Me;
use super::{CONNECTIONS, sessions, shipped};
use crate::Effort;
use crate::load::{Pace, run};
use crate::machine::memory_of;
use crate::table::Table;

/// How long a node has been left alone when it counts as idle.
pub const QUIET: Duration = Duration::from_secs(15);

/// Measures the row.
pub async fn measure(effort: Effort, table: &mut Table) {
    let node = shipped().start().await;
    tokio::time::sleep(QUIET).await;
    let (started, _) = memory_of(node.process_id());
    let sessions = sessions(&node, CONNECTIONS).await;
    let clients =
        sessions.into_iter().map(|session| Me::with(vec![session.access_token])).collect();
    run(&node.api.address(), node.process_id(), clients, effort.time, Pace::Flat).await;
    tokio::time::sleep(QUIET).await;
    let (after_work, most) = memory_of(node.process_id());
    let ours = format!("{after_work:.0} MB after work (at most {most:.0} MB during it)");
    table.add(
        "resident memory when idle",
        ours,
        "–".into(),
        format!("{started:.0} MB"),
        "40 MB (aim 25)",
    );
}
