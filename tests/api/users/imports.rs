//! Users who come from elsewhere, with hashes that other programs have written.

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::response::has_exactly;
use janua_tests::{Node, Response, Stalled, wait};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Hashes of `PASSWORD` by libc's crypt, libargon2, and Python in the forms of Django and passlib.
const HASHES: [&str; 6] = [
    "$2y$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC",
    "$argon2i$v=19$m=64,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$eoW5M77MaoZhTOpBRSprFBfYtZ3S1RrW",
    "$argon2id$v=19$m=64,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$eh/TqAuet6/T0Qnw0fJSfnKH5ovXx4eE",
    "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$4qqx/nyuw5+MHnVKPkVSo+NRUD+iwfzV+3NMsXxQQOo",
    "pbkdf2_sha256$1000$NaCl-of-django$XBI+axQV1OoIFCl3QkhgwPSC7X76Md82pB9oM7Ctkew=",
    "$pbkdf2-sha256$1000$AAECAwQFBgcICQoLDA0ODw$J/dlNWLQfnUhhcgqgmPhR.InqDYq6UwLOaUn48GxydM",
];

fn importing(node: &Node, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = node.server(Method::POST, "/users/import");
    request.header("Content-Type", "application/x-ndjson").body(body)
}

async fn import(node: &Node, lines: &[Value]) -> Response {
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    answer(importing(node, lines.join("\n"))).await
}

