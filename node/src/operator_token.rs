//! `janua operator-token reset`: another token for the operator, on the data folder of a node that
//! does not run.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::Settings;
use crate::config;
use crate::failure::Failure;
use crate::offline::{Offline, block_on, failed};
use crate::output::print;

/// `janua operator-token …`
#[derive(Debug, Subcommand)]
pub enum OperatorTokenCommand {
    /// Void the operator token, and print a new one, which is shown this once; the node must be
    /// stopped
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
    let token = block_on(async {
        let offline = Offline::open(&config, &config.node.data_dir).await?;
        let token = offline.directory.reset_operator_token().await;
        offline.close().await;
        token.map_err(failed)
    })?;
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
