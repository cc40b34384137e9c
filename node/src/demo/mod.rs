//! `janua demo`: a cluster on this machine with people at work on it, of which nodes are killed while
//! everybody watches. This is the order of things; it ends, however it ends, with nothing left behind.

mod children;
mod client;
mod facts;
mod lookout;
mod people;
mod show;
mod stage;
mod state;
mod strikes;
mod tally;
mod view;

use std::time::Duration;

use clap::{Args, value_parser};
use tokio::signal::unix::SignalKind;

use self::show::Show;
use self::stage::Stage;
use crate::failure::Failure;
use crate::offline::{block_on, failed};
use crate::shutdown::Signals;

/// `janua demo`
#[derive(Debug, Args)]
#[command(after_help = "\
    The nodes are programs of their own on free ports of 127.0.0.1, in a temporary folder. People \
    register, log in, refresh, read and log out through all of them; what fails to be answered is \
    asked once more at another node under the same Idempotency-Key. Every write that was acknowledged \
    is checked later at another node: `lost` counts those that it does not know, and stays 0.\n\n\
    Keys: 1-9 and arrows choose a node; k kills it (SIGKILL) or starts it again; s has it stand still \
    (SIGSTOP) or go on; q quits. Kill more than half, and nothing is answered until they are back: \
    no answer is better than a wrong one.\n\n\
    Whatever ends it (q, Ctrl-C, SIGTERM, a closed terminal) ends the nodes and removes their folder. \
    Exit code 0: nothing was lost, and with --for everything was checked; 1: something was, or the \
    cluster could not be started.")]
pub struct Demo {
    /// How many nodes; from five on, two may fail at once without anybody noticing for long
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(3..=9))]
    nodes: u8,
    /// How many requests a second at most; 60 leave the machine to its user
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// End after so long at work (10s, 5min), when everything that was acknowledged has been checked
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    length: Option<Duration>,
    /// Kill a node this often, one after the other, and start it again halfway to the next
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    kill_every: Option<Duration>,
    /// Print one JSON object a second instead of the view, as happens without a terminal
    #[arg(long)]
    json: bool,
}

/// What ends the demo from outside; a closed terminal is one of them.
const ENDING: [fn() -> SignalKind; 4] =
    [SignalKind::terminate, SignalKind::interrupt, SignalKind::hangup, SignalKind::quit];

/// Runs the demo to its end.
pub fn run(command: &Demo) -> Result<(), Failure> {
    block_on(async {
        let mut signals = Signals::watch(&ENDING.map(|kind| kind()))?;
        let mut show = Show::open(command.json)?;
        let mut stage = Stage::set(command)?;
        let played = tokio::select! {
            () = signals.next() => Ok(()),
            played = stage.play(&mut show) => played,
        };
        let state = stage.clear()?;
        let told = show.close(&state);
        played?;
        match &state.counts.first_loss {
            Some(loss) => Err(failed(format!("{} were lost; first {loss}", state.counts.lost))),
            None => told,
        }
    })
}

/// A time of at least a second.
fn seconds(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time < Duration::from_secs(1) { Err("must be 1s or longer".into()) } else { Ok(time) }
}
