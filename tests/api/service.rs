//! Health, documents, metrics, and what every request meets: limits of size and time, the error
//! envelope, request ids, security headers.

use std::time::{Duration, Instant};

use janua_tests::node::{answer, client};
use janua_tests::people::PASSWORD;
use janua_tests::{Node, Response};
use reqwest::{Method, Version};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn health_says_live_and_ready() {
    let node = Node::start().await;
    for path in ["/health/live", "/health/ready"] {
        let health = node.api.get(path).await;
        assert_eq!(health.status, 200, "{}", health.text);
        assert!(health.body["status"].is_string(), "{}", health.text);
    }
}

#[tokio::test]
async fn metrics_count_requests_by_route() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let id = alice.session.id().await;
    alice.session.delete(&format!("/sessions/{id}")).await.is_yes(200);
    let metrics = node.api.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").starts_with("text/plain"));
    assert!(metrics.text.contains("/auth/register"), "{}", metrics.text);
    assert!(metrics.text.contains("/sessions/{sessionId}"), "{}", metrics.text);
    assert!(!metrics.text.contains(&id), "an id makes a time series of its own");
}

#[tokio::test]
async fn metrics_say_what_they_count_and_in_what() {
    let node = Node::start().await;
    node.register("alice").await;
    answer(node.api.request(Method::POST, "/nowhere")).await.is_no(404, "resource_not_found");
    let metrics = node.api.get("/metrics").await.text;
    let lines = || metrics.lines();
    for name in lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        let help = format!("# HELP {name} ");
        assert!(lines().any(|line| line.starts_with(&help)), "{name}: {metrics}");
    }
    let unmatched = r#"janua_http_requests_total{route="unmatched",status="404"} 1"#;
    assert!(lines().any(|line| line == unmatched), "{metrics}");
    for bucket in [
        r#"janua_log_batch_writes_bucket{le="1"}"#,
        r#"janua_http_request_seconds_bucket{method="POST",route="/auth/register",le="0.25"}"#,
    ] {
        assert!(lines().any(|line| line.starts_with(bucket)), "{bucket}: {metrics}");
    }
}

#[tokio::test]
async fn an_admin_listener_takes_the_metrics_with_it() {
    let node = Node::with("http.admin_listen", "127.0.0.1:0").start().await;
    let listening = node.output().event("listening").expect("it printed where it listens");
    let admin = listening["adminAddress"].as_str().expect("the admin address").to_owned();
    assert_eq!(node.api.get("/metrics").await.status, 404);
    let metrics = answer(client().get(format!("http://{admin}/metrics"))).await;
    assert_eq!(metrics.status, 200);
    let users = answer(client().get(format!("http://{admin}/users/me"))).await;
    assert_eq!(users.status, 404);
}

#[tokio::test]
async fn the_operator_s_token_opens_no_door_but_their_own() {
    let node = Node::with("http.admin_listen", "127.0.0.1:0").start().await;
    let listening = node.output().event("listening").expect("it printed where it listens");
    let admin = format!("http://{}", listening["adminAddress"].as_str().expect("an address"));
    let operator = node.keys().operator;
    for path in ["/users", "/api-keys"] {
        let inside = client().get(format!("{admin}{path}")).bearer_auth(&operator);
        answer(inside).await.is_yes(200);
        let request = node.api.request(reqwest::Method::GET, path).bearer_auth(&operator);
        answer(request).await.is_no(401, "invalid_token");
        answer(client().get(format!("{admin}{path}"))).await.is_no(401, "authentication_required");
    }
    let request = node.api.request(reqwest::Method::GET, "/admin/tenants").bearer_auth(&operator);
    assert_eq!(answer(request).await.status, 404);
    let inside = client().get(format!("{admin}/admin/tenants")).bearer_auth(&operator);
    answer(inside).await.is_yes(200);
    // Servers of the tenant's go on as ever.
    answer(node.server(reqwest::Method::GET, "/users")).await.is_yes(200);
}

