//! A cluster in trouble, again and again: see `janua_tests::trouble`.

use clap::Parser;
use janua_tests::trouble::people_are_told_one_truth;

/// Shake a cluster of three, and hold it to what it has told.
#[derive(Debug, Parser)]
#[command(name = "trouble", max_term_width = 100)]
struct Cli {
    /// The seed of the first run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many runs, each with the next seed
    #[arg(long, default_value_t = 10)]
    runs: u64,
}

#[tokio::main]
async fn main() {
    let cli = Cli::parse();
    for seed in cli.seed..cli.seed.saturating_add(cli.runs) {
        eprintln!("seed {seed}");
        people_are_told_one_truth(seed).await;
    }
}
