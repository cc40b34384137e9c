//! A small server on the loopback, for those whom a node calls.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};

/// What was asked.
pub struct Asked {
    /// `POST /token`
    pub line: String,
    /// `Authorization`
    pub authorization: String,
    /// The body's text.
    pub body: String,
}

/// Status and JSON; a text is sent as it is.
pub type Answer = (u16, Value);

/// A running server; ended when dropped.
pub struct Server {
    /// `http://127.0.0.1:…`
    pub base: String,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Answers as `answer` does, which is told where it is.
    pub async fn start(answer: impl Fn(&str, Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("its address"));
        let answer = Arc::new(answer);
        let here = base.clone();
        let accepting = Handle::current().spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, here) = (answer.clone(), here.clone());
                connections.spawn(async move {
                        let service = service_fn(|request: Request<Incoming>| {
                            let (answer, here) = (answer.clone(), here.clone());
                            async move {
                                Ok::<_, Infallible>(respond(answer(&here, read(request).await)))
                            }
                        });
                        let _ = http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { base, accepting }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn read(request: Request<Incoming>) -> Asked {
    let line = format!("{} {}", request.method(), request.uri().path());
    let authorization = request.headers().get(AUTHORIZATION);
    let authorization = authorization.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authorization = authorization.to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes());
    let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
    Asked { line, authorization, body }
}

fn respond((status, json): Answer) -> Response<Full<Bytes>> {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
