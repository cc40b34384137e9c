//! No public endpoint tells whether an address has an account: not by its status, not by its body,
//! and not by the time that it takes. Registration's 409 is the exception that the contract makes, and
//! that a tenant may take back.

use std::time::{Duration, Instant};

use janua_tests::node::answer;
use janua_tests::people::PASSWORD;
use janua_tests::{Node, Response};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// How often each address is asked for, one after the other in turn.
const SAMPLES: usize = 40;

/// bcrypt of a password that nobody shows.
const IMPORTED: &str = "$2y$04$abcdefghijklmnopqrstuuIGHIID3xjCsL2tON37VNPB.blmVc1KC";

/// What is sent for an address.
type Body = fn(&str) -> Value;

const ENDPOINTS: [(&str, Body); 6] = [
    ("/auth/login", |email| json!({ "email": email, "password": "Not-the-password-7!" })),
    ("/auth/password/forgot", |email| json!({ "email": email })),
    ("/auth/magic-link/send", |email| json!({ "email": email })),
    ("/auth/verify-email/send", |email| json!({ "email": email })),
    ("/auth/passkeys/authenticate/begin", |email| json!({ "email": email })),
    ("/auth/register", |email| json!({ "email": email, "password": PASSWORD })),
];

/// A body without what differs from request to request: every text is as long as it was, and of a list
/// only the names in its elements stay, since authenticators draw ids of any length.
fn shape(body: &Value) -> Value {
    match body {
        Value::String(text) => json!("x".repeat(text.len())),
        Value::Array(list) => json!(
            list.first()
                .and_then(Value::as_object)
                .map(|element| { element.keys().collect::<Vec<_>>() })
        ),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), shape(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

async fn timed(node: &Node, path: &str, body: Value) -> (Response, Duration) {
    let begun = Instant::now();
    let answer = node.api.post(path, body).await;
    (answer, begun.elapsed())
}

/// Median and lower quartile.
fn middle(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() / 4])
}

async fn imports(node: &Node, email: &str) {
    let line = json!({ "email": email, "passwordHash": IMPORTED }).to_string();
    let request = node.server(Method::POST, "/users/import");
    let request = request.header("Content-Type", "application/x-ndjson").body(line);
    answer(request).await.is_yes(200);
}

#[tokio::test]
async fn known_and_unknown_addresses_get_the_same_answer_in_the_same_time() {
    let node = Node::with("passwords.memory_kib", 8192).start().await;
    let settings = json!({ "hideExistingAccounts": true, "lockout": { "attempts": 0 } });
    node.register("known1").await.session.registers_a_passkey().await;
    imports(&node, "known2@example.com").await;
    node.configure(settings).await;
    for (path, body) in ENDPOINTS {
        // So that what is met for the first time is met before it is measured.
        for email in ["known1@example.com", "known2@example.com", "nobody@example.com"] {
            node.api.post(path, body(email)).await;
        }
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        let mut answers = Vec::new();
        for sample in 0..SAMPLES {
            // As long as the others, and never the same.
            let unknown = format!("x{sample:05}@example.com");
            let addresses = ["known1@example.com", "known2@example.com", unknown.as_str()];
            for (address, times) in addresses.into_iter().zip(&mut times) {
                let (answer, took) = timed(&node, path, body(address)).await;
                answers.push((answer.status, shape(&answer.body)));
                times.push(took);
            }
        }
        let first = &answers[0];
        for answer in &answers {
            assert_eq!(answer, first, "{path}");
        }
        let [known, imported, unknown] = times.map(middle);
        println!("{path}: known {:?}, imported {:?}, unknown {:?}", known.0, imported.0, unknown.0);
        for known in [known.1, imported.1] {
            let (less, more) = (known.min(unknown.1), known.max(unknown.1));
            // Of a quarter: what runs beside this on the machine is not the server's. What would tell
            // an address (a hash, a write that is left out) is several times as much.
            let bound = less * 2 + Duration::from_millis(5);
            assert!(more <= bound, "{path}: {known:?} beside {:?}", unknown.1);
        }
    }
}
