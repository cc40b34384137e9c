//! The reference of what is durable: an etcd, alone or of several members, put to through its JSON
//! gateway.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};

use crate::load::{self, Answer, Client, Target};

/// A running etcd of one or more members, in folders of their own; ended when dropped.
pub struct Etcd {
    members: Vec<Member>,
}

/// One of its processes.
struct Member {
    command: Command,
    child: Child,
    _folder: tempfile::TempDir,
    address: String,
}

impl Etcd {
    /// Starts so many members; installs Debian's package where it is missing. None where it cannot
    /// be had.
    pub async fn of(count: usize) -> Option<Self> {
        if !is_installed() && !install() {
            return None;
        }
        let peers: Vec<_> = (0..count).map(|_| format!("http://{}", free_address())).collect();
        let named = peers.iter().enumerate().map(|(number, url)| format!("m{number}={url}"));
        let cluster = named.collect::<Vec<_>>().join(",");
        let members =
            peers.iter().enumerate().map(|(number, url)| Member::start(number, url, &cluster));
        let etcd = Self { members: members.collect::<Option<_>>()? };
        for member in &etcd.members {
            member.becomes_healthy().await;
        }
        Some(etcd)
    }

    /// Where it is met, and its processes.
    pub fn target(&self) -> Target {
        Target {
            addresses: self.members.iter().map(|member| member.address.clone()).collect(),
            processes: self.members.iter().map(|member| member.child.id()).collect(),
        }
    }

    /// Which of its members leads.
    pub async fn leader(&self) -> usize {
        janua_tests::wait::until("etcd has a leader", async || {
            for (number, member) in self.members.iter().enumerate() {
                let Some(status) = member.status().await else { continue };
                if status["leader"] == status["header"]["member_id"] {
                    return Some(number);
                }
            }
            None
        })
        .await
    }

    /// Kills a member with signal 9.
    pub fn kill_9(&mut self, number: usize) {
        self.members[number].end();
    }

    /// Starts a member again that was killed.
    pub async fn restart(&mut self, number: usize) {
        let member = &mut self.members[number];
        member.child = member.command.spawn().expect("etcd starts");
        member.becomes_healthy().await;
    }

    /// Clients that put values of 500 bytes under keys of their own.
    pub fn clients(&self, count: usize) -> Vec<Putter> {
        (0..count).map(|number| Putter { number, sent: 0 }).collect()
    }
}

impl Member {
    fn start(number: usize, peer_url: &str, cluster: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = free_address();
        let client_url = format!("http://{address}");
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(folder.path()).args(["--name", &format!("m{number}")]);
        for flag in ["--listen-client-urls", "--advertise-client-urls"] {
            command.args([flag, &client_url]);
        }
        for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            command.args([flag, peer_url]);
        }
        command.args(["--initial-cluster", cluster, "--log-level", "error"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().ok()?;
        Some(Self { command, child, _folder: folder, address })
    }

    async fn becomes_healthy(&self) {
        let url = format!("http://{}/health", self.address);
        let client = janua_tests::node::client();
        janua_tests::wait::until("etcd is healthy", async || {
            let health = client.get(&url).send().await.ok()?.text().await.ok()?;
            health.contains("true").then_some(())
        })
        .await;
    }

    async fn status(&self) -> Option<Value> {
        let url = format!("http://{}/v3/maintenance/status", self.address);
        let asked = janua_tests::node::client().post(url).body("{}").send().await.ok()?;
        serde_json::from_slice(&asked.bytes().await.ok()?).ok()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.end();
    }
}

fn is_installed() -> bool {
    Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn install() -> bool {
    eprintln!("installing etcd-server, the reference of this row");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        command.args(arguments).status().is_ok_and(|status| status.success())
    };
    let wanted = ["install", "-y", "--no-install-recommends", "etcd-server"];
    (apt(&wanted) || (apt(&["update"]) && apt(&wanted))) && is_installed()
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

/// One client of etcd.
pub struct Putter {
    number: usize,
    sent: u64,
}

impl Client for Putter {
    fn next(&mut self) -> Option<Request<Full<Bytes>>> {
        let key = BASE64_STANDARD.encode(format!("session/{}/{}", self.number, self.sent));
        let value = BASE64_STANDARD.encode([b'v'; 500]);
        self.sent += 1;
        Some(load::post("/v3/kv/put", json!({ "key": key, "value": value }).to_string()))
    }

    fn answered(&mut self, answer: Answer) -> bool {
        answer.status == 200
    }
}
