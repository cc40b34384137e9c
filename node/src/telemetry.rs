//! Logs and metrics: a subscriber on standard error, and a recorder that `/metrics` renders.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::failure::Failure;

/// What the engines below say of themselves is of use to those who work on them; `log.level` can ask
/// for it by name.
const QUIET: &str = "openraft=error,raft_engine=warn,sled=warn,ractor=warn,hyper=warn,h2=warn";

/// Starts both for the whole process. Called once, before anything else has begun.
pub fn start(log: &Log) -> Result<PrometheusHandle, Failure> {
    let filter = EnvFilter::builder()
        .parse(format!("{QUIET},{}", log.level))
        .map_err(|error| Failure::Start(format!("log.level: {error}")))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(|error| Failure::Start(format!("the log cannot be set up: {error}")))?;
    PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| Failure::Start(format!("the metrics cannot be set up: {error}")))
}
