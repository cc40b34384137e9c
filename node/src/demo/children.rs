//! The nodes of the demo: programs of their own in a temporary folder, each with a configuration that
//! only its user can read, so that secrets show in no list of processes.
//!
//! Invariant: when `Nodes` is gone, whatever became of the demo, so are they and their folder. They
//! hold the other end of a pipe besides, and end with it should even signal 9 have ended the demo.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use janua_actors::clock::{Clock, SystemClock};
use janua_storage::membership::home::hex;
use janua_storage::secret::Secret;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use toml::Table;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// What a node's process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It was killed, or has not been started yet.
    Killed,
    /// It runs.
    Runs,
    /// It stands still.
    Stopped,
    /// It has ended by itself.
    Ended,
}

/// One node, and its process if it has one; killed when dropped.
pub struct Node {
    /// As `node.name`.
    pub name: String,
    /// Where clients reach it.
    pub address: SocketAddr,
    /// What its process is at.
    pub life: Life,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

/// All of them.
pub struct Nodes {
    program: PathBuf,
    // Declared, and so dropped, before the folder that they write to.
    nodes: Vec<Node>,
    folder: TempDir,
    /// What their operator shows.
    pub operator_token: Secret,
}

impl Nodes {
    /// A folder with the configurations of so many nodes; none is started yet.
    pub fn prepare(count: usize) -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(unusable)?;
        let folder = tempfile::Builder::new().prefix("janua-demo-").tempdir().map_err(unusable)?;
        let operator_token = Secret::given(&format!("jop_{}", random().as_str()));
        let secret = random();
        let addresses = free_addresses(2 * count).map_err(unusable)?;
        let (http, cluster) = addresses.split_at(count);
        let mut nodes = Vec::new();
        for number in 0..count {
            let name = format!("node-{}", number + 1);
            // The first one founds, the others may ask any that came before them.
            let join: Vec<String> = cluster[..number].iter().map(SocketAddr::to_string).collect();
            let settings = json!({
                "node": { "name": name, "data_dir": name },
                "http": { "listen": http[number], "public_url": format!("http://{}", http[0]) },
                "cluster": {
                    "listen": cluster[number],
                    "join": join,
                    "secret": secret.as_str(),
                    "replicas": replicas(count),
                },
                "bootstrap": { "operator_token": operator_token.expose() },
                // All that people do here comes from one address.
                "limits": { "authentication": "0", "email_verification": "0", "api": "0" },
                "log": { "level": "warn" },
            });
            let settings = Table::try_from(settings).map_err(unusable)?;
            let config = folder.path().join(format!("{name}.toml"));
            write_private(&config, &settings).map_err(unusable)?;
            let log = folder.path().join(format!("{name}.log"));
            let (address, life, child) = (http[number], Life::Killed, None);
            nodes.push(Node { name, address, life, config, log, child });
        }
        Ok(Self { program, nodes, folder, operator_token })
    }

    /// All of them.
    pub fn all(&self) -> &[Node] {
        &self.nodes
    }

    /// Notices who has ended by itself.
    pub fn reap(&mut self) {
        for node in &mut self.nodes {
            node.reap();
        }
    }

    /// Starts a node that has no process.
    pub fn start(&mut self, node: usize) -> Result<(), Failure> {
        self.nodes[node].start(&self.program, self.folder.path()).map_err(unusable)
    }

    /// Kills a node with signal 9.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Has a node that runs stand still, or one that stands still go on.
    pub fn stop_or_continue(&mut self, node: usize) -> Result<(), Failure> {
        self.nodes[node].stop_or_continue().map_err(unusable)
    }

    /// Has all of them run again.
    pub fn bring_back(&mut self) -> Result<(), Failure> {
        for number in 0..self.nodes.len() {
            match self.nodes[number].life {
                Life::Runs => {}
                Life::Stopped => self.stop_or_continue(number)?,
                Life::Killed | Life::Ended => self.start(number)?,
            }
        }
        Ok(())
    }

    /// Ends them all and removes their folder.
    pub fn close(self) -> Result<(), Failure> {
        let Self { nodes, folder, .. } = self;
        drop(nodes);
        folder.close().map_err(unusable)
    }
}

impl Node {
    fn reap(&mut self) {
        let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        if ended.is_some() {
            self.child = None;
            self.life = Life::Ended;
        }
    }

    fn start(&mut self, program: &Path, folder: &Path) -> io::Result<()> {
        let log = private(OpenOptions::new().append(true).create(true)).open(&self.log)?;
        let mut command = Command::new(program);
        command.args(["serve", "--attached", "--config"]).arg(&self.config).current_dir(folder);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("JANUA_") {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        // A group of its own: Ctrl-C is for the demo, which kills it when it is time.
        self.child = Some(command.process_group(0).spawn()?);
        self.life = Life::Runs;
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // An error means that it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.life = Life::Killed;
    }

    fn stop_or_continue(&mut self) -> io::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        let (signal, life) = match self.life {
            Life::Stopped => (Signal::CONT, Life::Runs),
            _ => (Signal::STOP, Life::Stopped),
        };
        // It has not been waited for, so its number is still its own.
        kill_process(Pid::from_child(child), signal)?;
        self.life = life;
        Ok(())
    }

    /// What it said last.
    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().next_back().unwrap_or("it has logged nothing").to_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How many replicas each shard has, of so many nodes.
pub fn replicas(nodes: usize) -> usize {
    if nodes < 5 { 3 } else { 5 }
}

/// Nobody else may read it.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

fn write_private(path: &Path, settings: &Table) -> io::Result<()> {
    let text = Zeroizing::new(settings.to_string());
    let mut file: File = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
    file.write_all(text.as_bytes())
}

/// So many addresses that nobody listens at.
fn free_addresses(count: usize) -> io::Result<Vec<SocketAddr>> {
    let listeners = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let listeners: Vec<_> = listeners.collect::<io::Result<_>>()?;
    listeners.iter().map(TcpListener::local_addr).collect()
}

fn random() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemClock::default().fill(&mut *bytes);
    Zeroizing::new(hex(&*bytes))
}

fn unusable(problem: impl std::fmt::Display) -> Failure {
    Failure::Start(format!("the demo's nodes: {problem}"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn nodes_and_their_folder_are_gone_after_a_panic() {
        let mut nodes = Nodes::prepare(3).unwrap();
        let folder = nodes.folder.path().to_owned();
        nodes.program = folder.join("program");
        fs::write(&nodes.program, "#!/bin/sh\nexec sleep 600\n").unwrap();
        fs::set_permissions(&nodes.program, Permissions::from_mode(0o700)).unwrap();
        nodes.bring_back().unwrap();
        nodes.stop_or_continue(1).unwrap();
        let ids = nodes.all().iter().map(|node| node.child.as_ref().unwrap().id());
        let processes: Vec<_> = ids.map(|id| PathBuf::from(format!("/proc/{id}"))).collect();
        assert!(processes.iter().all(|process| process.exists()));
        let ended = catch_unwind(AssertUnwindSafe(move || {
            let _nodes = nodes;
            panic!("as this test wants");
        }));
        assert!(ended.is_err());
        assert!(!folder.exists());
        assert!(!processes.iter().any(|process| process.exists()));
    }
}
