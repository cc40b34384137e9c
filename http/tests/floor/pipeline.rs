//! What every answer has, and what every wrong request gets; no sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{ask, floor};
use http::Request;
use janua_http::limits::rate::Rate;
use serde_json::Value;

fn get(path: &str) -> http::request::Builder {
    Request::get(path)
}

fn post(path: &str) -> http::request::Builder {
    Request::post(path).header("content-type", "application/json")
}

const NOTE: &str = r#"{"firstLine": "hello"}"#;

#[tokio::test]
async fn a_good_request_is_answered_in_the_envelope() {
    let answer = ask(&floor(|_| {}), post("/notes"), NOTE).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json(), serde_json::json!({"success": true, "data": {"firstLine": "hello"}}));
}

#[tokio::test]
async fn every_answer_has_the_headers_that_all_have() {
    let app = floor(|_| {});
    let answers = [
        ask(&app, post("/notes"), NOTE).await,
        ask(&app, post("/notes"), "{").await,
        ask(&app, get("/nowhere"), "").await,
        ask(&app, Request::delete("/notes"), "").await,
        ask(&app, get("/health/live"), "").await,
        ask(&app, get("/notes/1"), "").await,
    ];
    for answer in answers {
        assert!(answer.header("x-request-id").starts_with("req_01"), "{answer:?}");
        assert_eq!(answer.header("x-janua-node"), "node-1");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-ratelimit-limit"), "1000");
        assert_eq!(answer.header("x-ratelimit-bucket"), "api");
        assert!(!answer.header("x-ratelimit-remaining").is_empty());
        assert!(answer.header("x-ratelimit-reset").parse::<u64>().unwrap() >= 1_736_937_000);
        assert!(!answer.headers.contains_key("strict-transport-security"));
    }
}

#[tokio::test]
async fn only_https_is_told_to_stay_https() {
    let app = floor(|settings| settings.public_url = "https://id.example".into());
    let answer = ask(&app, get("/health/live"), "").await;
    assert!(answer.header("strict-transport-security").starts_with("max-age="));
}

#[tokio::test]
async fn looking_around_is_not_charged_and_calling_is() {
    let app = floor(|_| {});
    for _ in 0..3 {
        assert_eq!(ask(&app, get("/nowhere"), "").await.header("x-ratelimit-remaining"), "1000");
        let live = ask(&app, get("/health/live"), "").await;
        assert_eq!(live.header("x-ratelimit-remaining"), "1000");
    }
    let answer = ask(&app, get("/notes"), "").await;
    assert_eq!(answer.header("x-ratelimit-bucket"), "auth");
    assert_eq!(answer.header("x-ratelimit-remaining"), "9");
}

#[tokio::test]
async fn a_limit_that_is_off_shows_no_other() {
    let app = floor(|settings| settings.rates.authentication = Rate::OFF);
    let answer = ask(&app, get("/notes"), "").await;
    assert!(!answer.headers.contains_key("x-ratelimit-bucket"), "{answer:?}");
    assert_eq!(ask(&app, post("/notes"), NOTE).await.header("x-ratelimit-bucket"), "api");
    assert_eq!(ask(&app, get("/nowhere"), "").await.header("x-ratelimit-bucket"), "api");
}

#[tokio::test]
async fn the_eleventh_guess_in_a_minute_waits() {
    let app = floor(|_| {});
    for _ in 0..10 {
        assert_eq!(ask(&app, get("/notes"), "").await.status, 200);
    }
    let answer = ask(&app, get("/notes"), "").await;
    answer.refuses(429, "rate_limit_exceeded");
    assert_eq!(answer.json()["error"]["retryAfter"], 6);
    assert_eq!(answer.header("retry-after"), "6");
    assert_eq!(answer.header("x-ratelimit-remaining"), "0");
    assert_eq!(answer.header("x-ratelimit-reset"), (1_736_937_000 + 60).to_string());
}

