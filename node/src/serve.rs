//! `janua serve`: the floors put together, from the data folder up to the listener, and taken down
//! again in the opposite order.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use janua_actors::clock::{SharedClock, SystemClock};
use janua_actors::directory::Directory;
use janua_http::app::{App, Services};
use janua_http::limits::ticks::Ticks;
use janua_http::server;
use janua_storage::engine::{Parts, Shards};
use janua_storage::ids::RequestId;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::runtime;

use crate::cli::Serve;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::output::{Founded, Output};
use crate::{cluster_key, floors, shutdown, telemetry};

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

async fn serve(config: &Config, output: Output, metrics: PrometheusHandle) -> Result<(), Failure> {
    let stop = shutdown::watch_signals()?;
    // The ports first: a taken one is found out before the data folder is touched.
    let public = bind(config.http.listen, "http.listen").await?;
    let admin = match config.http.admin_listen {
        Some(address) => Some(bind(address, "http.admin_listen").await?),
        None => None,
    };
    let shards = open_storage(config).await?;
    let served = serve_on(config, output, metrics, &shards, public, admin, stop).await;
    shards.close().await;
    served
}

async fn serve_on(
    config: &Config,
    output: Output,
    metrics: PrometheusHandle,
    shards: &Arc<Shards>,
    public: TcpListener,
    admin: Option<TcpListener>,
    stop: shutdown::Stop,
) -> Result<(), Failure> {
    let clock: SharedClock = Arc::new(SystemClock);
    let directory = start_actors(config, output, shards, &clock).await?;
    let services = services(&clock, shards, metrics);
    let app = App::new(floors::http(config)?, services).map_err(Failure::start)?;
    let addresses = (local(&public)?, admin.as_ref().map(local).transpose()?);
    output.listening(addresses.0, addresses.1, config.http.tls_key.is_some())?;
    let served = server::serve(app, public, admin, shutdown::asked(stop)).await;
    directory.stop().await;
    served.map_err(Failure::start)
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| Failure::Start(format!("{key} cannot listen on {address}: {error}")))
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(Failure::start)
}

async fn open_storage(config: &Config) -> Result<Arc<Shards>, Failure> {
    make_private(&config.node.data_dir)?;
    let opened = Shards::open(floors::storage(config)?, Parts::default()).await;
    opened.map(Arc::new).map_err(Failure::start)
}

/// Makes the data folder, if it is not there, for this user alone.
fn make_private(folder: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| {
        Failure::Start(format!("data folder {} cannot be used: {error}", folder.display()))
    })
}

/// The actors, above a cluster that exists: founded now if it did not.
async fn start_actors(
    config: &Config,
    output: Output,
    shards: &Arc<Shards>,
    clock: &SharedClock,
) -> Result<Directory, Failure> {
    let folder = &config.node.data_dir;
    let key = cluster_key::load(shards, folder, &config.storage, clock).await?;
    let options = floors::actors(config)?;
    let directory = Directory::start(shards.clone(), key, clock.clone(), options);
    let directory = directory.await.map_err(Failure::start)?;
    let founding = directory.found(floors::bootstrap(config)).await;
    if let Some(founding) = founding.map_err(Failure::start)? {
        tracing::info!(tenant = %founding.tenant, "founded a cluster");
        output.founded(&Founded {
            publishable_key: founding.publishable_key.expose().into(),
            secret_key: founding.secret_key.expose().into(),
            operator_token: founding.operator_token.expose().into(),
        })?;
    }
    Ok(directory)
}

fn services(clock: &SharedClock, shards: &Arc<Shards>, metrics: PrometheusHandle) -> Services {
    let (time, ids, shards) = (clock.clone(), clock.clone(), shards.clone());
    Services {
        ticks: Ticks::new(move || Duration::from_millis(time.now().0)),
        request_id: Box::new(move || {
            let (unix_ms, random) = ids.id_bits();
            RequestId::new(unix_ms, random).to_string()
        }),
        unready: Box::new(move || shards.health().reasons),
        metrics: Box::new(move || metrics.render()),
    }
}
