//! The program's other commands, run to their end.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::node::Node;
use crate::process::{Lines, Process};
use crate::program;

/// A command that is about to be run.
pub struct Janua(Command);

/// What it came to.
#[derive(Debug)]
pub struct Done {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Janua {
    /// `janua ARGUMENTS`, with nothing of the caller's environment that it could heed.
    pub fn command<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(program::janua());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("JANUA_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).stdin(Stdio::null());
        Self(command)
    }

    /// With a variable.
    pub fn with(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// With one more argument.
    pub fn and(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(argument);
        self
    }

    /// As the operator of a running node.
    pub fn against(self, node: &Node) -> Self {
        self.with("JANUA_URL", node.api.base()).with("JANUA_OPERATOR_TOKEN", node.keys().operator)
    }

    /// Starts it in a folder, and leaves it running.
    pub fn start(self, folder: &Path) -> Process {
        Process::run(self.0, &[], folder, Lines::default())
    }

    /// Runs it to its end.
    pub async fn run(mut self) -> Done {
        let ran = tokio::task::spawn_blocking(move || self.0.output()).await.expect("a task");
        let Output { status, stdout, stderr } = ran.expect("janua runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Done { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Done {
    /// It has done what was asked.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// It has failed with this exit code, and says so in one line that holds these words.
    #[track_caller]
    pub fn fails(self, code: i32, words: &str) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        let lines: Vec<_> =
            self.stderr.lines().filter(|line| line.starts_with("janua: ")).collect();
        assert_eq!(lines.len(), 1, "one line, not:\n{}", self.stderr);
        assert!(lines[0].contains(words), "{words}: {}", lines[0]);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The JSON line with this `event`.
    #[track_caller]
    pub fn event(&self, name: &str) -> Value {
        let values =
            self.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = values.into_iter().find(|value| value["event"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {}", self.stdout))
    }

    /// The one JSON object that it has printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {}", self.stdout))
    }
}

/// A backup of a node, with its recovery key.
pub struct Backup {
    /// The file.
    pub file: std::path::PathBuf,
    /// `jrk_…`
    pub key: String,
}

impl Backup {
    /// Takes the first backup of a node into a folder.
    pub async fn of(node: &Node, folder: &Path) -> Self {
        let file = folder.join("backup");
        let taken = Janua::command(["backup", "--json"]).and(&file).against(node).run().await;
        let taken = taken.succeeds();
        let key = taken.event("recoveryKey")["recoveryKey"].as_str().expect("a key").to_owned();
        assert_eq!(taken.event("backup")["bytes"], file.metadata().expect("a file").len());
        Self { file, key }
    }

    /// `janua restore` of it into a folder.
    pub fn restore(&self, data_dir: &Path) -> Janua {
        let command = Janua::command(["restore", "--json"]).and(&self.file).and("--data-dir");
        command.and(data_dir).with("JANUA_RECOVERY_KEY", &self.key)
    }
}