#[tokio::test]
async fn the_operators_listener_says_what_it_serves() {
    let node = Node::with("http.admin_listen", "127.0.0.1:0").start().await;
    let listening = node.output().event("listening").expect("it printed where it listens");
    let admin = format!("http://{}", listening["adminAddress"].as_str().expect("an address"));
    let ask = async |method: &Method, path: &str| {
        let request = client().request(method.clone(), format!("{admin}{path}"));
        answer(request.bearer_auth(node.keys().operator)).await
    };
    for (path, wrong, allowed) in [
        ("/users", Method::PUT, "GET, POST, HEAD, OPTIONS"),
        ("/api-keys", Method::DELETE, "GET, POST, HEAD, OPTIONS"),
        ("/users/usr_1", Method::PUT, "GET, PATCH, DELETE, HEAD, OPTIONS"),
        ("/users/import", Method::GET, "POST, OPTIONS"),
        ("/admin/tenants", Method::DELETE, "GET, POST, HEAD, OPTIONS"),
    ] {
        let options = ask(&Method::OPTIONS, path).await;
        assert_eq!((options.status, options.header("allow")), (204, allowed), "{path}");
        let refused = ask(&wrong, path).await.is_no(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), allowed, "{path}");
    }
    // What operators have no business with is not there, whatever the method.
    for path in ["/users/me", "/auth/login", "/sessions", "/nowhere"] {
        for method in [Method::OPTIONS, Method::GET, Method::POST, Method::DELETE] {
            ask(&method, path).await.is_no(404, "resource_not_found");
        }
    }
}

