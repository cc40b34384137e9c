//! Logs and metrics: a subscriber on standard error, and a recorder that `/metrics` renders.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::failure::Failure;

/// What the engines below say of themselves is of use to those who work on them; `log.level` can ask
/// for it by name.
const QUIET: &str = "openraft=error,openraft::core::heartbeat=off,raft_engine=warn,sled=warn,ractor=warn,hyper=warn,h2=warn";

/// Bounds of the buckets of every histogram, in seconds: what a request may take.
const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Starts both for the whole process. Called once, before anything else has begun.
pub fn start(log: &Log) -> Result<PrometheusHandle, Failure> {
    let filter = EnvFilter::builder()
        .parse(format!("{QUIET},{}", log.level))
        .map_err(|error| Failure::Start(format!("log.level: {error}")))?;
    // A line that cannot be written is lost, and nothing with it: told to, this crate would say so by a
    // macro that panics where standard error cannot be written, in whoever had something to log.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(|error| Failure::Start(format!("the log cannot be set up: {error}")))?;
    PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Failure::Start(format!("the metrics cannot be set up: {error}")))
}
