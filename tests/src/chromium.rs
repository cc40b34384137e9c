//! A browser: headless Chromium, driven by its WebDriver, with an authenticator of its own. It talks
//! to the node under test alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{Node, client};
use crate::program::workspace;
use crate::wait;

pub use fantoccini::key::Key;

/// How often the driver is started before it counts as broken.
const STARTS: usize = 5;

/// How Chromium is started: nothing of it leaves the machine.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=500,900",
    "--proxy-server=direct://",
];

/// A browser that visits one node; ended when dropped.
pub struct Browser {
    client: Client,
    driver: Driver,
    base: String,
    _profile: TempDir,
}

struct Driver {
    child: Child,
    address: String,
    session: String,
}

impl Browser {
    /// A browser for the pages of this node, in English.
    pub async fn visiting(node: &Node) -> Self {
        Self::speaking("en", node).await
    }

    /// A browser whose visitor reads another language.
    pub async fn speaking(language: &str, node: &Node) -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut driver = Driver::start();
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.push(format!("--accept-lang={language}"));
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {
                "args": arguments,
                "prefs": { "intl.accept_languages": language },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let capabilities = capabilities.as_object().expect("an object").clone();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connecting = builder.capabilities(capabilities).connect(&driver.address);
        let client = connecting.await.expect("Chromium starts (tests/run installs it)");
        let id = client.session_id().await.expect("a session").expect("its id");
        driver.session = id;
        // Passkeys need a domain, and a loopback address is none.
        let port = node.api.address().rsplit_once(':').expect("a port").1.to_owned();
        Self { client, driver, base: format!("http://localhost:{port}"), _profile: profile }
    }

    /// The origin of the node's pages.
    pub fn origin(&self) -> &str {
        &self.base
    }