#[tokio::test]
async fn a_made_up_forwarded_address_gives_no_fresh_bucket() {
    let app = floor(|_| {});
    let from = |address| get("/notes").header("x-forwarded-for", address);
    for last in 1..=10 {
        ask(&app, from(format!("198.51.100.{last}")), "").await;
    }
    ask(&app, from("198.51.100.77".into()), "").await.refuses(429, "rate_limit_exceeded");
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_clients() {
    let app = floor(|settings| settings.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()]);
    let from = |address| get("/notes").header("x-forwarded-for", address);
    for last in 1..=20 {
        let answer = ask(&app, from(format!("198.51.100.{last}")), "").await;
        assert_eq!(answer.header("x-ratelimit-remaining"), "9");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_say_so() {
    let app = floor(|_| {});
    ask(&app, get("/nowhere"), "").await.refuses(404, "resource_not_found");
    ask(&app, get("/notes/"), "").await.refuses(404, "resource_not_found");
    let answer = ask(&app, Request::delete("/notes"), "").await;
    answer.refuses(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), "POST, GET, HEAD, OPTIONS");
    let options = ask(&app, Request::options("/notes"), "").await;
    assert_eq!((options.status, options.header("allow")), (204, "POST, GET, HEAD, OPTIONS"));
    assert_eq!(options.header("access-control-allow-methods"), "");
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = floor(|_| {});
    let get = ask(&app, get("/health/live"), "").await;
    let head = ask(&app, Request::head("/health/live"), "").await;
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    ask(&app, Request::head("/panics"), "").await;
}

#[tokio::test]
async fn head_tells_no_length_that_get_would_not_have() {
    let app = floor(|_| {});
    let streamed = ask(&app, Request::head("/streams"), "").await;
    assert_eq!((streamed.status, streamed.header("content-length")), (200, ""));
    let etag = ask(&app, get("/docs"), "").await.header("etag").to_owned();
    let known = Request::head("/docs").header("if-none-match", etag);
    let known = ask(&app, known, "").await;
    assert_eq!((known.status, known.header("content-length")), (304, ""));
}

#[tokio::test]
async fn an_idempotency_key_is_sent_once() {
    let app = floor(|_| {});
    let keyed = |key: &str| post("/notes").header("idempotency-key", key);
    assert_eq!(ask(&app, keyed("one"), NOTE).await.status, 200);
    let twice = keyed("one").header("idempotency-key", "two");
    for request in [twice, keyed(""), keyed(&"x".repeat(256))] {
        let answer = ask(&app, request, NOTE).await;
        answer.refuses(400, "validation_error");
        assert_eq!(answer.json()["error"]["details"][0]["field"], "Idempotency-Key");
    }
}

#[tokio::test]
async fn the_collection_for_postman_has_the_endpoints() {
    let app = floor(|settings| settings.public_url = "https://id.example".into());
    let answer = ask(&app, get("/postman/collection.json"), "").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let collection = answer.json();
    assert_eq!(collection["info"]["name"], "Janua API");
    let variables = collection["variable"].as_array().unwrap();
    let value = |key: &str| &variables.iter().find(|one| one["key"] == key).unwrap()["value"];
    assert_eq!(
        (value("baseUrl"), value("apiKey")),
        (&"https://id.example".into(), &"your-api-key".into())
    );
    let folders = collection["item"].as_array().unwrap();
    let requests = folders.iter().map(|folder| folder["item"].as_array().unwrap().len());
    assert_eq!(requests.sum::<usize>(), app.endpoints().count());
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be() {
    let app = floor(|settings| settings.sizes.body = 1000);
    let deep = format!("{{\"firstLine\": {}{}}}", "[".repeat(400), "]".repeat(400));
    let cases = [
        ("", "it is empty"),
        ("{", "it ends too early"),
        ("{} {}", "syntax error"),
        ("{\"firstLine\": \"a\", \"firstLine\": \"b\"}", "twice"),
        ("{\"firstLine\": \"\\u0000\"}", "NUL"),
        (&deep, "nested too deeply"),
    ];
    for (body, why) in cases {
        let answer = ask(&app, post("/notes"), body).await;
        answer.refuses(400, "validation_error");
        let error = answer.json()["error"].clone();
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
        assert_eq!(error["details"][0]["field"], "body");
        assert!(error["details"][0]["message"].as_str().unwrap().contains(why), "{error}");
    }
    let large = format!("{{\"firstLine\": \"{}\"}}", "x".repeat(1000));
    ask(&app, post("/notes"), &large).await.refuses(413, "payload_too_large");
}

#[tokio::test]
async fn an_array_is_no_object() {
    let app = floor(|_| {});
    for body in [r#"["hello"]"#, "[]", "null", "7"] {
        let answer = ask(&app, post("/notes"), body).await;
        answer.refuses(400, "validation_error");
        let detail = &answer.json()["error"]["details"][0];
        assert_eq!(detail["message"], "expected an object", "{body}: {detail}");
    }
}

#[tokio::test]
async fn fields_at_fault_are_named() {
    let app = floor(|_| {});
    let cases = [
        ("{}", "is required"),
        ("{\"firstLine\": 7}", "expected a string"),
        ("{\"firstLine\": null}", "expected a string"),
        ("{\"firstLine\": \"longer than ten\"}", "length is greater than 10"),
    ];
    for (body, message) in cases {
        let answer = ask(&app, post("/notes"), body).await;
        answer.refuses(400, "validation_error");
        let detail = &answer.json()["error"]["details"][0];
        assert_eq!(detail["field"], "firstLine", "{detail}");
        assert_eq!(detail["message"], message);
    }
}

#[tokio::test]
async fn a_body_must_be_json() {
    let app = floor(|_| {});
    for content_type in ["text/plain", "application/jsonx", "application/x-www-form-urlencoded"] {
        let request = Request::post("/notes").header("content-type", content_type);
        ask(&app, request, NOTE).await.refuses(415, "unsupported_media_type");
    }
    ask(&app, Request::post("/notes"), NOTE).await.refuses(415, "unsupported_media_type");
    let two = Request::post("/notes").header("content-type", "application/json");
    let two = two.header("content-type", "text/plain");
    ask(&app, two, NOTE).await.refuses(415, "unsupported_media_type");
    let with_charset =
        Request::post("/notes").header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(ask(&app, with_charset, NOTE).await.status, 200);
    let zipped = post("/notes").header("content-encoding", "gzip");
    ask(&app, zipped, NOTE).await.refuses(415, "unsupported_media_type");
}

#[tokio::test]
async fn too_many_or_too_large_headers() {
    let app = floor(|_| {});
    let many = (0..70).fold(get("/notes"), |request, n| request.header(format!("x-{n}"), "1"));
    ask(&app, many, "").await.refuses(431, "headers_too_large");
    let large = get("/notes").header("x-large", "x".repeat(17_000));
    ask(&app, large, "").await.refuses(431, "headers_too_large");
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let app = floor(|_| {});
    ask(&app, post("/panics"), "").await.refuses(500, "internal_error");
    assert_eq!(ask(&app, post("/notes"), NOTE).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn no_answer_takes_longer_than_the_deadline() {
    let app = floor(|settings| settings.timeouts.request = Duration::from_secs(3));
    let asked = tokio::time::Instant::now();
    let answer = ask(&app, get("/hangs"), "").await;
    answer.refuses(503, "service_unavailable");
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(asked.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn the_clients_request_id_comes_back() {
    let app = floor(|_| {});
    let answer = ask(&app, get("/nowhere").header("x-request-id", "mine-1"), "").await;
    assert_eq!(answer.header("x-request-id"), "mine-1");
    let answer = ask(&app, get("/nowhere").header("x-request-id", "not mine"), "").await;
    assert!(answer.header("x-request-id").starts_with("req_01"));
}

#[tokio::test]
async fn operators_alone_pass_where_operators_pass() {
    ask(&floor(|_| {}), get("/notes/1"), "").await.refuses(401, "authentication_required");
}

#[tokio::test]
async fn administration_moves_to_its_own_door() {
    let app = floor(|settings| settings.separate_admin = true);
    ask(&app, get("/metrics"), "").await.refuses(404, "resource_not_found");
    assert_eq!(ask(&floor(|_| {}), get("/metrics"), "").await.body, "janua_up 1\n");
}

#[tokio::test]
async fn the_documents_describe_what_is_declared() {
    let app = floor(|_| {});
    let answer = ask(&app, get("/openapi.json"), "").await;
    let openapi = answer.json();
    assert_eq!(openapi["openapi"], "3.0.3");
    for endpoint in app.endpoints() {
        let method = endpoint.method.as_str().to_lowercase();
        let operation = &openapi["paths"][endpoint.path][&method];
        assert_eq!(operation["summary"], endpoint.summary, "{} {}", method, endpoint.path);
        for code in endpoint.codes() {
            let response = &operation["responses"][code.status().as_str()];
            let shared = response["$ref"].as_str().and_then(|name| openapi.pointer(&name[1..]));
            let described = &shared.unwrap_or(response)["description"];
            assert!(described.as_str().unwrap().contains(code.as_str()), "{operation}");
        }
    }
    let note = &openapi["components"]["schemas"]["Note"]["properties"]["firstLine"];
    assert_eq!(note["type"], "string");
    let yaml = ask(&app, get("/openapi.yaml"), "").await;
    assert!(yaml.body.starts_with(b"openapi: "), "{yaml:?}");
}

#[tokio::test]
async fn what_wears_no_envelope_is_described_too() {
    let app = floor(|_| {});
    let openapi = ask(&app, get("/openapi.json"), "").await.json();
    let paths = ["/health/live", "/metrics", "/openapi.json", "/openapi.yaml", "/docs"];
    for (path, declared) in
        paths.map(|path| (path, path)).into_iter().chain([("/docs/start.js", "/docs/{file}")])
    {
        let answer = ask(&app, get(path), "").await;
        let content = &openapi["paths"][declared]["get"]["responses"]["200"]["content"];
        let media_type = answer.header("content-type").split(';').next().unwrap();
        assert!(content[media_type]["schema"].is_object(), "{path}: {media_type}: {content}");
    }
    let ready = ask(&app, get("/health/ready"), "").await;
    assert_eq!(ready.status, 503, "no directory is open here");
    let described = &openapi["paths"]["/health/ready"]["get"]["responses"]["503"]["content"];
    let schemas = &described["application/json"]["schema"]["oneOf"];
    assert_eq!(schemas[0]["$ref"], "#/components/schemas/Unready", "{described}");
    let unready = &openapi["components"]["schemas"]["Unready"]["properties"];
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(unready), names(&ready.json()));
}

#[tokio::test]
async fn the_documents_need_no_other_server() {
    let app = floor(|_| {});
    let page = ask(&app, get("/docs"), "").await;
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    assert!(!html.contains("<style") && !html.contains("<script>"), "nothing inline: {html}");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    for linked in html.split('"').filter(|text| text.starts_with("/docs/")) {
        let file = ask(&app, get(linked).header("accept-encoding", "gzip"), "").await;
        assert_eq!(file.status, 200, "{linked}");
        assert!(!file.body.is_empty());
    }
    let script = get("/docs/swagger-ui-bundle.js").header("accept-encoding", "gzip");
    let script = ask(&app, script, "").await;
    assert_eq!(script.header("content-encoding"), "gzip");
    ask(&app, get("/docs/secrets"), "").await.refuses(404, "resource_not_found");
}
