//! The command line: what can be asked of `janua`, and which flags stand for which keys.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::audit_verify::AuditCommand;
use crate::backup::Backup;
use crate::cluster::ClusterCommand;
use crate::config::Flags;
use crate::demo::Demo;
use crate::failure::Failure;
use crate::operator_token::OperatorTokenCommand;
use crate::restore::Restore;
use crate::tenant::{KeyCommand, TenantCommand};

/// An identity server in one program: registration, login and sessions for many tenants.
#[derive(Debug, Parser)]
#[command(name = "janua", version, propagate_version = true, max_term_width = 100)]
#[command(
    after_help = "`janua serve` alone starts a node on 127.0.0.1:3000 with its data in ./data.\n\
    Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 130 ended by a second signal."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `janua` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a node and serve until SIGTERM or SIGINT; a second signal ends it at once
    Serve(Serve),
    /// Watch a cluster survive: nodes on this machine, people at work, and keys that kill
    Demo(Demo),
    /// Write a backup of a running cluster to a file, encrypted to the recovery key
    Backup(Backup),
    /// Make the data folder of a new cluster out of a backup
    Restore(Restore),
    /// Look after the cluster
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Make tenants
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Make API keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Look after the operator's token
    #[command(subcommand)]
    OperatorToken(OperatorTokenCommand),
    /// Check audit chains
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look at the configuration without starting anything
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completion script of a shell
    Completions {
        /// The shell to print it for
        shell: Shell,
    },
}

/// `janua serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub settings: Settings,
    /// Print one JSON line for each thing to know, instead of text
    #[arg(long)]
    pub json: bool,
    /// Join in the place of the node with the same name, which has lost its data for good
    #[arg(long)]
    pub replace: bool,
    /// End at once when standard input does: whoever has started the node is gone then
    #[arg(long, hide = true)]
    pub attached: bool,
}

/// `janua config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check file, environment and flags; name every key that must be mended
    Check {
        /// Where the configuration comes from.
        #[command(flatten)]
        settings: Settings,
        /// Print one JSON object: valid, problems, warnings, settings
        #[arg(long)]
        json: bool,
    },
}

/// Where the configuration comes from: flags beat JANUA_SECTION__KEY beats the file.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configuration")]
pub struct Settings {
    /// The file to read; without it, the defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder that keeps everything [node.data_dir; default: data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The node's name [node.name; default: node-1]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Address and port of the API [http.listen; default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Address and port of /admin and /metrics [http.admin_listen; default: as --listen]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
    /// How clients reach the cluster [http.public_url; default: http://localhost:3000]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// How much to log [log.level; default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// text or json [log.format; default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any other key, such as --set limits.api=0; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

impl Settings {
    /// The flags that were given, with the keys that they stand for.
    pub fn flags(&self) -> Flags {
        let named = [
            ("--data-dir", "node.data_dir", &self.data_dir),
            ("--name", "node.name", &self.name),
            ("--listen", "http.listen", &self.listen),
            ("--admin-listen", "http.admin_listen", &self.admin_listen),
            ("--public-url", "http.public_url", &self.public_url),
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ];
        let named = named.into_iter().filter_map(|(flag, key, value)| {
            Some((flag.to_owned(), key.to_owned(), value.clone()?))
        });
        let set = self.set.iter().map(|(key, value)| ("--set".into(), key.clone(), value.clone()));
        set.chain(named).collect()
    }
}

/// Why a command line cannot be obeyed, on one line: what `clap` says before it turns to how it is used.
pub fn refusal(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let reason = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    Failure::Usage(reason.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be SECTION.KEY=VALUE")?;
    Ok((key.trim().into(), value.trim().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_command_line_is_told_on_one_line() {
        let said = |arguments: &[&str]| {
            let refused = Cli::try_parse_from(["janua"].iter().chain(arguments));
            match refusal(&refused.expect_err("a refusal")) {
                Failure::Usage(line) => line,
                failure => panic!("{failure:?}"),
            }
        };
        assert_eq!(
            said(&["cluster", "replicas", "2", "--json"]),
            "invalid value '2' for '<REPLICAS>' [possible values: 1, 3, 5]"
        );
        let missing = "the following required arguments were not provided: <NODE>";
        assert_eq!(said(&["cluster", "remove", "--json"]), missing);
    }
}
