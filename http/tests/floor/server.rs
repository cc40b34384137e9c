//! The server against clients that are slow, greedy, old, new, or leaving.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use janua_http::app::App;
use janua_http::call::Call;
use janua_http::endpoint::{Access, Limit, get};
use janua_http::error::Error;
use janua_http::input;
use janua_http::output::Done;
use janua_http::settings::{Settings, TlsFiles};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{Running, endpoints, floor, floor_with, until, until_closed};

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";
const LAST: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Timeouts that a test can wait for; what they measure is that they come at all.
fn impatient(settings: &mut Settings) {
    settings.timeouts.head = Duration::from_millis(200);
    settings.timeouts.body = Duration::from_millis(200);
    settings.timeouts.idle = Duration::from_millis(200);
    settings.timeouts.drain = Duration::from_millis(500);
}

#[tokio::test]
async fn both_versions_of_http_share_a_port() {
    let server = Running::of(floor(|_| {})).await;
    let answer = server.send(LAST).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\ndate: "), "{answer}");

    let io = TokioIo::new(server.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    Handle::current().spawn(connection);
    let request = Request::get("http://a/health/live").body(Empty::<Bytes>::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn head_sends_no_body_in_either_version() {
    let server = Running::of(floor(|_| {})).await;
    let head = b"HEAD /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = server.send(head).await;
    assert!(answer.contains("content-length: 15\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");

    let io = TokioIo::new(server.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    Handle::current().spawn(connection);
    let request = Request::head("http://a/health/live").body(Empty::<Bytes>::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    assert_eq!(response.headers()["content-length"], "15");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let server = Running::of(floor(impatient)).await;
    let mut stream = server.connect().await;
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_off() {
    let server = Running::of(floor(impatient)).await;
    let (mut reading, mut writing) = server.connect().await.into_split();
    let trickle = Handle::current().spawn(async move {
        writing.write_all(b"GET /health/live HTTP/1.1\r\n").await.unwrap();
        while writing.write_all(b"x-a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(until_closed(&mut reading).await, "");
    trickle.await.unwrap();
}

#[tokio::test]
async fn a_second_head_that_trickles_is_cut_off_too() {
    let patient_when_idle = |settings: &mut Settings| {
        impatient(settings);
        settings.timeouts.idle = Duration::from_secs(3600);
    };
    let server = Running::of(floor(patient_when_idle)).await;
    let mut stream = server.connect().await;
    stream.write_all(LIVE).await.unwrap();
    until(&mut stream, "\"ok\"").await;
    stream.write_all(b"GET /he").await.unwrap();
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_either_version() {
    let server = Running::of(floor(impatient)).await;
    let mut stream = server.connect().await;
    stream.write_all(LIVE).await.unwrap();
    until(&mut stream, "\"ok\"").await;
    assert_eq!(until_closed(&mut stream).await, "");

    let io = TokioIo::new(server.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let ended = Handle::current().spawn(connection);
    let request = Request::get("http://a/health/live").body(Empty::<Bytes>::new()).unwrap();
    client.send_request(request).await.unwrap();
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let server = Running::of(floor(impatient)).await;
    let head = b"POST /notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                 content-length: 100\r\n\r\n{\"first";
    let answer = server.send(head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"request_timeout\""), "{answer}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_however_it_comes() {
    let server = Running::of(floor(|settings| settings.sizes.body = 10_000)).await;
    let announced = [
        b"POST /notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
          content-length: 20000\r\n\r\n"
            .as_slice(),
        &[b' '; 20_000],
    ]
    .concat();
    let chunked = [
        b"POST /notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
          transfer-encoding: chunked\r\n\r\n4e20\r\n"
            .as_slice(),
        &[b' '; 20_000],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    for request in [announced, chunked] {
        let answer = server.send(&request).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("\"payload_too_large\""), "{answer}");
    }
    let expecting = b"POST /notes HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                      content-length: 20000\r\nexpect: 100-continue\r\n\r\n";
    let answer = server.send(expecting).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_flood_of_headers_is_refused() {
    let server = Running::of(floor(|_| {})).await;
    let flood = |count: usize, length: usize| {
        let lines: String =
            (0..count).map(|n| format!("x-{n}: {}\r\n", "y".repeat(length))).collect();
        format!("GET /health/live HTTP/1.1\r\nhost: a\r\n{lines}\r\n").into_bytes()
    };
    for (count, length) in [(80, 1), (1, 20_000)] {
        let answer = server.send(&flood(count, length)).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert!(answer.contains("\"headers_too_large\""), "{answer}");
    }
    let answer = server.send(&flood(500, 1)).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "beyond hyper's own limit: {answer}");
}

#[tokio::test]
async fn more_headers_may_be_allowed_than_hyper_takes_by_itself() {
    let server = Running::of(floor(|settings| settings.sizes.headers = 200)).await;
    let with = |count: usize| {
        let lines: String = (0..count).map(|n| format!("x-{n}: y\r\n")).collect();
        format!("GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}\r\n")
    };
    let answer = server.send(with(198).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = server.send(with(199).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(answer.contains("\"headers_too_large\""), "{answer}");
}

#[tokio::test]
async fn one_address_gets_so_many_connections() {
    let server = Running::of(floor(|settings| settings.connections.per_address = 2)).await;
    let mut first = server.connect().await;
    first.write_all(LIVE).await.unwrap();
    until(&mut first, "\"ok\"").await;
    let mut second = server.connect().await;
    second.write_all(LIVE).await.unwrap();
    until(&mut second, "\"ok\"").await;
    assert_eq!(server.send(LAST).await, "");
    drop(first);
    while !server.send(LAST).await.starts_with("HTTP/1.1 200") {}
}

/// A floor with `/gate`, which says when it is entered and waits to be let go.
fn gated(entered: &Arc<Notify>, open: &Arc<Notify>) -> Arc<App> {
    let (entered, open) = (Arc::clone(entered), Arc::clone(open));
    let entered = Box::leak(Box::new(entered));
    let open = Box::leak(Box::new(open));
    let (entered, open): (&'static Notify, &'static Notify) = (entered, open);
    let wait = move |_: Call, _: input::Empty| async move {
        entered.notify_one();
        open.notified().await;
        Ok::<_, Error>(Done("through"))
    };
    let mut endpoints = endpoints();
    endpoints.push(get("/gate", Access::Service, Limit::Free, wait));
    floor_with(|settings| settings.timeouts.drain = Duration::from_millis(500), endpoints)
}

#[tokio::test]
async fn stopping_answers_what_is_in_flight() {
    let (entered, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut server = Running::of(gated(&entered, &open)).await;
    let mut idle = server.connect().await;
    idle.write_all(LIVE).await.unwrap();
    until(&mut idle, "\"ok\"").await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /gate HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    entered.notified().await;

    server.stop();
    assert_eq!(until_closed(&mut idle).await, "", "idle connections close at once");
    assert!(TcpStream::connect(server.address).await.is_err(), "no new ones are accepted");
    assert!(!server.task.is_finished());
    open.notify_one();
    let answer = until_closed(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("through"), "{answer}");
    server.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let (entered, open) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut server = Running::of(gated(&entered, &open)).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /gate HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    entered.notified().await;
    server.stop();
    server.task.await.unwrap().unwrap();
    assert_eq!(until_closed(&mut busy).await, "");
}

struct Issued {
    certificate: CertificateDer<'static>,
    certificate_pem: String,
    key_pem: String,
}

fn issue() -> Issued {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Issued {
        certificate: issued.cert.der().clone(),
        certificate_pem: issued.cert.pem(),
        key_pem: issued.signing_key.serialize_pem(),
    }
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key") }
}

fn write(files: &TlsFiles, certificate: &Issued, key: &Issued) {
    std::fs::write(&files.certificate, &certificate.certificate_pem).unwrap();
    std::fs::write(&files.key, &key.key_pem).unwrap();
}

/// A client that trusts exactly this certificate.
async fn shake_hands(server: &Running, trusted: &Issued) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate.clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, server.connect().await).await
}

#[tokio::test]
async fn a_new_certificate_is_taken_while_serving() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let (old, new) = (issue(), issue());
    write(&files, &old, &old);
    let server = Running::of(floor(|settings| {
        settings.tls = Some(files.clone());
        settings.timeouts.tls_reload = Duration::from_millis(10);
    }))
    .await;
    let stream = shake_hands(&server, &old).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));

    write(&files, &new, &new);
    while shake_hands(&server, &new).await.is_err() {}
    assert!(shake_hands(&server, &old).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    write(&files, &issue(), &issue());
    let server = Running::of(floor(|settings| settings.tls = Some(files.clone()))).await;
    let error = server.task.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("tls.key does not fit the certificate"), "{error}");
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let issued = issue();
    write(&files, &issued, &issued);
    let server = Running::of(floor(|settings| {
        impatient(settings);
        settings.tls = Some(files.clone());
    }))
    .await;
    let mut stream = server.connect().await;
    assert_eq!(until_closed(&mut stream).await, "");
}
