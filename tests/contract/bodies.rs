//! What every endpoint that takes a body asks of it.

use janua_http::endpoint::{Access, Endpoint};
use janua_tests::node::answer;
use janua_tests::{Node, Response, User};
use reqwest::Method;
use serde_json::{Value, json};

/// The media type of the bodies that are looked at here; pages post forms.
const JSON: &str = "application/json";

async fn sends(node: &Node, endpoint: &Endpoint, alice: &User, body: &Value) -> Response {
    let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).expect("a method");
    let path = endpoint.path.replace("{tenantId}", "default").replace("{keyId}", "nobodys");
    let request = node.api.request(method, &path).json(body);
    answer(match endpoint.access {
        Access::Session => request.bearer_auth(&alice.session.access_token),
        Access::Operator => request.bearer_auth(node.keys().operator),
        Access::Permission(_) => request.header("X-API-Key", node.keys().secret),
        Access::Public | Access::Service => request,
    })
    .await
}

#[track_caller]
fn wants_an_object(answer: Response, field: &str) {
    let answer = answer.is_no(400, "validation_error");
    let expected = json!([{ "field": field, "message": "expected an object" }]);
    assert_eq!(answer.body["error"]["details"], expected, "{}", answer.text);
}

/// Nulls for all fields: what a reader that takes a struct from an array is content with.
fn nulls(schema: &Value) -> Value {
    let fields = schema["properties"].as_object().expect("an object").len();
    vec![Value::Null; fields].into()
}

#[tokio::test]
async fn an_array_is_never_taken_for_an_object() {
    let node = Node::start().await;
    let alice = node.register("alice").await;
    let document = node.api.get("/openapi.json").await.body;
    let resolve = |schema: &Value| match schema["$ref"].as_str() {
        Some(reference) => document.pointer(&reference[1..]).expect("a schema").clone(),
        None => schema.clone(),
    };
    let (mut bodies, mut inner) = (0, 0);
    let endpoints = janua_http::api::endpoints();
    let of_json = |endpoint: &&Endpoint| endpoint.takes_body && endpoint.media_type == JSON;
    for endpoint in endpoints.iter().filter(of_json) {
        let operation = &document["paths"][endpoint.path][endpoint.method.as_str().to_lowercase()];
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let body = resolve(body);
        for array in [json!([]), nulls(&body), json!(["Mallory"])] {
            wants_an_object(sends(&node, endpoint, &alice, &array).await, "body");
        }
        bodies += 1;
        for (name, field) in body["properties"].as_object().expect("an object") {
            let field = resolve(field.get("allOf").map_or(field, |all| &all[0]));
            if field["properties"].is_object() {
                let array = json!({ name: nulls(&field) });
                wants_an_object(sends(&node, endpoint, &alice, &array).await, name);
                inner += 1;
            }
        }
    }
    assert!(bodies >= 8 && inner >= 2, "{bodies} bodies, {inner} objects within");
    assert_eq!(alice.session.me().await.data()["firstName"], Value::Null);
}
