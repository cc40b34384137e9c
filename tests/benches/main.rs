//! Benchmarks: what the program does, as a ratio to a reference that the same generator drives on the
//! same machine in the same run. Prints, and never fails for being slow.

mod bare;
mod etcd;
mod load;
mod machine;
mod rows;
mod table;

use clap::{Parser, ValueEnum};

use crate::table::Table;

/// Measure Janua against references in the same run.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 100)]
struct Cli {
    /// The rows to measure; all of them when none is named
    rows: Vec<Row>,
    /// Rounds of each measurement, reference and Janua in turn; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Users and sessions of the rows that need many
    #[arg(long, default_value_t = 1_000_000)]
    users: usize,
    /// Serve this text over bare hyper, as the reference of `me` does in a process of its own
    #[arg(long, hide = true)]
    serve_bare: Option<String>,
}

/// One line of the table, or a few that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Row {
    /// Logins, against bare Argon2id verifications
    Login,
    /// Logins offered three times what fits
    Overload,
    /// GET /users/me, against a bare hyper server answering the same JSON
    Me,
    /// POST /auth/refresh, against a lone etcd's put
    Refresh,
    /// Start on an empty folder until ready
    Start,
    /// Resident memory when idle
    Memory,
    /// Memory and cost with many users and sessions stored
    Many,
    /// POST /auth/refresh at three nodes, against an etcd of three
    ClusterRefresh,
    /// GET /users/me at a node that is not the owner, against the owner
    ClusterMe,
    /// Logins at three nodes, against bare Argon2id verifications
    ClusterLogin,
    /// GET /users/me while another tenant's snapshot is taken, sent and installed
    ClusterSnapshot,
    /// CPU and memory of three nodes that nobody uses
    ClusterIdle,
    /// How long nobody's write is answered when a leader is killed, beside an etcd of three
    FailOver,
}

/// How long and how often to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds of each.
    pub rounds: usize,
    /// Of one round.
    pub time: std::time::Duration,
    /// Users of the rows that need many.
    pub users: usize,
}

fn main() {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("threads");
    if let Some(text) = cli.serve_bare {
        return runtime.block_on(bare::serve(text));
    }
    let time = std::time::Duration::from_secs(cli.seconds);
    let effort = Effort { rounds: cli.rounds.max(1), time, users: cli.users };
    let rows = if cli.rows.is_empty() { Row::value_variants().to_vec() } else { cli.rows };
    machine::print();
    let mut table = Table::default();
    for row in rows {
        eprintln!("measuring {row:?}");
        runtime.block_on(async {
            match row {
                Row::Login => rows::login::measure(effort, &mut table).await,
                Row::Overload => rows::overload::measure(effort, &mut table).await,
                Row::Me => rows::me::measure(effort, &mut table).await,
                Row::Refresh => rows::refresh::measure(effort, &mut table).await,
                Row::Start => rows::start::measure(effort, &mut table).await,
                Row::Memory => rows::memory::measure(effort, &mut table).await,
                Row::Many => rows::many::measure(effort, &mut table).await,
                Row::ClusterRefresh => rows::cluster::rates::refresh(effort, &mut table).await,
                Row::ClusterMe => rows::cluster::rates::me(effort, &mut table).await,
                Row::ClusterLogin => rows::cluster::rates::login(effort, &mut table).await,
                Row::ClusterSnapshot => rows::cluster::snapshot::measure(effort, &mut table).await,
                Row::ClusterIdle => rows::cluster::idle::measure(effort, &mut table).await,
                Row::FailOver => rows::cluster::failover::measure(effort, &mut table).await,
            }
        });
    }
    table.print();
}
