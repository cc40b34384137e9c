//! Signals: the first SIGTERM or SIGINT asks for a graceful end, the second ends the process; SIGHUP has
//! the node read again what may change while it runs. A node that another program has started may also
//! end with that.

use std::future::poll_fn;
use std::task::Poll;
use std::{io, process, thread};

use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::failure::Failure;

/// Turns `true` when the node should stop.
pub type Stop = watch::Receiver<bool>;

/// Signals that no longer end the process, but are waited for.
pub struct Signals(Vec<Signal>);

impl Signals {
    /// Watches these from now on, on the runtime that calls.
    pub fn watch(kinds: &[SignalKind]) -> Result<Self, Failure> {
        let watched = kinds.iter().map(|kind| signal(*kind)).collect::<io::Result<_>>();
        let refused = |error| Failure::Start(format!("signals cannot be watched: {error}"));
        watched.map(Self).map_err(refused)
    }

    /// Returns with the next of them.
    pub async fn next(&mut self) {
        poll_fn(|context| {
            let came = self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
            if came { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Watches the signals that stop a node from now on, on the runtime that calls.
pub fn watch_signals() -> Result<Stop, Failure> {
    let mut signals = Signals::watch(&[SignalKind::terminate(), SignalKind::interrupt()])?;
    let (ask, stop) = watch::channel(false);
    Handle::current().spawn(async move {
        signals.next().await;
        tracing::info!("stopping: requests in flight are finished, a second signal ends at once");
        ask.send_replace(true);
        signals.next().await;
        tracing::warn!("stopped at once by a second signal");
        process::exit(130);
    });
    Ok(stop)
}

/// Ends the process at once when standard input ends, as it does with whoever holds its other side,
/// however that came to its end.
pub fn end_with_standard_input() {
    thread::spawn(|| {
        // An error means that there is nobody on the other side either.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        process::exit(130);
    });
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
