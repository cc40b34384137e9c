//! The listeners: they accept, admit, and give each connection a task of its own; and they stop
//! without losing what is in flight.

mod activity;
mod admission;
mod connection;
mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::app::{App, Door};
use crate::observe::Present;
use crate::settings::TlsFiles;

use admission::Admission;
use connection::Spawner;
use tls::Certificate;

/// How long the node pauses accepting when the system has no descriptors left.
const BREATHER: Duration = Duration::from_millis(50);

/// How often rate limit buckets are tidied.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Whether a server could start with this certificate and key.
///
/// # Errors
/// What `serve` would say of them.
pub fn check_tls(files: &TlsFiles) -> io::Result<()> {
    Certificate::load(files.clone())?.acceptor().map(drop)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Stopped,
}

/// What the tasks of a server share.
struct Server {
    app: Arc<App>,
    http: auto::Builder<Spawner>,
    tls: Option<TlsAcceptor>,
    admission: Arc<Admission>,
    handle: Handle,
    tasks: TaskTracker,
    phase: watch::Receiver<Phase>,
}

/// Serves clients on `public`, and operators on `admin` when the settings keep them apart, until
/// `shutdown` is done and what was in flight has been answered.
///
/// # Errors
/// Certificate and key that are configured but cannot be used.
pub async fn serve(
    app: Arc<App>,
    public: TcpListener,
    admin: Option<TcpListener>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let certificate = app.settings.tls.clone().map(Certificate::load).transpose()?;
    let (phase, serving) = watch::channel(Phase::Serving);
    let server = Arc::new(Server {
        http: connection::protocol(&app.settings),
        tls: certificate.as_ref().map(Certificate::acceptor).transpose()?,
        admission: Arc::new(Admission::new(&app.settings)),
        handle: Handle::current(),
        tasks: TaskTracker::new(),
        phase: serving,
        app,
    });
    server.spawn(server.clone().accept(public, Door::Public));
    if let Some(admin) = admin {
        server.spawn(server.clone().accept(admin, Door::Admin));
    }
    server.spawn(server.clone().tidy());
    if let Some(certificate) = certificate {
        server.spawn(server.clone().reload(certificate));
    }

    shutdown.await;
    server.app.announce_stop();
    phase.send_replace(Phase::Draining);
    server.tasks.close();
    let drain = server.app.settings.timeouts.drain;
    if tokio::time::timeout(drain, server.tasks.wait()).await.is_err() {
        tracing::warn!(connections = server.tasks.len(), "cutting off requests that do not end");
        phase.send_replace(Phase::Stopped);
        server.tasks.wait().await;
    }
    Ok(())
}

impl Server {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.handle);
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, door: Door) {
        let mut phase = self.phase.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = phase.changed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer.ip(), door),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
    }

    fn welcome(self: &Arc<Self>, stream: TcpStream, peer: std::net::IpAddr, door: Door) {
        let Some(seat) = self.admission.admit(peer) else { return };
        let server = Arc::clone(self);
        self.spawn(async move {
            let _seat = seat;
            let _present = Present::in_gauge(&metrics::gauge!("janua_http_connections"));
            // A connection without it is slower, not wrong.
            stream.set_nodelay(true).ok();
            match &server.tls {
                None => connection::run(&server, stream, peer, door).await,
                Some(tls) => {
                    let handshake = tls.accept(stream);
                    let limit = server.app.settings.timeouts.head;
                    match tokio::time::timeout(limit, handshake).await {
                        Ok(Ok(stream)) => connection::run(&server, stream, peer, door).await,
                        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!("a TLS handshake took too long"),
                    }
                }
            }
        });
    }

    async fn tidy(self: Arc<Self>) {
        self.each(TIDY_EVERY, || self.app.limits.tidy()).await;
    }

    async fn reload(self: Arc<Self>, mut certificate: Certificate) {
        let every = self.app.settings.timeouts.tls_reload;
        self.each(every, || certificate.reload_if_changed()).await;
    }

    /// Does something again and again until the server stops.
    async fn each(&self, every: Duration, mut work: impl FnMut()) {
        let mut phase = self.phase.clone();
        while tokio::time::timeout(every, phase.changed()).await.is_err() {
            work();
        }
    }
}
