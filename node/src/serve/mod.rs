//! `janua serve`: the floors put together, from the data folder up to the listener, and taken down
//! again in the opposite order.

mod descriptors;
pub mod floors;
pub mod membership;

use std::convert::Infallible;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use janua_actors::capability::tenants::{Bootstrap, is_founded};
use janua_actors::clock::{Clock, SharedClock, SystemClock};
use janua_actors::directory::Directory;
use janua_actors::gateway::MemberLinks;
use janua_http::app::{App, Services};
use janua_storage::cluster_key;
use janua_storage::engine::files::RealDisk;
use janua_storage::engine::{Claim, Parts, Shards};
use janua_storage::membership::{About, Membership, Stamp};
use janua_storage::seal::Key;
use janua_storage::secret::Secret;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::Signal;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use self::membership::Gate;
use crate::cli::Serve;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::output::{Founded, Output};
use crate::restore::UNFINISHED;
use crate::{shutdown, telemetry};

/// How long a founder may take to put on record what it speaks, before it serves without.
const AGREEMENT: Duration = Duration::from_secs(2);
/// A node without it answers nobody, and would lead on: what started the program starts it anew.
const ROOT_ENDED: &str = "the root of the actors has failed, and the node ends with it";

/// Runs a node until a signal asks it to stop.
pub fn run(command: &Serve) -> Result<(), Failure> {
    let settings = &command.settings;
    let config = config::load_to_serve(settings.config.as_deref(), &settings.flags())
        .map_err(Failure::Configuration)?;
    let output = if command.json { Output::Json } else { Output::Text };
    if command.attached {
        shutdown::end_with_standard_input();
    }
    // The first random bytes cost tens of milliseconds (AWS-LC gathers entropy from the processor's
    // jitter): they are drawn while storage opens.
    let _drawn = thread::spawn(|| SystemClock::default().fill(&mut [0; 32]));
    let metrics = telemetry::start(&config.log)?;
    let connections =
        descriptors::connections(config.http.max_connections.0, descriptors::raise())?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("janua")
        .build()
        .map_err(|error| start(format!("threads cannot be started: {error}")))?;
    runtime.block_on(serve(command, &config, connections, output, metrics))
}

/// What lies below the HTTP floor, open.
struct Opened {
    shards: Arc<Shards>,
    directory: Directory,
    membership: Option<Arc<Membership>>,
}

async fn serve(
    command: &Serve,
    config: &Config,
    connections: u64,
    output: Output,
    metrics: PrometheusHandle,
) -> Result<(), Failure> {
    let (stop, hangups) = (shutdown::watch_signals()?, shutdown::watch_hangups()?);
    let mut settings = floors::http(config)?;
    settings.connections.total = usize::try_from(connections).unwrap_or(usize::MAX);
    // The ports first: whoever finds them taken must leave the data folder alone.
    let public = listen(config.http.listen).await?;
    let admin = match config.http.admin_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let http_address = public.local_addr().map_err(start)?.to_string();
    let gate = Gate::open(config, http_address, command.replace)?;
    let clock: SharedClock = Arc::new(SystemClock::default());
    let storage = Arc::new(OnceLock::new());
    let _upkeep = upkeep(metrics.clone());
    let tls = settings.tls.is_some();
    let addresses = (public.local_addr(), admin.as_ref().map(TcpListener::local_addr));
    let app = App::new(settings, services(&storage, &clock, metrics)).map_err(start)?;

    // It says that it is alive from here on, and serves once the rest is open.
    let stopping = hand_over(shutdown::asked(stop), storage.clone());
    let mut server = pin!(janua_http::server::serve(app.clone(), public, admin, stopping));
    let unserved = |error| start(format!("the listener cannot be served: {error}"));
    let opened = tokio::select! {
        biased;
        served = &mut server => return served.map_err(unserved),
        opened = open(config, gate, &storage, clock, output) => opened?,
    };
    if let Some(membership) = &opened.membership {
        app.belong_to(membership.clone());
    }
    app.open(opened.directory.clone());
    output.listening(addresses.0.map_err(start)?, addresses.1.transpose().map_err(start)?, tls);
    let served = tokio::select! {
        served = &mut server => served.map_err(unserved),
        () = opened.directory.ended() => Err(start(ROOT_ENDED)),
        never = heed_hangups(hangups, command, opened.membership.as_deref()) => match never {},
    };
    // What it was given meanwhile, it gives away as well.
    opened.shards.hand_over().await;
    drop(opened.membership);
    opened.directory.stop().await;
    opened.shards.close().await;
    served
}

