//! Refusals that many operations share stand once, among the components: most of what the operations
//! answer is the same, and not every reader takes a document that says it each time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::common::for_each_operation;

/// The same document, where each refusal that stands in it twice is referred to.
pub fn of(mut document: Value) -> Value {
    let mut found: BTreeMap<String, (Value, usize)> = BTreeMap::new();
    for_each_refusal(&mut document, |status, response| {
        let (first, count) =
            found.entry(name(status, response)).or_insert_with(|| (response.clone(), 0));
        *count += usize::from(first == response);
    });
    found.retain(|_, (_, count)| *count > 1);
    for_each_refusal(&mut document, |status, response| {
        let name = name(status, response);
        if found.get(&name).is_some_and(|(shared, _)| shared == response) {
            *response = json!({ "$ref": format!("#/components/responses/{name}") });
        }
    });
    let shared = found.into_iter().map(|(name, (response, _))| (name, response));
    document["components"]["responses"] = shared.collect::<Map<_, _>>().into();
    document
}

fn for_each_refusal(document: &mut Value, mut visit: impl FnMut(&str, &mut Value)) {
    for_each_operation(document, |operation| {
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for (status, response) in responses.into_iter().flatten() {
            if status.starts_with(['4', '5']) {
                visit(status, response);
            }
        }
    });
}

/// `409.email_already_exists.idempotency_conflict`; of a page, `404.resource_not_found.page`.
fn name(status: &str, response: &Value) -> String {
    let codes = response["description"].as_str().unwrap_or_default().split(", ");
    let codes = codes.map(|code| code.trim_matches('`'));
    let page = response["content"].get("text/html").map(|_| "page");
    [status].into_iter().chain(codes).chain(page).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: &str) -> Value {
        json!({ "description": "`a`, `b`", "content": { kind: {} } })
    }

    #[test]
    fn what_stands_twice_stands_once() {
        let operation = |kind| json!({ "responses": { "200": {}, "400": refusal(kind) } });
        let paths = json!({
            "/a": { "get": operation("application/json"), "put": operation("application/json") },
            "/b": { "get": operation("text/html") },
            "/c": { "get": operation("text/plain") },
        });
        let document = of(json!({ "paths": paths }));
        let shared = json!({ "400.a.b": refusal("application/json") });
        assert_eq!(document["components"]["responses"], shared);
        let reference = json!({ "$ref": "#/components/responses/400.a.b" });
        let answer = |path: &str, method: &str| &document["paths"][path][method]["responses"];
        for method in ["get", "put"] {
            assert_eq!(answer("/a", method)["400"], reference);
            assert_eq!(answer("/a", method)["200"], json!({}));
        }
        assert_eq!(answer("/b", "get")["400"], refusal("text/html"), "it stands there alone");
        assert_eq!(answer("/c", "get")["400"], refusal("text/plain"), "it is another");
    }
}
