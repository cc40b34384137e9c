//! The data folder of a node that does not run, opened for one change.

use std::path::Path;
use std::sync::Arc;

use janua_actors::capability::tenants::is_founded;
use janua_actors::clock::{SharedClock, SystemClock};
use janua_actors::directory::Directory;
use janua_storage::cluster_key;
use janua_storage::engine::{Options, Parts, Shards, shards_of};
use janua_storage::membership::home::Home;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::failure::Failure;
use crate::serve::floors;

/// A folder that is open.
pub struct Offline {
    shards: Arc<Shards>,
    /// Its tenants.
    pub directory: Directory,
}

impl Offline {
    /// Opens the folder of a cluster that was founded, with as many shards as it has.
    pub async fn open(config: &Config, folder: &Path) -> Result<Self, Failure> {
        let wrapping = floors::wrapping_key(config)?;
        let shards = shards_of(folder).map_err(failed)?;
        let home = Home::read(folder).map_err(failed)?;
        let options = floors::storage(config, home.as_ref());
        let options = Options { data_dir: folder.into(), shards, ..options };
        let shards = Arc::new(Shards::open(options, Parts::default()).await.map_err(failed)?);
        let clock: SharedClock = Arc::new(SystemClock::default());
        let opened = async {
            if !is_founded(&shards).await.map_err(failed)? {
                return Err(failed(format!("{} holds no cluster", folder.display())));
            }
            let mut random = Zeroizing::new([0; 44]);
            clock.fill(&mut *random);
            let key = cluster_key::open(folder, wrapping.as_ref(), false, &random);
            let key = key.map_err(failed)?;
            let options = floors::actors(config)?;
            Directory::start(shards.clone(), key, clock, options).await.map_err(failed)
        };
        match opened.await {
            Ok(directory) => Ok(Self { shards, directory }),
            Err(failure) => {
                shards.close().await;
                Err(failure)
            }
        }
    }

    /// Writes everything down and gives the folder back.
    pub async fn close(self) {
        self.directory.stop().await;
        self.shards.close().await;
    }
}

/// Runs a command that waits for something.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(work)
}

/// A failure of one line.
pub fn failed(problem: impl std::fmt::Display) -> Failure {
    Failure::Start(problem.to_string())
}
