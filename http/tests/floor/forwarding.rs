//! A node that leads nothing, and one that leads everything: what the first receives, the second
//! answers. The way between them is a pipe.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::Request;
use http_body_util::BodyExt;
use janua_actors::capability::tenants::Bootstrap;
use janua_actors::clock::SystemClock;
use janua_actors::directory::{Directory, Options};
use janua_actors::gateway::{Links, Peer, Stream};
use janua_actors::hashing::Cost;
use janua_http::app::{App, Door};
use janua_http::limits::rate::Rate;
use janua_http::output::Response;
use janua_http::pipeline;
use janua_http::settings::Settings;
use janua_storage::engine::{self, Parts, Shards};
use janua_storage::ids::ShardId;
use janua_storage::seal::Key;
use janua_storage::secret::Secret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, mpsc, watch};

use crate::support::{complete, services};

const OPERATOR: &str = "jop_0_the-operator-of-this-test-and-no-other";
const SECRET_KEY: &str = "jsk_the-secret-key-of-this-test-and-of-no-other";
const PASSWORD: &str = "Seven-quiet-rivers-82!";

/// The leader's id; of two nodes the one with the greater id calls.
const OWNER: u64 = 1;

type Inbox = mpsc::UnboundedSender<(u64, Stream)>;

struct Pipe {
    node: u64,
    peers: watch::Sender<Vec<Peer>>,
    far: Option<Inbox>,
    near: Mutex<mpsc::UnboundedReceiver<(u64, Stream)>>,
}

impl Pipe {
    fn of(node: u64, peer: u64, name: &str, far: Option<Inbox>) -> (Arc<Self>, Inbox) {
        let (inbox, near) = mpsc::unbounded_channel();
        let peers = watch::Sender::new(vec![Peer { id: peer, name: name.into() }]);
        (Arc::new(Self { node, peers, far, near: Mutex::new(near) }), inbox)
    }
}

impl Links for Pipe {
    fn node(&self) -> u64 {
        self.node
    }

    fn peers(&self) -> watch::Receiver<Vec<Peer>> {
        self.peers.subscribe()
    }

    fn leader_of(&self, _: ShardId) -> Option<(u64, u64)> {
        Some((1, OWNER))
    }

    fn connect(&self, _: u64) -> BoxFuture<'static, io::Result<Stream>> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let sent = self.far.as_ref().map(|far| far.send((self.node, Box::new(theirs))));
        Box::pin(async move {
            match sent {
                Some(Ok(())) => Ok(Box::new(ours) as Stream),
                _ => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }

    fn accept(&self) -> BoxFuture<'_, Option<(u64, Stream)>> {
        Box::pin(async { self.near.lock().await.recv().await })
    }
}

/// Two nodes.
struct Two {
    owner: Node,
    receiver: Node,
}

struct Node {
    app: Arc<App>,
    _folder: TempDir,
}

impl Node {
    async fn start(name: &str, links: Arc<Pipe>, change: impl Fn(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (node, founds) = (links.node, links.node == OWNER);
        let data = folder.path().join("data");
        let options = engine::Options { node, founds, shards: 2, ..engine::Options::new(data) };
        let shards = Arc::new(Shards::open(options, Parts::default()).await.unwrap());
        let cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };
        let options = Options { cost, ..Options::default() };
        let clock = Arc::new(SystemClock::default());
        let directory = Directory::start(shards, Key::new([1; 32]), clock, options).await.unwrap();
        if founds {
            let secret = |text: &str| Some(Secret::given(text));
            let (secret_key, operator_token) = (secret(SECRET_KEY), secret(OPERATOR));
            let bootstrap = Bootstrap { secret_key, operator_token, ..Bootstrap::default() };
            directory.found(bootstrap).await.unwrap();
        }
        directory.connect(links).await.unwrap();
        let mut settings = Settings { node_name: name.into(), ..Settings::default() };
        change(&mut settings);
        let app = App::new(settings, services()).unwrap();
        app.open(directory);
        Self { app, _folder: folder }
    }

    async fn ask(&self, request: http::request::Builder, body: &str) -> Answer {
        let peer = IpAddr::from([192, 0, 2, 1]);
        let request = complete(request, body);
        Answer::of(pipeline::answer(&self.app, Door::Public, peer, request).await).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(Request::get(path).header("authorization", format!("Bearer {token}")), "").await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let request = Request::post(path).header("content-type", "application/json");
        self.ask(request, &body.to_string()).await
    }

    async fn register(&self, name: &str) -> Answer {
        let email = format!("{name}@example.com");
        self.post("/auth/register", json!({ "email": email, "password": PASSWORD })).await
    }

    async fn login(&self, name: &str, password: &str) -> Answer {
        let email = format!("{name}@example.com");
        self.post("/auth/login", json!({ "email": email, "password": password })).await
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    json: Value,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Self { status: head.status.as_u16(), headers: head.headers, json }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self, pointer: &str) -> String {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Asserts the status, and which node answered.
    #[track_caller]
    fn is(self, status: u16, node: &str) -> Self {
        assert_eq!((self.status, self.header("x-janua-node")), (status, node), "{self:?}");
        self
    }
}

impl Two {
    async fn start() -> Self {
        Self::with(|settings| {
            settings.rates.authentication = Rate::OFF;
            settings.rates.api = Rate::OFF;
        })
        .await
    }