    /// Opens a page of the node.
    pub async fn opens(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.client.goto(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Where it is, without the origin when that is the node's.
    pub async fn address(&self) -> String {
        let url = self.client.current_url().await.expect("an address").to_string();
        url.strip_prefix(&self.base).map(str::to_owned).unwrap_or(url)
    }

    /// Waits until it is somewhere.
    pub async fn arrives_at(&self, address: &str) {
        let what = format!("the browser is at {address}");
        wait::until(&what, async || (self.address().await.starts_with(address)).then_some(()))
            .await;
    }

    /// Waits until a page has this heading.
    #[track_caller]
    pub fn reads_heading(&self, heading: &str) -> impl Future<Output = ()> {
        let wanted = heading.to_owned();
        async move {
            let what = format!("the page's heading is {wanted}");
            wait::until(&what, async || {
                let found = self.client.find(Locator::Css("h1")).await.ok()?;
                (found.text().await.ok()? == wanted).then_some(())
            })
            .await;
        }
    }

    /// Waits until the page says so.
    pub async fn reads(&self, text: &str) {
        let what = format!("the page says {text}");
        wait::until(&what, async || self.text().await.contains(text).then_some(())).await;
    }

    /// What the page says, as a person reads it.
    pub async fn text(&self) -> String {
        match self.client.find(Locator::Css("body")).await {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Types into the field of this name, in place of what is there.
    pub async fn fills(&self, name: &str, text: &str) {
        let what = format!("there is a field {name}");
        let css = format!("input[name='{name}']:not([type=hidden])");
        // A page that is on its way may take the place of the one that the field was found on.
        wait::until(&what, async || {
            let field = self.client.find(Locator::Css(&css)).await.ok()?;
            field.clear().await.ok()?;
            field.send_keys(text).await.ok()
        })
        .await;
    }

    /// What stands in the field of this name.
    pub async fn value_of(&self, name: &str) -> String {
        let script = format!("return document.querySelector(\"input[name='{name}']\").value");
        self.runs(&script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Presses the button, or follows the link, that says so.
    pub async fn presses(&self, label: &str) {
        let what = format!("there is a button {label}");
        let path = labelled(label);
        wait::until(&what, async || {
            let found = self.client.find(Locator::XPath(&path)).await.ok()?;
            found.click().await.ok()
        })
        .await;
    }

    /// Whether there is a button or a link that says so.
    pub async fn offers(&self, label: &str) -> bool {
        self.client.find(Locator::XPath(&labelled(label))).await.is_ok()
    }

    /// Types on the keyboard, wherever the focus is.
    pub async fn types(&self, text: &str) {
        let mut keys = KeyActions::new("keyboard".into());
        for value in text.chars() {
            keys = keys.then(KeyAction::Down { value }).then(KeyAction::Up { value });
        }
        self.client.perform_actions(keys).await.expect("keys can be typed");
    }

    /// Presses a key.
    pub async fn key(&self, key: Key) {
        self.types(&key.to_string()).await;
    }

    /// What has the focus: its label as a screen reader says it.
    pub async fn focus(&self) -> String {
        let element = self.client.active_element().await.expect("something has the focus");
        let path = format!("/element/{}/computedlabel", element.element_id());
        let label = self.ask(Method::GET, &path, Value::Null).await;
        label.as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script on the page.
    pub async fn runs(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("the script runs")
    }

    /// Gives it an authenticator that is unlocked by its owner (WebAuthn Level 3 §11); its id.
    pub async fn has_authenticator(&self) -> String {
        let authenticator = json!({
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserConsenting": true,
            "isUserVerified": true,
        });
        let id = self.ask(Method::POST, "/webauthn/authenticator", authenticator).await;
        id.as_str().expect("its id").to_owned()
    }

    /// Whether that authenticator's owner is recognised by it.
    pub async fn is_recognised(&self, authenticator: &str, recognised: bool) {
        let path = format!("/webauthn/authenticator/{authenticator}/uv");
        self.ask(Method::POST, &path, json!({ "isUserVerified": recognised })).await;
    }

    /// Looks at the page as a person would who is to judge it.
    pub async fn screenshot(&self) -> Vec<u8> {
        self.client.screenshot().await.expect("a picture")
    }

    /// Shows pages as in the dark, or as by day.
    pub async fn is_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        let params = json!({ "features": features });
        self.devtools("Emulation.setEmulatedMedia", params).await;
    }

    /// Runs no scripts from now on, or does again.
    pub async fn has_scripts(&self, on: bool) {
        let params = json!({ "value": !on });
        self.devtools("Emulation.setScriptExecutionDisabled", params).await;
    }

    async fn devtools(&self, command: &str, params: Value) {
        let body = json!({ "cmd": command, "params": params });
        self.ask(Method::POST, "/goog/cdp/execute", body).await;
    }

    /// What the browser has complained of since it was asked last: blocked content, broken scripts.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.ask(Method::POST, "/se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().cloned().unwrap_or_default();
        let serious = entries.iter().filter(|entry| {
            entry["level"].as_str().is_some_and(|level| ["WARNING", "SEVERE"].contains(&level))
        });
        let messages = serious.map(|entry| entry["message"].as_str().unwrap_or_default());
        // A form that is answered with a no counts as a resource that was not loaded.
        messages.filter(|text| !text.contains("Failed to load resource")).map(Into::into).collect()
    }

    /// What axe-core finds inaccessible about the page, by day and in the dark (WCAG 2.2, A and AA).
    pub async fn barriers(&self) -> Vec<String> {
        let path = workspace().join("target/peers/axe/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}: tests/run installs it", path.display()));
        self.client.execute(&axe, Vec::new()).await.expect("axe loads");
        self.is_dark(true).await;
        let mut barriers = self.finds("['wcag2aa', 'wcag22aa']").await;
        self.is_dark(false).await;
        let all = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']";
        barriers.extend(self.finds(all).await);
        barriers
    }

    async fn finds(&self, tags: &str) -> Vec<String> {
        let run = format!(
            "const done = arguments[arguments.length - 1];
            const said = ({{ id, help, nodes }}) =>
                `${{id}}: ${{help}}: ${{nodes.map((node) => node.html).join(' ')}}`;
            axe.run({{ runOnly: {tags}, elementRef: false, resultTypes: ['violations'] }})
                .then(({{ violations }}) => done(violations.map(said)));"
        );
        let found = self.client.execute_async(&run, Vec::new()).await.expect("axe runs");
        let found = found.as_array().cloned().unwrap_or_default();
        found.iter().map(|barrier| barrier.as_str().unwrap_or_default().into()).collect()
    }

    /// A command of WebDriver that has no method of its own.
    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/session/{}{path}", self.driver.address, self.driver.session);
        let mut request = client().request(method, url);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the driver answers");
        let status = answer.status();
        let text = answer.text().await.expect("an answer");
        assert!(status.is_success(), "{path}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["value"].clone()
    }
}

/// Buttons and links that say so, by their text or by their label.
fn labelled(label: &str) -> String {
    format!(
        "//button[(normalize-space()='{label}' or @aria-label='{label}') \
         and not(ancestor::*[@hidden])] | //a[normalize-space()='{label}']"
    )
}

impl Driver {
    /// The driver takes any free port of one family of addresses, asks for the same one of the other,
    /// and ends where somebody else has that.
    fn start() -> Self {
        let started = (0..STARTS).find_map(|_| Self::try_start());
        started.expect("chromedriver says its port")
    }

    fn try_start() -> Option<Self> {
        let child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("chromedriver starts (tests/run installs it)");
        let output = child.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let Some(port) = port else {
            child.wait().expect("chromedriver has ended");
            return None;
        };
        let address = format!("http://127.0.0.1:{port}");
        // It must be read to its end, or it would block.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, address, session: String::new() })
    }

    /// Ends the session, and with it Chromium. A destructor cannot wait for an asynchronous client.
    fn ends_session(&self) -> std::io::Result<()> {
        let host = self.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let path = format!("/session/{}", self.session);
        let head = format!("DELETE {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.ends_session();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
