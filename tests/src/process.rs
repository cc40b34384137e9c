//! One run of the program: its output read as it comes, ended when dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::{program, wait};

/// What a process wrote to one of its outputs so far.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn follow(output: impl Read + Send + 'static, lines: Self) -> JoinHandle<()> {
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines.0.lock().expect("no reader panics").push(line);
            }
        })
    }

    /// All of it.
    pub fn text(&self) -> String {
        self.0.lock().expect("no reader panics").join("\n")
    }

    /// The JSON lines with this `event`, first one.
    pub fn event(&self, name: &str) -> Option<Value> {
        let lines = self.0.lock().expect("no reader panics");
        let values = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        values.into_iter().find(|value| value["event"] == name)
    }
}

/// The program, for a user who may open so many files: softly, and at most.
pub fn command_within((soft, hard): (u32, u32)) -> Command {
    let mut command = Command::new("sh");
    let line = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    command.args(["-c", &line]).arg(program::janua());
    command
}

/// The program, with an output that cannot be written: 1 is the standard one, 2 that for errors.
pub fn command_unheard(output: u8) -> Command {
    let mut command = Command::new("sh");
    let line = format!("exec \"$0\" \"$@\" {output}>/dev/full");
    command.args(["-c", &line]).arg(program::janua());
    command
}

/// The program in a network namespace; the process that `ip` becomes is the program.
pub fn command_in(namespace: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program::janua());
    command
}

/// A running `janua serve --json`.
pub struct Process {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    /// Standard output.
    pub output: Lines,
    /// Standard error: the log.
    pub log: Lines,
}

impl Process {
    /// Starts a command that becomes the program; `log` goes on where an earlier run ended.
    pub fn run(mut command: Command, arguments: &[String], folder: &Path, log: Lines) -> Self {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("JANUA_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("janua starts");
        let output = Lines::default();
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        let readers =
            vec![Lines::follow(stdout, output.clone()), Lines::follow(stderr, log.clone())];
        Self { child, readers, output, log }
    }

    /// The event that it prints, or a failed test with the log when it ends first.
    pub async fn prints(&mut self, event: &str) -> Value {
        let what = format!("janua prints {event}");
        let found = wait::until(&what, async || {
            match (self.output.event(event), self.child.try_wait().expect("its state is known")) {
                (Some(value), _) => Some(Ok(value)),
                (None, Some(status)) => Some(Err(status)),
                (None, None) => None,
            }
        });
        match found.await {
            Ok(value) => value,
            Err(status) => panic!("janua ended with {status} before {event}:\n{}", self.log.text()),
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.expect("sh runs").success(), "signal {name} was not sent");
    }

    /// Waits until it ends by itself; everything it wrote has been read then.
    pub async fn ends(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let status =
            wait::until("janua ends", async || child.try_wait().expect("its state is known"));
        let status = status.await;
        self.drain();
        status
    }

    /// Waits at most this long for it to end.
    pub async fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(limit, self.ends()).await.ok()
    }

    /// Ends it as a power cut would end it, as far as a process can be.
    pub fn kill_9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.drain();
    }

    fn drain(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_9();
    }
}
