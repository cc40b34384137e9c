//! A floor on actors and storage of its own, for tests that need the real ones.

use std::sync::Arc;

use http::Request;
use http::request::Builder;
use janua_actors::capability::tenants::Bootstrap;
use janua_actors::clock::{SharedClock, SystemClock};
use janua_actors::directory::{Directory, Options};
use janua_actors::hashing::Cost;
use janua_http::app::App;
use janua_http::settings::Settings;
use janua_storage::engine::{self, Parts, Shards};
use janua_storage::seal::Key;
use janua_storage::version::NEWEST;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, ask, services};

/// A password that no policy refuses.
pub const PASSWORD: &str = "SecurePassword123!";

/// A floor on a node of its own.
pub struct House {
    /// The floor.
    pub app: Arc<App>,
    /// `jpk_…`
    pub publishable: String,
    /// `jsk_…`
    pub secret: String,
    /// `jop_…`
    pub operator: String,
    _data: TempDir,
}

impl House {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let options = engine::Options::new(data.path());
        let storage = engine::Options { shards: 1, agreed: NEWEST, ..options };
        let shards = Arc::new(Shards::open(storage, Parts::default()).await.unwrap());
        let clock: SharedClock = Arc::new(SystemClock::default());
        let cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };
        let options = Options { cost, ..Options::default() };
        let key = Key::new([9; 32]);
        let directory = Directory::start(shards, key, clock.clone(), options).await.unwrap();
        let founding = directory.found(Bootstrap::default()).await.unwrap().unwrap();
        let mut settings = Settings::default();
        settings.rates.authentication = "1000/min".parse().unwrap();
        change(&mut settings);
        let services = janua_http::app::Services { clock, ..services() };
        let app = App::new(settings, services).unwrap();
        app.open(directory);
        Self {
            app,
            publishable: founding.publishable_key.expose().into(),
            secret: founding.secret_key.expose().into(),
            operator: founding.operator_token.expose().into(),
            _data: data,
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Request::post(path), &body).await
    }

    pub async fn send(&self, request: Builder, body: &Value) -> Answer {
        let request = request.header("content-type", "application/json");
        ask(&self.app, request, &body.to_string()).await
    }

    pub async fn register(&self, email: &str) -> Value {
        let body = json!({ "email": email, "password": PASSWORD, "firstName": "John" });
        let answer = self.post("/auth/register", body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["data"].clone()
    }

    pub async fn log_in(&self, email: &str) -> Value {
        let answer = self.post("/auth/login", json!({ "email": email, "password": PASSWORD }));
        let answer = answer.await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["data"].clone()
    }

    pub async fn get(&self, path: &str, token: &str) -> Answer {
        ask(&self.app, bearing(Request::get(path), token), "").await
    }
}

/// A request with a bearer token.
pub fn bearing(request: Builder, token: &str) -> Builder {
    request.header("authorization", format!("Bearer {token}"))
}

/// The access token in the data of a login.
pub fn token(data: &Value) -> String {
    data["session"]["accessToken"].as_str().unwrap().to_owned()
}
