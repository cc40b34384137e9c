//! Logs and metrics: a subscriber on standard error, and a recorder that `/metrics` renders.

use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::failure::Failure;

/// What the engines below say of themselves is of use to those who work on them; `log.level` can ask
/// for it by name.
const QUIET: &str = "openraft=error,openraft::core::heartbeat=off,raft_engine=warn,sled=warn,ractor=warn,hyper=warn,h2=warn";

/// Bounds of the buckets of histograms of seconds: what a request may take.
const SECONDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Bounds of the buckets of histograms that count what was done at once.
const AT_ONCE: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

const COUNTERS: [(&str, &str); 18] = [
    ("janua_actor_failures_total", "Actors that failed and were started anew"),
    ("janua_cluster_refused_total", "Connections to the cluster's port that were refused"),
    ("janua_forwarding_retries_total", "Requests that were sent to a leader once more"),
    ("janua_gateway_calls_total", "Calls to other nodes"),
    ("janua_gateway_lost_total", "Calls to other nodes whose outcome is unknown"),
    (
        "janua_gateway_shed_total",
        "Calls to other nodes that were refused because too many were under way",
    ),
    ("janua_hashing_refused_total", "Password hashes that were refused because too many waited"),
    ("janua_http_connections_refused_total", "Connections of clients that were refused"),
    ("janua_http_requests_total", "Requests that were answered; unmatched are those to no route"),
    ("janua_mails_total", "Attempts to send a mail"),
    ("janua_raft_late_beats_total", "Heartbeats that came late because the machine was too busy"),
    ("janua_storage_damage_total", "Damage that was found in the state"),
    (
        "janua_storage_poisoned_total",
        "Failures of the disk after which nothing is acknowledged any more",
    ),
    ("janua_storage_rebuilds_total", "Shards whose state was rebuilt while the node served"),
    ("janua_storage_snapshots_total", "Snapshots that were taken"),
    ("janua_storage_stopped_total", "Shards that stopped because an entry could not be applied"),
    ("janua_text_messages_failed_total", "Text messages that a tenant's webhook did not take"),
    ("janua_users_forgotten_total", "Accounts of which what the audit log said was erased"),
];

const GAUGES: [(&str, &str); 3] = [
    ("janua_http_connections", "Connections of clients"),
    ("janua_http_requests_in_flight", "Requests that are being answered"),
    ("janua_session_actors", "Sessions with an actor"),
];

const HISTOGRAMS: [(&str, &str); 2] = [
    ("janua_http_request_seconds", "Time from the head of a request to its answer"),
    ("janua_log_batch_writes", "Writes that shared one sync of the log"),
];

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
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_writes".into()), &AT_ONCE)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Failure::Start(format!("the metrics cannot be set up: {error}")))?;
    describe();
    Ok(handle)
}

fn describe() {
    for (name, text) in COUNTERS {
        describe_counter!(name, text);
    }
    for (name, text) in GAUGES {
        describe_gauge!(name, text);
    }
    for (name, text) in HISTOGRAMS {
        describe_histogram!(name, text);
    }
}
