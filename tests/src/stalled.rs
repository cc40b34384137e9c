//! A request whose body stops on the way: the node has recognised its caller, and waits for the rest.

use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Request, RequestBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::response::Response;

/// What a node says when it begins to read a body that waits to be wanted (RFC 9110 §10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request of which the node waits for the rest.
pub struct Stalled {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Stalled {
    /// Sends a request, and of its body so many bytes, which must not be all. When this returns, the
    /// node has judged the head, and reads the body.
    pub async fn begin(request: RequestBuilder, bytes: usize) -> Self {
        let request = request.build().expect("a request");
        let body = request.body().and_then(reqwest::Body::as_bytes).expect("a body");
        let (begun, rest) = body.split_at(bytes);
        assert!(!rest.is_empty(), "nothing is left to wait for");
        let url = request.url();
        let address = (url.host_str().expect("a host"), url.port().expect("a port"));
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(head(&request, body.len()).as_bytes()).await.expect("it is sent");
        let mut said = vec![0; CONTINUE.len()];
        stream.read_exact(&mut said).await.expect("the node wants the body");
        assert_eq!(said, CONTINUE, "{}", String::from_utf8_lossy(&said));
        stream.write_all(begun).await.expect("it is sent");
        Self { stream, rest: rest.to_vec() }
    }

    /// Sends the rest, and reads the answer.
    pub async fn finish(mut self) -> Response {
        // A node that has answered already may not read the rest.
        self.stream.write_all(&self.rest).await.ok();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, text) = answer.split_once("\r\n\r\n").expect("an answer");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let headers = lines.filter_map(|line| line.split_once(": ")).map(header);
        Response {
            status: status.parse().expect("a number"),
            headers: headers.collect::<HeaderMap>(),
            text: text.into(),
            body: serde_json::from_str(text).unwrap_or_default(),
        }
    }
}

fn head(request: &Request, length: usize) -> String {
    let url = request.url();
    let mut head = format!(
        "{} {} HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n",
        request.method(),
        url.path(),
    );
    let host = HeaderValue::from_static("janua");
    let headers = request.headers().iter().chain([(&HOST, &host)]);
    for (name, value) in headers {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().expect("plain text")));
    }
    head + "\r\n"
}

fn header((name, value): (&str, &str)) -> (HeaderName, HeaderValue) {
    (name.parse().expect("a name"), value.parse().expect("a value"))
}
