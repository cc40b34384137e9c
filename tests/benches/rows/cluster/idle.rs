//! What a cluster costs that nobody uses.

use std::time::{Duration, Instant};

use super::three;
use crate::Effort;
use crate::machine::{cpu_of, memory_of};
use crate::rows::memory::QUIET;
use crate::table::{Table, spread};

/// How long CPU is watched.
const WATCHED: Duration = Duration::from_secs(20);

/// Measures the rows.
pub async fn measure(_: Effort, table: &mut Table) {
    let cluster = three().await;
    tokio::time::sleep(QUIET).await;
    let processes = super::processes(&cluster);
    let spent = || processes.iter().map(|process| cpu_of(*process)).collect::<Vec<_>>();
    let (before, begun) = (spent(), Instant::now());
    tokio::time::sleep(WATCHED).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let share = |(after, before): (Duration, &Duration)| (after - *before).as_secs_f64() / elapsed;
    let shares: Vec<_> = spent().into_iter().zip(&before).map(share).map(|it| it * 100.0).collect();
    let memory: Vec<_> = processes.iter().map(|process| memory_of(*process).0).collect();
    let (none, work) = (|| "–".to_owned(), "three nodes, idle: CPU of each, % of a core");
    table.add(work, spread(&shares), none(), none(), "2 %");
    table.add(
        "three nodes, idle: resident memory of each, MB",
        spread(&memory),
        none(),
        none(),
        "60",
    );
}
