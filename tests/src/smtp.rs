//! A real mail server: aiosmtpd, which `tests/run` installs below `target/`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::workspace;
use crate::wait;

/// What tests change about a mail server.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The port; 0 for any.
    pub port: u16,
    /// Whether it offers, and demands, STARTTLS.
    pub tls: bool,
    /// Name and password that it demands.
    pub login: Option<(&'static str, &'static str)>,
    /// How many mails it refuses for the moment.
    pub refusals: u32,
}

impl Setup {
    /// A server that demands STARTTLS, with a certificate of its own.
    pub fn with_tls() -> Self {
        Self { tls: true, ..Self::default() }
    }
}

/// A mail, as the server took it.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// The body as text.
    pub text: String,
    /// The body as HTML.
    pub html: String,
    /// Whether it came over TLS.
    pub over_tls: bool,
    /// Who has sent it.
    pub login: String,
    headers: Value,
}

impl Taken {
    /// A header, decoded.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.headers))
    }
}

/// A running mail server, ended when dropped.
pub struct MailServer {
    process: Child,
    port: u16,
    lines: Arc<Mutex<Vec<Value>>>,
    folder: TempDir,
}

impl MailServer {
    /// Starts one, and waits until it listens.
    pub async fn start(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (certificate, key) = match setup.tls {
            true => certified(folder.path()),
            false => Default::default(),
        };
        let arguments = json!({
            "port": setup.port,
            "certificate": certificate,
            "key": key,
            "login": setup.login,
            "refusals": setup.refusals,
        });
        let mut process = Command::new(python())
            .arg(workspace().join("tests/smtp/server.py"))
            .arg(arguments.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (reading, output) = (lines.clone(), process.stdout.take().expect("it is piped"));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("JSON");
                reading.lock().expect("no reader panics").push(line);
            }
        });
        let mut server = Self { process, port: 0, lines, folder };
        let listening = wait::until("the mail server listens", async || {
            server.said("listening").into_iter().next()
        });
        server.port = listening.await["port"].as_u64().expect("a port") as u16;
        server
    }

    /// Its address, with `user:password@` or nothing before the host.
    pub fn url(&self, login: &str) -> String {
        format!("smtp://{login}127.0.0.1:{}", self.port)
    }

    /// Its certificate, as PEM.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// The mails that it has taken.
    pub fn mails(&self) -> Vec<Taken> {
        self.said("mail").iter().map(taken).collect()
    }

    /// Waits for a mail to an address.
    pub async fn mail_to(&self, address: &str) -> Taken {
        wait::until(&format!("a mail to {address} comes"), async || {
            let mut mails = self.mails().into_iter();
            mails.find(|mail| mail.to.iter().any(|to| to == address))
        })
        .await
    }

    /// The `Message-ID` of each attempt to send it a mail.
    pub fn message_ids(&self) -> Vec<String> {
        self.said("attempt").iter().map(|line| text(&line["messageId"])).collect()
    }

    fn said(&self, event: &str) -> Vec<Value> {
        let lines = self.lines.lock().expect("no reader panics");
        lines.iter().filter(|line| line["event"] == event).cloned().collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that is free at the moment.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

fn taken(line: &Value) -> Taken {
    Taken {
        from: text(&line["sender"]),
        to: line["to"].as_array().expect("a list").iter().map(text).collect(),
        text: text(&line["text"]).replace("\r\n", "\n"),
        html: text(&line["html"]),
        over_tls: line["tls"] == true,
        login: text(&line["login"]),
        headers: line["headers"].clone(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn python() -> PathBuf {
    let python = workspace().join("target/mail-server/bin/python");
    assert!(python.exists(), "{} is missing: tests/run installs it", python.display());
    python
}

/// Writes a certificate for 127.0.0.1 and its key; where they are.
fn certified(folder: &Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("it is written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    (certificate.display().to_string(), key.display().to_string())
}
