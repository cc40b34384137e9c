//! `janua operator-token reset`: another token for the operator, by whoever has the data folder of a
//! node. A lone node that does not run is opened for it; otherwise the cluster is asked.

use clap::{Args, Subcommand};
use janua_actors::clock::{Clock, SystemClock};
use janua_storage::cluster_key;
use janua_storage::engine::is_in_use;
use janua_storage::ids::TenantNumber;
use janua_storage::membership::home::Home;
use janua_storage::membership::reset;
use janua_storage::secret::{Purpose, Secret};
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::Settings;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::offline::{Offline, block_on, failed};
use crate::output::print;
use crate::serve::floors;
use crate::serve::membership::known_secret;

/// `janua operator-token …`
#[derive(Debug, Subcommand)]
pub enum OperatorTokenCommand {
    /// Void the operator token, and print a new one, which is shown this once; by the data folder of
    /// any node, whether it runs or not
    Reset(Reset),
}

/// `janua operator-token reset`
#[derive(Debug, Args)]
pub struct Reset {
    /// Where the configuration comes from.
    #[command(flatten)]
    settings: Settings,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// `janua operator-token …`
pub fn run(command: &OperatorTokenCommand) -> Result<(), Failure> {
    let OperatorTokenCommand::Reset(command) = command;
    let settings = &command.settings;
    let config = config::load(settings.config.as_deref(), &settings.flags())
        .map_err(Failure::Configuration)?;
    let token = block_on(reset(&config))?;
    print(&match command.json {
        true => {
            format!("{}\n", json!({ "event": "operatorToken", "operatorToken": token.expose() }))
        }
        false => format!(
            "The operator token of before is void. The new one is shown this once; keep it:\n\n  {}\n\n",
            token.expose()
        ),
    })
}

async fn reset(config: &Config) -> Result<Secret, Failure> {
    let folder = &config.node.data_dir;
    match Home::read(folder).map_err(failed)? {
        Some(home) if !home.peers.is_empty() || is_in_use(folder) => {
            reset_there(config, home).await
        }
        _ => {
            let offline = Offline::open(config, folder).await?;
            let token = offline.directory.reset_operator_token().await;
            offline.close().await;
            token.map_err(failed)
        }
    }
}

/// Has a node of the cluster do it: the one of this folder, or another.
async fn reset_there(config: &Config, home: Home) -> Result<Secret, Failure> {
    let folder = &config.node.data_dir;
    let wrapping = floors::wrapping_key(config)?;
    let key = cluster_key::open(folder, wrapping.as_ref(), false, &Zeroizing::new([0; 44]));
    let key = key.map_err(failed)?;
    let unknown = || failed("cluster.secret is neither configured nor in the data folder");
    let secret = known_secret(config).ok_or_else(unknown)?;
    let clock: &dyn Clock = &SystemClock::default();
    let token =
        Secret::new(Purpose::OperatorToken, TenantNumber::CLUSTER, &Zeroizing::new(clock.random()));
    let addresses: Vec<String> = home.address.into_iter().chain(home.peers.into_values()).collect();
    reset::reset(&addresses, &secret, clock.now(), &key, &token).await.map_err(failed)?;
    Ok(token)
}
