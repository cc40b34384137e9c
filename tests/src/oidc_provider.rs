//! `oidc-provider`, a certified OpenID Connect issuer, in a process of its own (`tests/peers/oidc`).

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::issuer::{CLIENT, SECRET};
use crate::node::Setup;
use crate::program::workspace;

/// A running issuer, at which somebody is signed in; ended when dropped.
pub struct OidcProvider {
    child: Child,
    /// Where it is.
    pub issuer: String,
}

impl OidcProvider {
    /// Starts it, with our client, which may be sent back to `redirect_uris`.
    pub fn start(redirect_uris: &[&str], person: &Value) -> Self {
        install();
        let client = json!({
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": redirect_uris,
        });
        let argument = json!({ "clients": [client], "person": person }).to_string();
        let mut command = Command::new("node");
        command.args(["issuer.mjs", &argument]).current_dir(workspace().join("target/peers/oidc"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("node is there");
        let output = child.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let events = lines.find_map(|line| serde_json::from_str::<Value>(&line).ok());
        let event = events.expect("the issuer says where it is");
        let issuer = event["issuer"].as_str().expect("an address").to_owned();
        // It goes on writing, and would end if nobody read that.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, issuer }
    }

    /// A node to which it is the provider `name`.
    pub fn known_as(&self, name: &str, setup: Setup) -> Setup {
        setup
            .with(&format!("oauth.{name}.issuer"), &self.issuer)
            .with(&format!("oauth.{name}.client_id"), CLIENT)
            .with(&format!("oauth.{name}.client_secret"), SECRET)
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Installs it, where that has not been done.
fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let status = Command::new(workspace().join("tests/peers/install")).status();
        assert!(status.expect("bash is there").success(), "the peers cannot be installed");
    });
}
