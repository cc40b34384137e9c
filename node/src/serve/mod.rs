//! `janua serve`: the floors put together, from the data folder up to the listener, and taken down
//! again in the opposite order.

mod floors;

use std::sync::Arc;

use janua_actors::capability::tenants::Bootstrap;
use janua_actors::clock::{SharedClock, SystemClock};
use janua_actors::directory::Directory;
use janua_http::app::{App, Services};
use janua_storage::cluster_key;
use janua_storage::engine::{Parts, Shards};
use janua_storage::seal::Key;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::runtime;
use zeroize::Zeroizing;

use crate::cli::Serve;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::output::{Founded, Output};
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
        .map_err(|error| start(format!("threads cannot be started: {error}")))?;
    runtime.block_on(serve(&config, output, metrics))
}

async fn serve(config: &Config, output: Output, metrics: PrometheusHandle) -> Result<(), Failure> {
    let stop = shutdown::watch_signals()?;
    let wrapping = floors::wrapping_key(config)?;
    let settings = floors::http(config)?;
    // The ports first: whoever finds them taken must leave the data folder alone.
    let public = listen(config.http.listen).await?;
    let admin = match config.http.admin_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let clock: SharedClock = Arc::new(SystemClock);
    let shards = Shards::open(floors::storage(config), Parts::default()).await.map_err(start)?;
    let shards = Arc::new(shards);
    let tls = settings.tls.is_some();
    let addresses = (public.local_addr(), admin.as_ref().map(TcpListener::local_addr));
    let app = App::new(settings, services(&shards, &clock, metrics)).map_err(start)?;

    let directory = open(config, &shards, wrapping.as_ref(), clock, output).await?;
    app.open(directory.clone());
    output.listening(addresses.0.map_err(start)?, addresses.1.transpose().map_err(start)?, tls)?;
    let served = janua_http::server::serve(app, public, admin, shutdown::asked(stop)).await;
    directory.stop().await;
    shards.close().await;
    served.map_err(|error| start(format!("the listener cannot be served: {error}")))
}

/// The actors over open shards; on an empty folder the cluster is founded first.
async fn open(
    config: &Config,
    shards: &Arc<Shards>,
    wrapping: Option<&Key>,
    clock: SharedClock,
    output: Output,
) -> Result<Directory, Failure> {
    let mut random = Zeroizing::new([0; 44]);
    clock.fill(&mut *random);
    let fresh = shards.founded_now();
    let key = cluster_key::open(&config.node.data_dir, wrapping, fresh, &random).map_err(start)?;
    let directory = Directory::start(shards.clone(), key, clock, floors::actors(config))
        .await
        .map_err(start)?;
    let bootstrap = Bootstrap {
        publishable_key: floors::secret(config.bootstrap.publishable_key.as_ref()),
        secret_key: floors::secret(config.bootstrap.secret_key.as_ref()),
        operator_token: floors::secret(config.bootstrap.operator_token.as_ref()),
    };
    if let Some(founding) = directory.found(bootstrap).await.map_err(start)? {
        output.founded(&Founded {
            publishable_key: founding.publishable_key.expose().into(),
            secret_key: founding.secret_key.expose().into(),
            operator_token: founding.operator_token.expose().into(),
        })?;
    }
    Ok(directory)
}

fn services(shards: &Arc<Shards>, clock: &SharedClock, metrics: PrometheusHandle) -> Services {
    let shards = shards.clone();
    Services {
        clock: clock.clone(),
        unready: Box::new(move || shards.health().reasons),
        metrics: Box::new(move || metrics.render()),
    }
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| start(format!("{address} cannot be listened on: {error}")))
}

fn start(problem: impl std::fmt::Display) -> Failure {
    Failure::Start(problem.to_string())
}
