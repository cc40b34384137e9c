//! `janua audit verify`: whether exported events are the whole chain, or a part of it without a gap.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use janua_storage::capability::audit::ExportVerifier;
use serde_json::json;

use crate::failure::Failure;
use crate::offline::failed;
use crate::output::print;

/// `janua audit …`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check the chain of exported events (GET /audit/export) without asking any node
    Verify(Verify),
}

/// `janua audit verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// The exported events, one JSON object a line
    file: PathBuf,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// `janua audit …`
pub fn run(command: &AuditCommand) -> Result<(), Failure> {
    let AuditCommand::Verify(command) = command;
    let unreadable = |error: std::io::Error| {
        failed(format!("{} cannot be read: {error}", command.file.display()))
    };
    let file = BufReader::new(File::open(&command.file).map_err(unreadable)?);
    let mut verifier = ExportVerifier::default();
    let mut broken = None;
    for (line, number) in file.lines().zip(1..) {
        let line = line.map_err(unreadable)?;
        if line.trim().is_empty() {
            continue;
        }
        if let Err(problem) = verifier.take(&line) {
            broken = Some(format!("line {number}: {problem}"));
            break;
        }
    }
    let (checked, head) = (verifier.checked(), verifier.head());
    match (&broken, command.json) {
        (_, true) => print(&format!(
            "{}\n",
            json!({
                "valid": broken.is_none(),
                "checked": checked,
                "problem": broken,
                "head": { "sequence": head.sequence, "hash": verifier.head_text() },
            })
        ))?,
        (None, false) => print(&format!(
            "{}: {checked} events, each follows from those before; the last is {} with {}\n",
            command.file.display(),
            head.sequence,
            verifier.head_text()
        ))?,
        (Some(_), false) => {}
    }
    match broken {
        None => Ok(()),
        Some(_) if command.json => Err(Failure::Denied),
        Some(problem) => Err(failed(format!("{}: {problem}", command.file.display()))),
    }
}
