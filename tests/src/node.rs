//! A node under test: the real program, on free ports, in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use janua_storage::version::NEWEST;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use crate::meddling::Meddling;
use crate::people::User;
use crate::process::{Lines, Process};
use crate::response::Response;
use crate::setup::OPERATOR;
pub use crate::setup::Setup;
use crate::wait;

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

impl Setup {
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
        Setup::default()
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
        if let Some(token) = self.setup.setting(OPERATOR) {
            self.keys.lock().expect("no holder panics").operator = token.into();
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

    /// Is told other secrets of the cluster while it runs; it has read them when this returns.
    pub async fn is_told(&self, secret: &str, previous: &str) {
        let reads = || self.log.text().matches("secrets have been read again").count();
        let before = reads();
        self.setup.writes_secrets(secret, previous);
        self.signal("HUP");
        wait::until("it has read the secrets", async || (reads() > before).then_some(())).await;
    }

    /// What stands between it and its system.
    pub fn meddling(&self) -> &Meddling {
        self.setup.meddling.as_ref().expect("it was prepared for that")
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

    /// Waits until its cluster has agreed on the version that it speaks, as a new one does when it has
    /// just begun to serve.
    pub async fn has_agreed(&self) {
        wait::until("the cluster has agreed on a version", async || {
            let request = self.api.request(Method::GET, "/admin/cluster");
            let status = answer(request.bearer_auth(self.keys().operator)).await;
            (status.data()["agreedVersion"] == json!(NEWEST)).then_some(())
        })
        .await;
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
