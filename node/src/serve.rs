//! `janua serve`: the floors put together, from the data folder up to the listener, and taken down
//! again in the opposite order.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use janua_actors::clock::{SharedClock, SystemClock};
use janua_actors::directory::Directory;
use janua_http::app::{App, Services};
use janua_http::server;
use janua_storage::engine::{Parts, Shards};
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

/// What has been opened below the HTTP floor.
struct Opened {
    shards: Arc<Shards>,
    directory: Directory,
}

async fn serve(config: &Config, output: Output, metrics: PrometheusHandle) -> Result<(), Failure> {
    let stop = shutdown::watch_signals()?;
    // The ports first: a taken one is found out before the data folder is touched.
    let public = bind(config.http.listen, "http.listen").await?;
    let admin = match config.http.admin_listen {
        Some(address) => Some(bind(address, "http.admin_listen").await?),
        None => None,
    };
    let addresses = (local(&public)?, admin.as_ref().map(local).transpose()?);
    let clock: SharedClock = Arc::new(SystemClock);
    let storage = Arc::new(OnceLock::new());
    let services = services(&clock, &storage, metrics);
    let app = App::new(floors::http(config)?, services).map_err(Failure::start)?;

    // It answers that it is alive from here on, and everything else once the rest is open.
    let mut server = pin!(server::serve(app.clone(), public, admin, shutdown::asked(stop)));
    let opened = tokio::select! {
        biased;
        served = &mut server => return served.map_err(Failure::start),
        opened = open(config, output, &clock, &storage) => opened?,
    };
    app.open(opened.directory.clone());
    output.listening(addresses.0, addresses.1, config.http.tls_key.is_some())?;
    let served = server.await;
    opened.directory.stop().await;
    opened.shards.close().await;
    served.map_err(Failure::start)
}

/// Storage and the actors above it.
async fn open(
    config: &Config,
    output: Output,
    clock: &SharedClock,
    storage: &OnceLock<Arc<Shards>>,
) -> Result<Opened, Failure> {
    make_private(&config.node.data_dir)?;
    let shards = Shards::open(floors::storage(config)?, Parts::default()).await;
    let shards = Arc::new(shards.map_err(Failure::start)?);
    let shards = storage.get_or_init(|| shards).clone();
    match start_actors(config, output, &shards, clock).await {
        Ok(directory) => Ok(Opened { shards, directory }),
        Err(failure) => {
            shards.close().await;
            Err(failure)
        }
    }
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| Failure::Start(format!("{key} cannot listen on {address}: {error}")))
}

fn local(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(Failure::start)
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

fn services(
    clock: &SharedClock,
    storage: &Arc<OnceLock<Arc<Shards>>>,
    metrics: PrometheusHandle,
) -> Services {
    let storage = storage.clone();
    Services {
        clock: clock.clone(),
        unready: Box::new(move || {
            storage.get().map(|shards| shards.health().reasons).unwrap_or_default()
        }),
        metrics: Box::new(move || metrics.render()),
    }
}
