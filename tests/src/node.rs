//! A node under test: the real program, on free ports, in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::MutexGuard;

use crate::people::User;
use crate::process::{Lines, Process};
use crate::response::Response;
use crate::wait;

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
const OPERATOR: &str = "bootstrap.operator_token";

/// A node that is about to be started.
pub struct Setup {
    settings: Vec<(String, String)>,
    folder: TempDir,
    data_dir: Option<PathBuf>,
    flags: Vec<String>,
    open_files: Option<(u32, u32)>,
    namespace: Option<String>,
}

impl Setup {
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

    /// Where so many files may be open: softly, and at most.
    pub fn with_open_files(mut self, soft: u32, hard: u32) -> Self {
        self.open_files = Some((soft, hard));
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

    fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// Starts the program alone, for tests in which it does not get as far as serving.
    pub fn start_process(&self) -> Process {
        self.run_with(&[], Lines::default())
    }

    fn run_with(&self, flags: &[&str], log: Lines) -> Process {
        let (mut arguments, folder) = (self.arguments(), self.folder.path());
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        match (&self.namespace, self.open_files) {
            (Some(namespace), _) => Process::start_in(namespace, &arguments, folder, log),
            (None, Some(files)) => Process::start_within(files, &arguments, folder, log),
            (None, None) => Process::start(&arguments, folder, log),
        }
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Node {
        let log = Lines::default();
        let process = self.run_with(&[], log.clone());
        let api = Api { base: Arc::default(), http: client() };
        let node = Node { process: process.into(), keys: Mutex::default(), setup: self, api, log };
        node.becomes_ready().await;
        node
    }
}

/// The keys that founding printed.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// `jpk_…`
    pub publishable: String,
    /// `jsk_…`
    pub secret: String,
    /// `jop_…`
    pub operator: String,
}

/// A running node; ended, and its folder removed, when dropped.
pub struct Node {
    process: tokio::sync::Mutex<Process>,
    keys: Mutex<Keys>,
    setup: Setup,
    /// How to reach it.
    pub api: Api,
    /// Everything it has logged, over all its runs.
    pub log: Lines,
}

impl Node {
    /// A node with the settings that suit most tests, ready to serve.
    pub async fn start() -> Self {
        Self::prepare().start().await
    }

    /// A node to be started with another value for `section.key`.
    pub fn with(key: &str, value: impl ToString) -> Setup {
        Self::prepare().with(key, value)
    }

    /// A node to be started.
    pub fn prepare() -> Setup {
        let settings = TEST_SETTINGS.map(|(key, value)| (key.into(), value.into())).into();
        let folder = tempfile::tempdir().expect("a temporary folder");
        Setup {
            settings,
            folder,
            data_dir: None,
            flags: Vec::new(),
            open_files: None,
            namespace: None,
        }
    }

    /// A node as it is shipped.
    pub async fn as_shipped() -> Self {
        Self::prepare().as_shipped().start().await
    }

    async fn becomes_ready(&self) {
        let mut process = self.process.lock().await;
        let listening = process.prints("listening").await;
        if let Some(founded) = process.output.event("founded") {
            *self.keys.lock().expect("no holder panics") = Keys {
                publishable: text(&founded["publishableKey"]),
                secret: text(&founded["secretKey"]),
                operator: text(&founded["operatorToken"]),
            };
        }
        drop(process);
        if let Some((_, token)) = self.setup.settings.iter().find(|(key, _)| key == OPERATOR) {
            self.keys.lock().expect("no holder panics").operator.clone_from(token);
        }
        let base = format!("{}://{}", text(&listening["scheme"]), text(&listening["address"]));
        *self.api.base.write().expect("no holder panics") = base;
        wait::until("the node is ready", async || {
            let ready = self.api.try_get("/health/ready").await.ok()?;
            (ready.status == 200).then_some(())
        })
        .await;
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.try_lock().expect("a test starts or ends one node once")
    }

    /// The process's number.
    pub fn process_id(&self) -> u32 {
        self.process().id()
    }

    /// What it printed in its present run.
    pub fn output(&self) -> Lines {
        self.process().output.clone()
    }

    /// The keys that founding printed.
    pub fn keys(&self) -> Keys {
        self.keys.lock().expect("no holder panics").clone()
    }

    /// Where its data lies.
    pub fn data_dir(&self) -> PathBuf {
        self.setup.data_dir()
    }

    /// A folder of the test's own that goes away with the node.
    pub fn folder(&self) -> &Path {
        self.setup.folder.path()
    }

