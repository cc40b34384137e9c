//! Who this node is: the founder of a cluster, a member that comes back, or one that joins.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use janua_actors::clock::SharedClock;
use janua_storage::capability::cluster::Join;
use janua_storage::cluster_key;
use janua_storage::engine::Door;
use janua_storage::engine::files::{RealDisk, write_durably};
use janua_storage::engine::link::Secrets;
use janua_storage::membership::home::{Home, hex};
use janua_storage::membership::join::{self, JoinError};
use janua_storage::membership::{self, StartError};
use janua_storage::seal::Key;
use janua_storage::secret::{Secret, SecretHash};
use janua_storage::version::{OLDEST, Speech};
use zeroize::Zeroizing;

use super::{floors, start};
use crate::config::Config;
use crate::failure::Failure;

const SECRET: &str = "cluster.secret";
const TICKET: &str = "join.ticket";

/// The cluster's port, and what the node says of itself when it knocks at others'.
pub struct Gate {
    listener: TcpListener,
    /// Where other nodes reach this one.
    pub cluster_address: String,
    /// Where clients reach it.
    pub http_address: String,
    /// Whether it takes the place of the node that has its name.
    pub replace: bool,
}

/// Who the node is.
pub struct Identity {
    /// What its folder says; nothing if it founds.
    pub home: Option<Home>,
    /// Where others meet it.
    pub door: Door,
}

impl Gate {
    /// Opens the cluster's port.
    pub fn open(config: &Config, http_address: String, replace: bool) -> Result<Self, Failure> {
        let address = config.cluster.listen;
        let taken =
            |error| start(format!("{address} cannot be listened on: {error} (cluster.listen)"));
        let listener = TcpListener::bind(address).map_err(taken)?;
        let bound = listener.local_addr().map_err(taken)?;
        let advertised = config.cluster.advertise.clone();
        let cluster_address = advertised.unwrap_or_else(|| bound.to_string());
        Ok(Self { listener, cluster_address, http_address, replace })
    }

    /// Finds out who this node is; one that joins has been taken in afterwards.
    pub async fn identify(
        self,
        config: &Config,
        wrapping: Option<&Key>,
        clock: &SharedClock,
    ) -> Result<Identity, Failure> {
        let folder = &config.node.data_dir;
        let mut home = Home::read(folder).map_err(start)?;
        let speech = Speech::up_to(floors::speaks(config));
        speech.learn(home.as_ref().map_or(OLDEST, |home| home.agreed));
        speech.admits(speech.speaks()).map_err(|problem| unable(problem.into()))?;
        let joins = home.is_none() && !config.cluster.join.is_empty();
        if self.replace && !joins {
            tracing::warn!(
                "--replace has no effect: the data folder has its data, or cluster.join names nobody"
            );
        }
        if joins && folder.join("format").exists() {
            return Err(start(format!(
                "data folder {} is that of another cluster, of which this node is the founder: \
                 empty cluster.join, or give the node an empty folder to join with",
                folder.display()
            )));
        }
        let secret = secret(config, joins, clock)?;
        if let Some(home) = &home {
            speech.learn(membership::agreed_elsewhere(home, &secret, clock.now()).await);
            speech.admits(speech.speaks()).map_err(|problem| unable(problem.into()))?;
        }
        if joins {
            home = Some(self.join(config, wrapping, &secret, clock).await?);
        }
        let cluster = home.as_ref().map(|home| home.cluster);
        let peers = home.as_ref().map(|home| home.peers.clone()).unwrap_or_default();
        let Self { listener, cluster_address: address, .. } = self;
        let (secrets, now) = (with_previous(config, secret), clock.now());
        Ok(Identity { home, door: Door { listener, address, secrets, now, cluster, peers } })
    }

    /// Invariant: the folder says whose it is only once the cluster's key is in it.
    async fn join(
        &self,
        config: &Config,
        wrapping: Option<&Key>,
        secret: &Secret,
        clock: &SharedClock,
    ) -> Result<Home, Failure> {
        let folder = &config.node.data_dir;
        let ask = Join {
            name: config.node.name.clone(),
            http_address: self.http_address.clone(),
            cluster_address: self.cluster_address.clone(),
            version: membership::version(floors::speaks(config)),
            ticket: ticket(folder, clock)?,
            replace: self.replace,
        };
        let joined = join::join(&config.cluster.join, secret, clock.now(), ask).await;
        let joined = joined.map_err(|error| match error {
            JoinError::TooOld(_) => Failure::Usage(error.to_string()),
            error => start(error),
        })?;
        cluster_key::keep(folder, &joined.key(), wrapping, clock.random()).map_err(start)?;
        let home = Home {
            node: joined.node,
            cluster: joined.cluster,
            shards: joined.shards,
            incarnation: 0,
            agreed: OLDEST,
            founded: false,
            address: None,
            peers: joined.peers,
        };
        home.write(folder).map_err(|error| unusable(folder, &error))?;
        // It has done its work, and does no harm.
        drop(fs::remove_file(folder.join(TICKET)));
        tracing::info!(node = home.node, "taken into the cluster");
        Ok(home)
    }
}

/// What the node shows when it asks again, so that it is given one number and not two.
fn ticket(folder: &Path, clock: &SharedClock) -> Result<SecretHash, Failure> {
    let path = folder.join(TICKET);
    let known = fs::read_to_string(&path).ok().filter(|known| known.len() == 64);
    let text = known.unwrap_or_else(|| hex(&clock.random::<32>()));
    write_durably(&RealDisk, &path, text.as_bytes()).map_err(|error| unusable(folder, &error))?;
    Ok(SecretHash::of(&text))
}

/// The cluster's secret: as configured, as the folder has it, or drawn for a new cluster.
fn secret(config: &Config, joins: bool, clock: &SharedClock) -> Result<Secret, Failure> {
    let folder = &config.node.data_dir;
    match known_secret(config) {
        Some(secret) => Ok(secret),
        None if joins => Err(start(format!(
            "cluster.secret must be given to join a cluster: it is the founder's, which keeps it \
             in {SECRET} in its data folder unless it was configured"
        ))),
        None => {
            let text = Zeroizing::new(hex(&*Zeroizing::new(clock.random::<32>())));
            let written = write_durably(&RealDisk, &folder.join(SECRET), text.as_bytes());
            written.map_err(|error| unusable(folder, &error))?;
            Ok(Secret::given(&text))
        }
    }
}

/// What the members know, as the configuration and the folder have it by now.
pub fn secrets(config: &Config) -> Option<Secrets> {
    known_secret(config).map(|secret| with_previous(config, secret))
}

fn with_previous(config: &Config, own: Secret) -> Secrets {
    Secrets { own, also: floors::secret(config.cluster.previous_secret.as_ref()) }
}

/// The secret as configured, or as the folder has it.
pub fn known_secret(config: &Config) -> Option<Secret> {
    if let Some(secret) = &config.cluster.secret {
        return Some(Secret::given(secret.expose()));
    }
    let text = fs::read_to_string(config.node.data_dir.join(SECRET)).map(Zeroizing::new).ok()?;
    (!text.trim().is_empty()).then(|| Secret::given(text.trim()))
}

/// Whoever is older than its cluster is told to be another version, as a mistake in what was configured.
pub fn unable(error: StartError) -> Failure {
    match error {
        StartError::TooOld(_) => Failure::Usage(error.to_string()),
        StartError::Fault(fault) => start(fault),
    }
}

fn unusable(folder: &Path, error: &std::io::Error) -> Failure {
    start(format!("data folder {} cannot be used: {error}", folder.display()))
}
