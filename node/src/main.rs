//! The program `janua`: command line, configuration, start-up, shutdown, telemetry. It puts the
//! floors together and decides nothing about identity.

mod audit_verify;
mod backup;
mod cli;
mod cluster;
mod config;
mod config_check;
mod demo;
mod failure;
mod offline;
mod operator_token;
mod output;
mod recover;
mod remote;
mod restore;
mod serve;
mod shutdown;
mod telemetry;
mod tenant;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command, ConfigCommand};

/// Gives memory back to the system when the node is quiet, and builds with a C compiler alone.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let as_json = std::env::args_os().skip(1).any(|argument| argument == "--json");
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) if as_json && error.use_stderr() => return cli::refusal(&error).report(true),
        Err(error) => error.exit(),
    };
    let done = match command {
        Command::Serve(serve) => serve::run(&serve),
        Command::Demo(demo) => demo::run(&demo),
        Command::Backup(backup) => backup::run(&backup),
        Command::Restore(restore) => restore::run(&restore),
        Command::Tenant(tenant) => tenant::run(&tenant),
        Command::Key(key) => tenant::run_key(&key),
        Command::OperatorToken(token) => operator_token::run(&token),
        Command::Audit(audit) => audit_verify::run(&audit),
        Command::Cluster(command) => cluster::run(&command),
        Command::Config(ConfigCommand::Check { settings, json }) => {
            config_check::run(&settings, json)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "janua", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(as_json),
    }
}