#[tokio::test]
async fn the_api_describes_itself() {
    let node = Node::start().await;
    let json = node.api.get("/openapi.json").await;
    assert_eq!(json.status, 200);
    assert!(json.body["openapi"].as_str().unwrap().starts_with("3."));
    let yaml = node.api.get("/openapi.yaml").await;
    assert_eq!(yaml.status, 200);
    assert!(yaml.text.contains("openapi: "), "{}", yaml.text);
    for endpoint in janua_http::api::endpoints() {
        let operation = &json.body["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()];
        assert!(operation.is_object(), "{} {} is missing", endpoint.method, endpoint.path);
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(!summary.is_empty(), "{} {} says nothing", endpoint.method, endpoint.path);
        assert!(yaml.text.contains(endpoint.path), "{}", endpoint.path);
    }
}

#[tokio::test]
async fn the_documents_work_without_the_internet() {
    let node = Node::start().await;
    let page = node.api.get("/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    let sources =
        page.text.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let sources: Vec<_> = sources.collect();
    assert!(!sources.is_empty(), "{}", page.text);
    for source in sources {
        assert!(source.starts_with('/') && !source.starts_with("//"), "{source} is not ours");
        let file = node.api.get(source).await;
        assert_eq!(file.status, 200, "{source}");
        assert!(!file.text.is_empty(), "{source}");
    }
}

#[tokio::test]
async fn documents_are_compressed_for_those_who_ask() {
    let node = Node::start().await;
    let request = node.api.request(Method::GET, "/openapi.json").header("Accept-Encoding", "gzip");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = response.bytes().await.unwrap();
    assert!(packed.len() < node.api.get("/openapi.json").await.text.len() / 2);
}

#[tokio::test]
async fn http_2_and_1_1_share_the_port() {
    let node = Node::start().await;
    let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let live = two.get(format!("{}/health/live", node.api.base())).send().await.unwrap();
    assert_eq!((live.status().as_u16(), live.version()), (200, Version::HTTP_2));
    let live = client().get(format!("{}/health/live", node.api.base())).send().await.unwrap();
    assert_eq!((live.status().as_u16(), live.version()), (200, Version::HTTP_11));
}

#[tokio::test]
async fn what_does_not_exist_is_a_no_in_the_envelope() {
    let node = Node::start().await;
    for path in ["/", "/nowhere", "/user", "/auth/login/x", "/%2e%2e/etc/passwd", "//users/me"] {
        node.api.get(path).await.is_no(404, "resource_not_found");
    }
    let refused = node.api.get("/auth/login").await.is_no(405, "method_not_allowed");
    assert!(refused.header("allow").contains("POST"), "{:?}", refused.headers);
    let refused = answer(node.api.request(Method::PATCH, "/users/me")).await;
    let refused = refused.is_no(405, "method_not_allowed");
    for method in ["GET", "PUT", "DELETE"] {
        assert!(refused.header("allow").contains(method), "{:?}", refused.headers);
    }
}

async fn registers_with(node: &Node, content_type: &str, body: String) -> Response {
    let request = node.api.request(Method::POST, "/auth/register");
    answer(request.header("Content-Type", content_type).body(body)).await
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let node = Node::start().await;
    let good = json!({ "email": "alice@example.com", "password": PASSWORD }).to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml"] {
        let refused = registers_with(&node, content_type, good.clone()).await;
        refused.is_no(415, "unsupported_media_type");
    }
    for body in ["", "{", "null", "[]", "\"text\"", "{\"email\":}", "{} {}", "\u{0}"] {
        let refused = registers_with(&node, "application/json", body.into()).await;
        refused.is_no(400, "validation_error");
    }
    let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    registers_with(&node, "application/json", deep).await.is_no(400, "validation_error");
    registers_with(&node, "application/json; charset=utf-8", good).await.is_yes(201);
}

#[tokio::test]
async fn a_body_or_a_head_that_is_too_large_is_refused() {
    let node = Node::with("http.max_body_bytes", 4096).start().await;
    let large = json!({ "email": "alice@example.com", "password": "x".repeat(5000) }).to_string();
    registers_with(&node, "application/json", large).await.is_no(413, "payload_too_large");
    let request =
        node.api.request(Method::GET, "/health/live").header("X-Large", "x".repeat(70_000));
    let refused = request.send().await;
    assert!(refused.is_err() || refused.unwrap().status() == 431);
    assert_eq!(node.api.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_let_go() {
    let node = Node::with("http.header_timeout", "500ms").start().await;
    let begun = Instant::now();
    let mut slow = TcpStream::connect(node.api.address()).await.unwrap();
    slow.write_all(b"GET /health/live HTTP/1.1\r\nHost: janua\r\nX-Slow: ").await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), slow.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "still open after {:?}", begun.elapsed());
    assert!(begun.elapsed() >= Duration::from_millis(400), "closed before its time");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_body_is_let_go() {
    let node = Node::with("http.body_timeout", "500ms").start().await;
    let mut slow = TcpStream::connect(node.api.address()).await.unwrap();
    let head = "POST /auth/login HTTP/1.1\r\nHost: janua\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), slow.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "still open");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
}

#[tokio::test]
async fn every_answer_has_a_request_id_a_node_and_its_guards() {
    let node = Node::with("node.name", "lighthouse").start().await;
    let alice = node.register("alice").await;
    for answer in [alice.session.me().await, node.api.get("/nowhere").await] {
        assert!(answer.header("x-request-id").starts_with("req_"), "{:?}", answer.headers);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(!answer.header("content-type").is_empty());
    }
    let me = alice.session.me().await;
    assert_eq!(me.header("x-janua-node"), "lighthouse");
    let named =
        alice.session.request(Method::GET, "/users/me").header("X-Request-ID", "req_mine-1");
    assert_eq!(answer(named).await.header("x-request-id"), "req_mine-1");
    let again = alice.session.me().await;
    assert_ne!(again.header("x-request-id"), me.header("x-request-id"));
}

#[tokio::test]
async fn an_origin_that_is_not_allowed_gets_no_leave() {
    let node = Node::start().await;
    let preflight =
        node.api.request(Method::OPTIONS, "/users/me").header("Origin", "https://evil.example");
    let preflight = preflight.header("Access-Control-Request-Method", "GET");
    let answer = answer(preflight).await;
    assert!(answer.headers.get("access-control-allow-origin").is_none(), "{:?}", answer.headers);
}

/// The answer of a registration, but for the signature: a repeated token may be signed anew.
fn told(answer: &Response) -> Value {
    let mut told = answer.body.clone();
    let token = answer.text_of("session.accessToken");
    let (claims, _) = token.rsplit_once('.').expect("a signature");
    told["data"]["session"]["accessToken"] = claims.into();
    told
}

#[tokio::test]
async fn a_repeated_idempotency_key_repeats_the_answer() {
    let node = Node::start().await;
    let register = async |body: &Value| {
        let request = node.api.request(Method::POST, "/auth/register").json(body);
        answer(request.header("Idempotency-Key", "first-try-of-alice")).await
    };
    let alice = json!({ "email": "alice@example.com", "password": PASSWORD });
    let first = register(&alice).await.is_yes(201);
    let second = register(&alice).await.is_yes(201);
    assert_eq!(told(&first), told(&second));
    node.restart().await;
    assert_eq!(told(&register(&alice).await.is_yes(201)), told(&first));
    let other = json!({ "email": "bob@example.com", "password": PASSWORD });
    register(&other).await.is_no(409, "idempotency_conflict");
    node.api.registration("bob@example.com", PASSWORD).await.is_yes(201);
}
