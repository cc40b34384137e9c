//! How a node under test is started: with which settings, in which folder, on which system.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::meddling::Meddling;
use crate::process::{self, Lines, Process};
use crate::program;

/// What tests change about a node. Passwords are hashed quickly and limits are out of the way, but
/// counting, unless a test sets them.
const TEST_SETTINGS: [(&str, &str); 10] = [
    ("http.listen", "127.0.0.1:0"),
    ("cluster.listen", "127.0.0.1:0"),
    ("passwords.memory_kib", "64"),
    ("passwords.iterations", "1"),
    ("limits.authentication", "1000000/min"),
    ("limits.api", "1000000/hour"),
    ("limits.password_reset", "1000000/hour"),
    ("limits.email_verification", "1000000/hour"),
    ("limits.magic_link", "1000000/hour"),
    ("log.level", "info"),
];

/// The setting that gives the operator's token.
pub const OPERATOR: &str = "bootstrap.operator_token";

/// A node that is about to be started.
pub struct Setup {
    settings: Vec<(String, String)>,
    /// A folder of the test's own.
    pub folder: TempDir,
    data_dir: Option<PathBuf>,
    flags: Vec<String>,
    open_files: Option<(u32, u32)>,
    unheard: Option<u8>,
    namespace: Option<String>,
    /// What stands between it and its system, if anything does.
    pub meddling: Option<Meddling>,
}

impl Default for Setup {
    /// With the settings that suit most tests.
    fn default() -> Self {
        Self {
            settings: TEST_SETTINGS.map(|(key, value)| (key.into(), value.into())).into(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            data_dir: None,
            flags: Vec::new(),
            open_files: None,
            unheard: None,
            namespace: None,
            meddling: None,
        }
    }
}

impl Setup {
    /// What a key is set to.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// With another value for `section.key`.
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.into(), value.to_string()));
        self
    }

    /// With its data in this folder.
    pub fn with_data_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(folder.into());
        self
    }

    /// With a flag of the command line.
    pub fn with_flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// With these secrets of the cluster's, in a file that it reads again when it is told to.
    pub fn with_secrets(self, own: &str, previous: &str) -> Self {
        self.writes_secrets(own, previous);
        let file = self.secrets().display().to_string();
        self.with_flag("--config").with_flag(&file)
    }

    /// Whether it has them in a file.
    pub fn has_secrets(&self) -> bool {
        self.secrets().exists()
    }

    fn secrets(&self) -> PathBuf {
        self.folder.path().join("secrets.toml")
    }

    /// Other secrets for the file.
    pub fn writes_secrets(&self, own: &str, previous: &str) {
        let text = format!("[cluster]\nsecret = \"{own}\"\nprevious_secret = \"{previous}\"\n");
        fs::write(self.secrets(), text).expect("a file");
    }

    /// Where so many files may be open: softly, and at most.
    pub fn with_open_files(mut self, soft: u32, hard: u32) -> Self {
        self.open_files = Some((soft, hard));
        self
    }

    /// Where its log cannot be written.
    pub fn unheard(mut self) -> Self {
        self.unheard = Some(2);
        self
    }

    /// Where its standard output cannot be written.
    pub fn unseen(mut self) -> Self {
        self.unheard = Some(1);
        self
    }

    /// On a system whose disk and clock can be made bad.
    pub fn meddled(mut self) -> Self {
        self.meddling = Some(Meddling::with(self.folder.path(), &self.data_dir()));
        self
    }

    /// In this network namespace.
    pub fn within(mut self, namespace: String) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// As it is shipped: real hashing, real limits, on free ports.
    pub fn as_shipped(mut self) -> Self {
        self.settings.retain(|(key, _)| key.ends_with(".listen"));
        self
    }

    /// The arguments that start it.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["serve".into(), "--json".into()];
        arguments.extend(self.flags.iter().cloned());
        arguments.push("--data-dir".into());
        arguments.push(self.data_dir().display().to_string());
        for (key, value) in &self.settings {
            arguments.extend(["--set".into(), format!("{key}={value}")]);
        }
        arguments
    }

    /// Where its data lies.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// Starts the program alone, for tests in which it does not get as far as serving.
    pub fn start_process(&self) -> Process {
        self.run_with(&[], Lines::default())
    }

    /// Starts it with more arguments; `log` goes on where an earlier run ended.
    pub fn run_with(&self, more: &[&str], log: Lines) -> Process {
        let mut arguments = self.arguments();
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let mut command = match (&self.namespace, self.open_files, self.unheard) {
            (Some(namespace), ..) => process::command_in(namespace),
            (None, Some(files), _) => process::command_within(files),
            (None, None, Some(output)) => process::command_unheard(output),
            (None, None, None) => Command::new(program::janua()),
        };
        command.envs(self.meddling.iter().flat_map(Meddling::variables));
        Process::run(command, &arguments, self.folder.path(), log)
    }
}