    async fn with(change: impl Fn(&mut Settings)) -> Self {
        let (owners, inbox) = Pipe::of(OWNER, 2, "receiver", None);
        let (receivers, _) = Pipe::of(2, OWNER, "owner", Some(inbox));
        let owner = Node::start("owner", owners, &change).await;
        let receiver = Node::start("receiver", receivers, &change).await;
        let gateway = receiver.app.directory().unwrap().gateway().unwrap().clone();
        let mut changes = gateway.changes();
        let linked = changes.wait_for(|_| gateway.reaches(OWNER));
        tokio::time::timeout(Duration::from_secs(10), linked).await.unwrap().unwrap();
        Self { owner, receiver }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leads_nothing_answers_all_the_same() {
    let Two { owner, receiver } = Two::start().await;
    receiver.register("alice").await.is(201, "owner");
    let session = receiver.login("alice", PASSWORD).await.is(200, "owner");
    let token = session.text("/data/session/accessToken");
    let me = receiver.get("/users/me", &token).await.is(200, "owner");
    assert_eq!(me.text("/data/email"), "alice@example.com", "{me:?}");
    owner.get("/users/me", &token).await.is(200, "owner");
    let refresh = json!({ "refreshToken": session.text("/data/session/refreshToken") });
    let next = receiver.post("/auth/refresh", refresh).await.is(200, "owner");
    let body = json!({ "refreshToken": next.text("/data/refreshToken") }).to_string();
    let request = Request::post("/auth/logout")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", next.text("/data/accessToken")));
    receiver.ask(request, &body).await.is(200, "owner");
    let over = receiver.get("/users/me", &token).await.is(401, "owner");
    assert_eq!(over.text("/error/code"), "session_revoked");
    receiver.login("alice", "not this one").await.is(401, "owner");
    receiver.login("nobody", PASSWORD).await.is(401, "owner");
    receiver.register("alice").await.is(409, "owner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_is_known_at_any_node_and_nobody_else_is() {
    let Two { receiver, owner: _owner } = Two::start().await;
    let settings = receiver.get("/admin/tenants/default", OPERATOR).await.is(200, "owner");
    assert_eq!(settings.text("/data/id"), "default", "{settings:?}");
    receiver.get("/admin/tenants/default", "jop_0_somebody").await.is(401, "owner");
    receiver.get("/admin/tenants/ten_unknown", OPERATOR).await.is(404, "owner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_the_configuration_finds_its_tenant_from_any_node() {
    let Two { receiver, owner: _owner } = Two::start().await;
    let login = |key: &str| {
        Request::post("/auth/login")
            .header("content-type", "application/json")
            .header("x-api-key", key)
    };
    let body = json!({ "email": "nobody@example.com", "password": PASSWORD }).to_string();
    let known = receiver.ask(login(SECRET_KEY), &body).await.is(401, "owner");
    assert_eq!(known.text("/error/code"), "invalid_credentials");
    let unknown = receiver.ask(login("jsk_another"), &body).await.is(401, "owner");
    assert_eq!(unknown.text("/error/code"), "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_no_tenant_is_answered_where_it_came_in() {
    let Two { receiver, owner: _owner } = Two::start().await;
    receiver.get("/nowhere", "").await.is(404, "receiver");
    receiver.ask(Request::delete("/auth/login"), "").await.is(405, "receiver");
    receiver.get("/health/live", "").await.is(200, "receiver");
    receiver.ask(Request::options("/auth/login"), "").await.is(204, "receiver");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_one_limit_for_all_nodes() {
    let Two { owner, receiver } = Two::with(|settings| {
        settings.rates.authentication = Rate::new(10, Duration::from_secs(3600));
    })
    .await;
    for left in (0..10).rev() {
        let node = if left % 3 == 0 { &owner } else { &receiver };
        let answer = node.login(&format!("nobody-{left}"), PASSWORD).await.is(401, "owner");
        assert_eq!(answer.header("x-ratelimit-remaining"), left.to_string());
    }
    for node in [&owner, &receiver] {
        let refused = node.login("nobody", PASSWORD).await.is(429, "owner");
        assert_eq!(refused.header("x-ratelimit-bucket"), "auth");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_admitted_by_the_tenant_s_rules_wherever_it_asks() {
    let Two { receiver, owner: _owner } = Two::start().await;
    let patch = Request::patch("/admin/tenants/default")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {OPERATOR}"));
    let body = json!({ "settings": { "allowedOrigins": ["https://app.example"] } }).to_string();
    receiver.ask(patch, &body).await.is(200, "owner");
    let preflight = |origin: &str| {
        Request::options("/auth/login")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
    };
    let admitted = receiver.ask(preflight("https://app.example"), "").await.is(204, "owner");
    assert_eq!(admitted.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(admitted.headers.get_all("vary").iter().count(), 1, "{admitted:?}");
    let refused = receiver.ask(preflight("https://evil.example"), "").await.is(204, "owner");
    assert!(!refused.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_or_no_json_is_refused_as_by_the_leader() {
    let Two { receiver, owner: _owner } = Two::start().await;
    let large = format!("{{\"email\": \"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let post = || Request::post("/auth/login").header("content-type", "application/json");
    let refused = receiver.ask(post(), &large).await.is(413, "owner");
    assert_eq!(refused.header("connection"), "close");
    receiver.ask(post(), "{").await.is(400, "owner");
    receiver.ask(Request::post("/auth/login"), "{}").await.is(415, "owner");
}