/// Storage, and the actors over it.
async fn open(
    config: &Config,
    gate: Gate,
    storage: &OnceLock<Arc<Shards>>,
    clock: SharedClock,
    output: Output,
) -> Result<Opened, Failure> {
    let folder = &config.node.data_dir;
    make_private(folder)?;
    let claim = Claim::take(&RealDisk, folder).map_err(start)?;
    // What does not start has one thing to say.
    for warning in config::warnings(config) {
        tracing::warn!("{warning}");
    }
    if folder.join(UNFINISHED).exists() {
        let folder = folder.display();
        return Err(start(format!(
            "a restore into {folder} has not come to its end: empty the folder and restore again, or run `janua cluster recover` again if that was interrupted"
        )));
    }
    let wrapping = floors::wrapping_key(config)?;
    let previous = floors::previous_wrapping_key(config)?;
    let http_address = gate.http_address.clone();
    let identity = gate.identify(config, wrapping.as_ref(), &clock).await?;
    let options = floors::storage(config, identity.home.as_ref());
    let secrets = identity.door.secrets.clone();
    let parts = Parts { claim: Some(claim), door: Some(identity.door), ..Parts::default() };
    let shards = Shards::open(options, parts).await.map_err(start)?;
    let shards = storage.get_or_init(|| Arc::new(shards)).clone();
    let started = async {
        // Only now: a start that is refused before leaves the key as it was wrapped.
        cluster_key::rewrap(folder, wrapping.as_ref(), previous.as_ref(), clock.random())
            .map_err(start)?;
        let founds = identity.home.is_none();
        let (directory, key, founded) =
            start_actors(config, &shards, wrapping.as_ref(), &clock, founds, output).await?;
        let about = About {
            name: config.node.name.clone(),
            http_address,
            data_dir: config.node.data_dir.clone(),
            home: identity.home,
            founded,
            replicas: floors::replicas(config),
            secrets,
        };
        let stamp: Stamp = Arc::new(move || (clock.now(), clock.random()));
        let membership = Membership::start(shards.clone(), about, key, stamp);
        let membership = membership.map_err(membership::unable)?;
        let known = membership.as_ref().map(Membership::known);
        if let Some(links) = known.and_then(|known| MemberLinks::of(&shards, known)) {
            directory.connect(links).await.map_err(start)?;
        }
        if founds && membership.is_some() {
            // Alone it agrees with itself at once, and what later versions brought works from the start.
            drop(timeout(AGREEMENT, shards.speech().is_free()).await);
        }
        Ok((directory, membership.map(Arc::new)))
    };
    match started.await {
        Ok((directory, membership)) => Ok(Opened { shards, directory, membership }),
        Err(failure) => {
            shards.close().await;
            Err(failure)
        }
    }
}

/// Returns when the node should stop, after others lead what it led.
async fn hand_over(asked: impl Future<Output = ()>, storage: Arc<OnceLock<Arc<Shards>>>) {
    asked.await;
    if let Some(shards) = storage.get() {
        shards.hand_over().await;
    }
}

/// Reads the cluster's secrets again at every SIGHUP.
async fn heed_hangups(
    mut hangups: Signal,
    command: &Serve,
    membership: Option<&Membership>,
) -> Infallible {
    while hangups.recv().await.is_some() {
        let settings = &command.settings;
        let config = match config::load(settings.config.as_deref(), &settings.flags()) {
            Ok(config) => config,
            Err(problems) => {
                for problem in problems {
                    tracing::error!(%problem, "the configuration cannot be read again");
                }
                continue;
            }
        };
        match (membership::secrets(&config), membership) {
            (Some(secrets), Some(membership)) => match membership.trust(secrets) {
                Ok(()) => tracing::info!("the cluster's secrets have been read again"),
                Err(error) => tracing::error!(%error, "the cluster's secrets are as they were"),
            },
            _ => tracing::warn!("there is no secret of a cluster to read again"),
        }
    }
    std::future::pending().await
}

/// Makes the data folder, if it is not there, for this user alone.
pub fn make_private(folder: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| start(format!("data folder {} cannot be used: {error}", folder.display())))
}

/// The actors over open shards, the cluster's key, and whether the cluster was founded just now, as
/// a founder does first.
async fn start_actors(
    config: &Config,
    shards: &Arc<Shards>,
    wrapping: Option<&Key>,
    clock: &SharedClock,
    founds: bool,
    output: Output,
) -> Result<(Directory, Key, bool), Failure> {
    let mut random = Zeroizing::new([0; 44]);
    clock.fill(&mut *random);
    // The records tell, not the folder: a crash may have come between making it and founding.
    let fresh = founds && !is_founded(shards).await.map_err(start)?;
    let key = cluster_key::open(&config.node.data_dir, wrapping, fresh, &random).map_err(start)?;
    let options = floors::actors(config)?;
    let directory = Directory::start(shards.clone(), key.clone(), clock.clone(), options)
        .await
        .map_err(start)?;
    if !founds {
        return Ok((directory, key, false));
    }
    let bootstrap = Bootstrap {
        publishable_key: floors::secret(config.bootstrap.publishable_key.as_ref()),
        secret_key: floors::secret(config.bootstrap.secret_key.as_ref()),
        operator_token: floors::secret(config.bootstrap.operator_token.as_ref()),
    };
    let founding = directory.found(bootstrap).await.map_err(start)?;
    let founded = founding.is_some();
    if let Some(founding) = founding {
        let given = &config.bootstrap;
        let drawn = |given: &Option<config::Secret>, key: &Secret| {
            given.is_none().then(|| key.expose().to_owned())
        };
        output.founded(&Founded {
            publishable_key: drawn(&given.publishable_key, &founding.publishable_key),
            secret_key: drawn(&given.secret_key, &founding.secret_key),
            operator_token: drawn(&given.operator_token, &founding.operator_token),
        })?;
    }
    Ok((directory, key, founded))
}

fn services(
    storage: &Arc<OnceLock<Arc<Shards>>>,
    clock: &SharedClock,
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

/// Samples wait in memory until somebody looks; where nobody does, this folds them into buckets.
fn upkeep(metrics: PrometheusHandle) -> AbortOnDropHandle<()> {
    let every = std::time::Duration::from_secs(5);
    let task = runtime::Handle::current().spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            metrics.run_upkeep();
        }
    });
    AbortOnDropHandle::new(task)
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| start(format!("{address} cannot be listened on: {error}")))
}

fn start(problem: impl std::fmt::Display) -> Failure {
    Failure::Start(problem.to_string())
}
