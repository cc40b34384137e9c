//! The server against heads that are no good request's: whom they call, how much they say.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::Handle;

use crate::support::{Running, floor};

#[tokio::test]
async fn a_request_names_its_host_once() {
    let server = Running::of(floor(|_| {})).await;
    let get = async |line: &str, hosts: &str| {
        let request = format!("GET {line}\r\n{hosts}connection: close\r\n\r\n");
        server.send(request.as_bytes()).await
    };
    let path = "/health/live HTTP/1.1";
    let wrong = ["", "host: a\r\nhost: a\r\n", "host: a b/c\r\n", "host: b@a\r\n"];
    for (line, hosts) in wrong.map(|hosts| (path, hosts)).into_iter().chain([
        ("http://a/health/live HTTP/1.1", ""),
        ("/health/live HTTP/1.0", "host: a\r\nhost: b\r\n"),
    ]) {
        let answer = get(line, hosts).await;
        assert!(answer.starts_with(&format!("HTTP/1.{} 400", &line[line.len() - 1..])), "{answer}");
        assert!(answer.contains("\"validation_error\"") && answer.contains("\"Host\""), "{answer}");
    }
    for (line, hosts) in [
        (path, "host: a:3000\r\n"),
        (path, "host: [::1]:3000\r\n"),
        (path, "host:\r\n"),
        ("http://b/health/live HTTP/1.1", "host: a\r\n"),
        ("/health/live HTTP/1.0", ""),
    ] {
        let answer = get(line, hosts).await;
        assert!(answer.contains(" 200 OK\r\n"), "{line} {hosts}: {answer}");
    }
    let (client, connection) = hyper::client::conn::http2::handshake(
        TokioExecutor::new(),
        TokioIo::new(server.connect().await),
    )
    .await
    .unwrap();
    Handle::current().spawn(connection);
    for (host, status) in
        [("a", 200), ("A", 200), ("a:80", 200), ("a:81", 400), ("b", 400), ("a b", 400)]
    {
        let request = Request::get("http://a/health/live").header("host", host);
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = client.clone().send_request(request).await.unwrap();
        assert_eq!(answer.status(), status, "{host}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_in_the_envelope_over_http_2_too() {
    let server = Running::of(floor(|_| {})).await;
    let io = TokioIo::new(server.connect().await);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    Handle::current().spawn(connection);
    for (count, length) in [(12, 3000), (800, 8)] {
        let mut request = Request::get("http://a/health/live");
        for number in 0..count {
            request = request.header(format!("x-{number}"), "y".repeat(length));
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 431, "{count} headers");
        for header in ["x-request-id", "x-ratelimit-limit", "content-type"] {
            assert!(answer.headers().contains_key(header), "{count} headers: {header}");
        }
    }
}

#[tokio::test]
async fn what_is_asked_of_no_path_is_answered_for_the_server() {
    let server = Running::of(floor(|_| {})).await;
    let ask = async |head: &str| {
        let request = format!("{head}\r\nhost: a\r\nconnection: close\r\n\r\n0\r\n\r\n");
        server.send(request.as_bytes()).await
    };
    let options = ask("OPTIONS * HTTP/1.1").await;
    assert!(options.starts_with("HTTP/1.1 204"), "{options}");
    assert!(options.contains("\r\nallow: GET, HEAD, POST, "), "{options}");
    let tunnel = ask("CONNECT a:443 HTTP/1.1").await;
    assert!(tunnel.starts_with("HTTP/1.1 405"), "{tunnel}");
    assert!(tunnel.contains("\r\nallow: GET, "), "{tunnel}");
    let head = "POST /notes HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: ";
    for codings in ["gzip, chunked", "chunked, chunked", "chunked\r\ntransfer-encoding: chunked"] {
        let coded = ask(&format!("{head}{codings}")).await;
        assert!(coded.starts_with("HTTP/1.1 415"), "{codings}: {coded}");
        assert!(coded.contains("\"unsupported_media_type\""), "{codings}: {coded}");
        assert!(coded.contains("\r\nconnection: close\r\n"), "{codings}: {coded}");
    }
}