#[tokio::test]
async fn imported_users_log_in_with_the_passwords_they_had() {
    let node = Node::start().await;
    let lines: Vec<_> = HASHES
        .iter()
        .enumerate()
        .map(|(at, hash)| json!({ "email": format!("User{at}@example.com"), "passwordHash": hash }))
        .collect();
    let imported = import(&node, &lines).await.is_yes(200);
    assert_eq!(*imported.data(), json!({ "imported": 6, "failed": 0, "errors": [] }));
    for at in 0..HASHES.len() {
        let email = format!("user{at}@example.com");
        node.api.login(&email, "Seven-quiet-rivers-83!").await.is_no(401, "invalid_credentials");
        node.api.login(&email, PASSWORD).await.is_yes(200);
        // The first login has brought the hash to the form of ours.
        node.api.login(&email, PASSWORD).await.is_yes(200);
        node.api.login(&email, "Seven-quiet-rivers-83!").await.is_no(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn guesses_at_an_imported_password_are_counted_like_any() {
    let node = Node::start().await;
    import(&node, &[json!({ "email": "a@example.com", "passwordHash": HASHES[0] })])
        .await
        .is_yes(200);
    for _ in 0..5 {
        node.api.login("a@example.com", "Wrong-river-11!").await.is_no(401, "invalid_credentials");
    }
    node.api.login("a@example.com", PASSWORD).await.is_no(423, "account_locked");
}

#[tokio::test]
async fn everything_that_a_line_tells_is_taken_in() {
    let node = Node::start().await;
    let line = json!({
        "email": "ada@example.com", "emailVerified": true, "firstName": "Ada", "lastName": "King",
        "phoneNumber": "+14155550123", "phoneVerified": true,
        "avatar": "https://example.com/ada.png", "metadata": { "legacyId": 7 },
    });
    import(&node, std::slice::from_ref(&line)).await.is_yes(200);
    let found = answer(node.server(Method::GET, "/users")).await.is_yes(200);
    let user = &found.data()["users"][0];
    for (name, value) in line.as_object().unwrap() {
        assert_eq!(user[name], *value, "{name}");
    }
    assert_eq!(user["hasPassword"], false);
}

#[tokio::test]
async fn each_line_that_fails_is_told_with_its_number_and_the_others_are_taken_in() {
    let node = Node::start().await;
    node.register("alice").await;
    let body = [
        r#"{"email": "a@example.com"}"#,
        "",
        r#"{"email": "alice@example.com"}"#,
        "not json",
        r#"{"email": "nobody"}"#,
        r#"{"email": "b@example.com", "passwordHash": "5f4dcc3b5aa765d61d8327deb882cf99"}"#,
        r#"{"email": "b@example.com", "passwordHash": "$2b$31$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC"}"#,
        r#"{"email": "A@example.com"}"#,
        r#"["c@example.com"]"#,
        r#"{"email": "d@example.com", "metadata": "#,
        r#"{"email": "e@example.com"}"#,
    ];
    let long = format!("{{\"email\": \"f@example.com\", \"x\": \"{}\"}}", "x".repeat(70_000));
    let body = format!("{}\r\n{long}\n", body.join("\r\n"));
    let imported = answer(importing(&node, body)).await.is_yes(200);
    has_exactly(imported.data(), &["imported", "failed", "errors"]);
    assert_eq!((&imported.data()["imported"], &imported.data()["failed"]), (&json!(2), &json!(9)));
    let errors = imported.data()["errors"].as_array().unwrap();
    let told: Vec<_> = errors
        .iter()
        .map(|error| (error["line"].as_u64().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    let invalid = "validation_error";
    assert_eq!(
        told,
        [
            (3, "email_already_exists"),
            (4, invalid),
            (5, invalid),
            (6, invalid),
            (7, invalid),
            (8, "email_already_exists"),
            (9, invalid),
            (10, invalid),
            (12, invalid),
        ]
    );
    assert!(errors[3]["message"].as_str().unwrap().contains("known form"), "{}", errors[3]);
    assert!(errors[4]["message"].as_str().unwrap().contains("too much"), "{}", errors[4]);
    assert!(!imported.text.contains("5f4dcc3b"), "a hash is shown");
}

#[tokio::test]
async fn many_users_are_read_as_they_come() {
    let node = Node::with("http.max_body_bytes", 1024).start().await;
    let pieces = (0..2000).map(|number| {
        let line = format!("{}\n", json!({ "email": format!("u{number}@example.com") }));
        Ok::<_, std::io::Error>(Frame::data(Bytes::from(line)))
    });
    let body = reqwest::Body::wrap(StreamBody::new(futures::stream::iter(pieces)));
    let imported = answer(importing(&node, body)).await.is_yes(200);
    assert_eq!(imported.data()["imported"], 2000);
    let listed = answer(node.server(Method::GET, "/users?limit=1")).await;
    assert_eq!(
        (&listed.data()["totalCount"], &listed.data()["hasMore"]),
        (&json!(2000), &json!(true))
    );
}

#[tokio::test]
async fn an_import_goes_no_further_than_the_key_that_it_was_begun_with() {
    let node = Node::start().await;
    node.has_agreed().await;
    let body = json!({ "name": "Mover", "type": "secret", "scopes": ["users:write"] });
    let made = answer(node.server(Method::POST, "/api-keys").json(&body)).await.is_yes(201);
    let taken_in = async || {
        let listed = answer(node.server(Method::GET, "/users?limit=1")).await.is_yes(200);
        listed.data()["totalCount"].as_u64().unwrap()
    };
    let line = |number| format!("{}\n", json!({ "email": format!("u{number}@example.com") }));
    let (first, more): (String, String) =
        ((0..100).map(line).collect(), (100..150).map(line).collect());
    let request = node.api.request(Method::POST, "/users/import");
    let request = request.header("Content-Type", "application/x-ndjson");
    let request = request.header("X-API-Key", made.text_of("key"));
    let begun = Stalled::begin(request.body(format!("{first}{more}")), first.len()).await;
    wait::until("the first lines are taken in", async || (taken_in().await == 100).then_some(()))
        .await;
    let path = format!("/api-keys/{}", made.text_of("id"));
    answer(node.server(Method::DELETE, &path)).await.is_yes(200);
    begun.finish().await.is_no(401, "invalid_token");
    assert_eq!(taken_in().await, 100);
}

#[tokio::test]
async fn an_import_has_a_limit_a_type_and_a_caller() {
    let node = Node::with("http.max_import_bytes", 4096).start().await;
    let line = json!({ "email": "a@example.com" }).to_string();
    let as_json = node.server(Method::POST, "/users/import").json(&json!({}));
    answer(as_json).await.is_no(415, "unsupported_media_type");
    let publishable = node.api.request(Method::POST, "/users/import");
    let publishable = publishable.header("X-API-Key", node.keys().publishable).body(line.clone());
    answer(publishable).await.is_no(403, "insufficient_permissions");
    let large = format!("{line}\n").repeat(1000);
    answer(importing(&node, large)).await.is_no(413, "payload_too_large");
    let none = answer(importing(&node, "")).await.is_yes(200);
    assert_eq!(*none.data(), json!({ "imported": 0, "failed": 0, "errors": [] }));
}

#[tokio::test]
async fn a_repeated_import_happens_once() {
    let node = Node::start().await;
    node.register("alice").await;
    let send = async |lines: &str| {
        answer(importing(&node, lines.to_owned()).header("Idempotency-Key", "move-in")).await
    };
    let lines = "{\"email\":\"a@example.com\"}\n{\"email\":\"alice@example.com\"}";
    let first = send(lines).await.is_yes(200);
    assert_eq!((&first.data()["imported"], &first.data()["failed"]), (&json!(1), &json!(1)));
    assert_eq!(send(lines).await.is_yes(200).body, first.body);
    send("{\"email\":\"b@example.com\"}").await.is_no(409, "idempotency_conflict");
    let listed = answer(node.server(Method::GET, "/users")).await;
    assert_eq!(listed.data()["totalCount"], 2);
}