    /// Kills it with signal 9.
    pub fn kill_9(&self) {
        self.process().kill_9();
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        self.process().signal(name);
    }

    /// Asks it to stop and waits until it has; its exit code.
    pub async fn stops(&self) -> Option<i32> {
        self.signal("TERM");
        self.ends().await
    }

    /// Waits until it has ended by itself; its exit code.
    pub async fn ends(&self) -> Option<i32> {
        self.process.lock().await.ends().await.code()
    }

    /// Starts it again in the same folder, whichever way it ended.
    pub async fn restart(&self) {
        self.restart_with(&[]).await;
    }

    /// The same, with more arguments.
    pub async fn restart_with(&self, arguments: &[&str]) {
        self.begin_again(arguments);
        self.becomes_ready().await;
    }

    /// Starts it again with more arguments, for tests in which it does not get as far as serving.
    pub fn begin_again(&self, arguments: &[&str]) {
        self.kill_9();
        *self.process() = self.setup.run_with(arguments, self.log.clone());
    }

    /// A request of a server of the tenant's, by the secret key.
    pub fn server(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.api.request(method, path).header("X-API-Key", self.keys().secret)
    }

    /// Starts it anew in the place of the node that it was, whose data is gone.
    pub async fn restart_without_its_data(&self) {
        self.kill_9();
        std::fs::remove_dir_all(self.data_dir()).expect("a data folder");
        self.restart_with(&["--replace"]).await;
    }

    /// Tries to change the default tenant's settings.
    pub async fn configuration(&self, settings: Value) -> Response {
        let request = self.api.request(Method::PATCH, "/admin/tenants/default");
        let request = request.bearer_auth(self.keys().operator);
        answer(request.json(&json!({ "settings": settings }))).await
    }

    /// Changes the default tenant's settings.
    pub async fn configure(&self, settings: Value) {
        self.configuration(settings).await.is_yes(200);
    }

    /// Registers somebody with a password of their own.
    pub async fn register(&self, name: &str) -> User {
        User::registers(self.api.clone(), name).await
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process.get_mut().kill_9();
        if std::thread::panicking() {
            eprintln!("--- the node's log ---\n{}\n---", self.log.text());
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A client with connections of its own.
pub fn client() -> reqwest::Client {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .build();
    client.expect("a client")
}

/// How to reach a node; follows it when it is restarted on another port.
#[derive(Clone)]
pub struct Api {
    base: Arc<RwLock<String>>,
    http: reqwest::Client,
}

impl Api {
    /// Scheme, host and port.
    pub fn base(&self) -> String {
        self.base.read().expect("no holder panics").clone()
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.base().split_once("://").expect("a URL").1.to_owned()
    }

    /// The same node over new connections.
    pub fn over_new_connections(&self) -> Self {
        Self { base: self.base.clone(), http: client() }
    }

    /// A request to be completed by the test.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base()))
    }

    /// `GET`, which must be answered.
    pub async fn get(&self, path: &str) -> Response {
        self.try_get(path).await.unwrap_or_else(|error| panic!("GET {path}: {error:?}"))
    }

    /// `GET`, which may fail.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<Response> {
        send(self.request(Method::GET, path)).await
    }

    /// `POST` of a JSON body, which must be answered.
    pub async fn post(&self, path: &str, body: Value) -> Response {
        let answer = self.try_post(path, body).await;
        answer.unwrap_or_else(|error| panic!("POST {path}: {error:?}"))
    }

    /// `POST` of a JSON body, which may fail.
    pub async fn try_post(&self, path: &str, body: Value) -> reqwest::Result<Response> {
        send(self.request(Method::POST, path).json(&body)).await
    }

    /// Tries to register.
    pub async fn registration(&self, email: &str, password: &str) -> Response {
        self.post("/auth/register", json!({ "email": email, "password": password })).await
    }

    /// Tries to log in.
    pub async fn login(&self, email: &str, password: &str) -> Response {
        self.post("/auth/login", json!({ "email": email, "password": password })).await
    }

    /// Tries to refresh.
    pub async fn refresh(&self, token: &str) -> Response {
        self.post("/auth/refresh", json!({ "refreshToken": token })).await
    }

    /// Asks who a token's owner is.
    pub async fn me(&self, token: &str) -> Response {
        answer(self.request(Method::GET, "/users/me").bearer_auth(token)).await
    }
}

/// Sends a request and reads the answer.
pub async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Response> {
    Response::read(request.send().await?).await
}

/// Sends a request that must be answered.
pub async fn answer(request: reqwest::RequestBuilder) -> Response {
    send(request).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
}
