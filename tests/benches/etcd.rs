//! The reference of `refresh`: a lone etcd, put to through its JSON gateway.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::json;

use crate::load::{self, Answer, Client};

/// A running etcd in a folder of its own; ended when dropped.
pub struct Etcd {
    child: Child,
    _folder: tempfile::TempDir,
    /// Where it listens.
    pub address: String,
}

impl Etcd {
    /// Starts it; installs Debian's package where it is missing. None where it cannot be had.
    pub async fn start() -> Option<Self> {
        if !is_installed() && !install() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (client, peer) = (free_address(), free_address());
        let (client_url, peer_url) = (format!("http://{client}"), format!("http://{peer}"));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(folder.path());
        for flag in ["--listen-client-urls", "--advertise-client-urls"] {
            command.args([flag, &client_url]);
        }
        for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            command.args([flag, &peer_url]);
        }
        command.args(["--initial-cluster", &format!("default={peer_url}"), "--log-level", "error"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let etcd = Self { child: command.spawn().ok()?, _folder: folder, address: client };
        etcd.becomes_healthy().await;
        Some(etcd)
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

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Clients that put values of 500 bytes under keys of their own.
    pub fn clients(&self, count: usize) -> Vec<Putter> {
        (0..count).map(|number| Putter { number, sent: 0 }).collect()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
