//! Signals: the first SIGTERM or SIGINT asks for a graceful end, the second ends the process; SIGHUP has
//! the node read again what may change while it runs.

use std::process;

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// Turns `true` when the node should stop.
pub type Stop = watch::Receiver<bool>;

/// Watches the signals from now on, on the runtime that calls.
pub fn watch_signals() -> Result<Stop, Failure> {
    let refused = |error| Failure::Start(format!("signals cannot be watched: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let (ask, stop) = watch::channel(false);
    Handle::current().spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: requests in flight are finished, a second signal ends at once");
        ask.send_replace(true);
        next(&mut terminate, &mut interrupt).await;
        tracing::warn!("stopped at once by a second signal");
        process::exit(130);
    });
    Ok(stop)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Watches for SIGHUP from now on: read again what may change.
pub fn watch_hangups() -> Result<Signal, Failure> {
    let refused = |error| Failure::Start(format!("signals cannot be watched: {error}"));
    signal(SignalKind::hangup()).map_err(refused)
}

/// Returns when the node should stop.
pub async fn asked(mut stop: Stop) {
    // An error means that the watcher is gone, and with it the way to ask again: stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}
