//! A receiver of signed calls, such as a tenant runs for its text messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use janua_storage::seal::mac;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::wait;

/// A call that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// `X-Janua-Signature`
    pub signature: String,
    /// `X-Janua-Timestamp`
    pub timestamp: String,
    /// The body as it came.
    pub text: String,
    /// The body as JSON.
    pub body: Value,
}

impl Received {
    /// Whether it was signed with this secret, as the reference's example checks it.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let signed = mac(secret.as_bytes(), format!("{}.{}", self.timestamp, self.text).as_bytes());
        let digits: String = signed.iter().map(|byte| format!("{byte:02x}")).collect();
        self.signature == format!("sha256={digits}")
    }
}

/// A receiver on a free port; it ends with the test.
pub struct Sink {
    address: String,
    received: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
    serving: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Sink {
    /// Listens, and answers 200 to all.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let answers = Arc::<Mutex<VecDeque<u16>>>::default();
        let (calls, statuses) = (received.clone(), answers.clone());
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (calls, statuses) = (calls.clone(), statuses.clone());
                let service =
                    service_fn(move |request| hear(request, calls.clone(), statuses.clone()));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                Handle::current().spawn(async move { drop(connection.await) });
            }
        };
        let serving = Handle::current().spawn(serve);
        Self { address, received, answers, serving }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/sms", self.address)
    }

    /// Answers the next calls with these statuses.
    pub fn will_answer(&self, statuses: &[u16]) {
        self.answers.lock().expect("no holder panics").extend(statuses);
    }

    /// Everything that has come.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no holder panics").clone()
    }

    /// The call with this number, 0 being the first, once it has come.
    pub async fn call(&self, number: usize) -> Received {
        wait::until("the call has come", async || self.received().get(number).cloned()).await
    }
}

async fn hear(
    request: Request<Incoming>,
    calls: Arc<Mutex<Vec<Received>>>,
    statuses: Arc<Mutex<VecDeque<u16>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (signature, timestamp) = (header("x-janua-signature"), header("x-janua-timestamp"));
    let body = request.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    let body = serde_json::from_str(&text).unwrap_or_default();
    calls.lock().expect("no holder panics").push(Received { signature, timestamp, text, body });
    let status = statuses.lock().expect("no holder panics").pop_front().unwrap_or(200);
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status.try_into().expect("a status");
    if (300..400).contains(&status) {
        let elsewhere = hyper::header::HeaderValue::from_static("/elsewhere");
        answer.headers_mut().insert(hyper::header::LOCATION, elsewhere);
    }
    Ok(answer)
}
