//! The reference of `me`: a bare hyper server in a process of its own, which answers every request
//! with the same JSON.

use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, server};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves `text` for ever; prints its address first.
pub async fn serve(text: String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{}", listener.local_addr().expect("its address"));
    let body = Bytes::from(text);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket option");
        let body = body.clone();
        connections.spawn(async move {
            let service = service_fn(move |_| {
                let mut response = Response::new(Full::new(body.clone()));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(CONTENT_TYPE, json);
                async { Ok::<_, Infallible>(response) }
            });
            let mut http = server::conn::http1::Builder::new();
            http.timer(TokioTimer::new());
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// A running reference; ended when dropped.
pub struct Bare {
    child: Child,
    /// Where it listens.
    pub address: String,
}

impl Bare {
    /// Starts this very program as the reference.
    pub fn start(text: &str) -> Self {
        let program = std::env::current_exe().expect("the path of this executable");
        let mut command = Command::new(program);
        command.args(["--serve-bare", text]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the reference starts");
        let mut address = String::new();
        let output = child.stdout.take().expect("its output is piped");
        BufReader::new(output).read_line(&mut address).expect("its address");
        Self { child, address: address.trim().into() }
    }

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
