//! A floor without actors: endpoints of the test's own, behind the real pipeline.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use garde::Validate;
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use janua_actors::clock::Clock;
use janua_http::app::{App, Door, Services};
use janua_http::call::Call;
use janua_http::endpoint::{Access, Endpoint, Limit, get, post};
use janua_http::error::Error;
use janua_http::input::{Empty, Json, reference};
use janua_http::output::{Data, Done, Raw, Response};
use janua_http::settings::Settings;
use janua_http::stream::Body;
use janua_http::{pipeline, server};
use janua_storage::moment::Moment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use utoipa::ToSchema;

#[derive(Debug, Serialize, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    #[garde(length(min = 1, max = 10))]
    first_line: String,
}

async fn echo(_: Call, Json(note): Json<Note>) -> Result<Data<Note>, Error> {
    Ok(Data(note))
}

async fn fetch(_: Call, _: Empty) -> Result<Done, Error> {
    Ok(Done("fetched"))
}

async fn panics(_: Call, _: Empty) -> Result<Done, Error> {
    panic!("as told")
}

async fn hangs(_: Call, _: Empty) -> Result<Done, Error> {
    std::future::pending().await
}

async fn streams(_: Call, _: Empty) -> Result<Raw, Error> {
    let pieces = [Ok(Bytes::from_static(b"piece"))];
    Ok(Raw(Response::new(Body::stream(futures::stream::iter(pieces)))))
}

/// Endpoints that need no tenant, beside those of the service.
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = janua_http::api::service::endpoints();
    endpoints.extend([
        post("/notes", Access::Service, Limit::Api, echo).describes("Echo a note"),
        get("/notes", Access::Service, Limit::Authentication, fetch).describes("Fetch"),
        get("/notes/{id}", Access::Operator, Limit::Api, fetch).describes("Fetch one"),
        post("/panics", Access::Service, Limit::Api, panics).describes("Panic"),
        get("/streams", Access::Service, Limit::Api, streams).describes("Stream").sends(
            StatusCode::OK,
            "application/octet-stream",
            reference::<Note>,
        ),
        get("/hangs", Access::Service, Limit::Api, hangs).describes("Hang"),
    ]);
    endpoints
}

/// A clock that stands still, and draws the same every time.
struct Still;

impl Clock for Still {
    fn now(&self) -> Moment {
        Moment(1_736_937_000_000)
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

pub fn services() -> Services {
    Services {
        clock: Arc::new(Still),
        unready: Box::new(Vec::new),
        metrics: Box::new(|| "janua_up 1\n".into()),
    }
}

pub fn floor(change: impl FnOnce(&mut Settings)) -> Arc<App> {
    floor_with(change, endpoints())
}

pub fn floor_with(change: impl FnOnce(&mut Settings), endpoints: Vec<Endpoint>) -> Arc<App> {
    let mut settings = Settings::default();
    change(&mut settings);
    App::with_endpoints(settings, services(), endpoints).unwrap()
}

/// The answer to a request from 192.0.2.1, without a socket.
pub async fn ask(app: &Arc<App>, request: http::request::Builder, body: &str) -> Answer {
    let peer = IpAddr::from([192, 0, 2, 1]);
    Answer::of(pipeline::answer(app, Door::Public, peer, complete(request, body)).await).await
}

/// A request as a client would send it, which names its host.
pub fn complete(request: http::request::Builder, body: &str) -> Request<Full<Bytes>> {
    let mut request = request.body(Full::from(body.to_owned())).unwrap();
    request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("id.example"));
    request
}

/// A response, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a no in the envelope.
    #[track_caller]
    pub fn refuses(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert_eq!(json["success"], false, "{json}");
        assert_eq!(json["error"]["code"], code, "{json}");
        assert!(json["error"]["message"].is_string(), "{json}");
    }
}

/// A server on a free port.
pub struct Running {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub async fn of(app: Arc<App>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = server::serve(app, listener, None, async {
            stopped.await.ok();
        });
        Self { address, stop: Some(stop), task: Handle::current().spawn(serving) }
    }

    pub fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Everything that the server sends in return for these bytes, until it closes.
    pub async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        until_closed(&mut stream).await
    }
}

/// What the server sends until it closes.
pub async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        received.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&received).into_owned()
}

/// What the server sends until the text appears in it.
pub async fn until(stream: &mut (impl AsyncRead + Unpin), text: &str) -> String {
    let mut received = String::new();
    let mut buffer = [0; 4096];
    while !received.contains(text) {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "closed after {received:?}");
        received.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    received
}
