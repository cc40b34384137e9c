//! What holds for all requests and all answers alike, and so stands in no declaration: which members
//! are always there, that no text holds a NUL, and which headers an answer has.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Texts of JSON bodies and of queries hold no NUL.
const WITHOUT_NUL: &str = "^[^\\u0000]*$";

/// The same document with all that. It is in OpenAPI 3.1 still.
pub fn of(mut document: Value) -> Value {
    let sent = sent(&document);
    if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") {
        for (name, schema) in schemas {
            if sent.contains(name) { without_nul(schema) } else { complete(schema) }
        }
    }
    for_each_operation(&mut document, |operation| {
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten().filter(|one| one["in"] == "query") {
            without_nul(&mut parameter["schema"]);
        }
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for (status, response) in responses.into_iter().flatten() {
            response["headers"] = headers(status);
        }
    });
    document["components"]["headers"] = described_headers();
    without_null_defaults(&mut document["components"]["schemas"]);
    document
}

/// What is absent from a change stays, which is not what `null` says.
fn without_null_defaults(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null_defaults),
        Value::Object(members) => {
            if members.get("default").is_some_and(Value::is_null) {
                members.remove("default");
            }
            members.values_mut().for_each(without_null_defaults);
        }
        _ => {}
    }
}

/// Visits every operation of a document.
pub fn for_each_operation(document: &mut Value, mut visit: impl FnMut(&mut Map<String, Value>)) {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let operations = paths.filter_map(|(_, path)| path.as_object_mut()).flatten();
    operations.filter_map(|(_, operation)| operation.as_object_mut()).for_each(&mut visit);
}

/// The schemas of what is sent, and all that these refer to.
fn sent(document: &Value) -> BTreeSet<String> {
    let mut bodies = document.clone();
    let (mut found, mut waiting) = (BTreeSet::new(), Vec::new());
    for_each_operation(&mut bodies, |operation| {
        let body = operation.get("requestBody").unwrap_or(&Value::Null);
        let contents = body["content"].as_object().into_iter().flatten();
        contents.for_each(|(_, content)| references(content, &mut waiting));
    });
    while let Some(name) = waiting.pop() {
        if found.insert(name.clone()) {
            references(&document["components"]["schemas"][&name], &mut waiting);
        }
    }
    found
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            found.extend(reference.and_then(|text| text.rsplit('/').next()).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        _ => {}
    }
}

/// A member of an answer that may be `null` is always there: one that may be absent never is `null`.
fn complete(schema: &mut Value) {
    for part in parts(schema) {
        complete(part);
    }
    let Some(Value::Object(members)) = schema.get("properties") else { return };
    let nullable = members.iter().filter(|(_, member)| may_be_null(member));
    let nullable: Vec<Value> = nullable.map(|(name, _)| name.as_str().into()).collect();
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    let missing: Vec<_> = nullable.into_iter().filter(|name| !required.contains(name)).collect();
    required.extend(missing);
    if !required.is_empty() {
        schema["required"] = required.into();
    }
}

fn may_be_null(schema: &Value) -> bool {
    let is_null = |kind: &Value| kind == "null";
    let of_type = schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_null));
    let either = ["oneOf", "anyOf"].into_iter().filter_map(|name| schema[name].as_array());
    of_type || either.flatten().any(|one| is_null(&one["type"]))
}

fn without_nul(schema: &mut Value) {
    for part in parts(schema) {
        without_nul(part);
    }
    let kind = &schema["type"];
    let is_text =
        kind == "string" || kind.as_array().is_some_and(|all| all.contains(&json!("string")));
    let is_free = ["pattern", "enum", "format"].iter().all(|word| schema.get(word).is_none());
    if is_text && (is_free || schema["format"] == "password") {
        schema["pattern"] = WITHOUT_NUL.into();
    }
}

/// The schemas that one is made of.
fn parts(schema: &mut Value) -> Vec<&mut Value> {
    let Value::Object(members) = schema else { return Vec::new() };
    let mut parts = Vec::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("properties", Value::Object(fields)) => parts.extend(fields.values_mut()),
            ("allOf" | "oneOf" | "anyOf", Value::Array(items)) => parts.extend(items),
            ("items" | "additionalProperties", part @ Value::Object(_)) => parts.push(part),
            _ => {}
        }
    }
    parts
}

/// The headers of an answer with this status.
fn headers(status: &str) -> Value {
    let always = ["X-Request-ID", "X-Janua-Node"];
    let limits = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];
    let own: &[&str] = match status {
        "302" | "303" => &["Location"],
        "401" => &["WWW-Authenticate"],
        "423" | "429" | "503" => &["Retry-After"],
        _ => &[],
    };
    let names = always.iter().chain(&limits).chain(&["X-RateLimit-Bucket"]).chain(own);
    let reference = |name: &&str| {
        ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
    };
    names.map(reference).collect::<Map<_, _>>().into()
}

fn described_headers() -> Value {
    let header = |description: &str, kind: &str| json!({ "description": description, "schema": { "type": kind } });
    json!({
        "X-Request-ID": header("The id of the request, the client's own if it gave one", "string"),
        "X-Janua-Node": header("The node that answered", "string"),
        "X-RateLimit-Limit": header("Requests that the bucket holds; absent where it is off", "integer"),
        "X-RateLimit-Remaining": header("Requests that are left in it", "integer"),
        "X-RateLimit-Reset": header("When it is full again, in Unix seconds", "integer"),
        "X-RateLimit-Bucket": header("The bucket nearest to its end", "string"),
        "Retry-After": header("Seconds after which another try makes sense", "integer"),
        "WWW-Authenticate": header("How to authenticate (RFC 6750)", "string"),
        "Location": header("Where it goes on", "string"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::JSON;

    fn document() -> Value {
        let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        let nullable = json!({ "type": ["string", "null"] });
        let operation = json!({
            "parameters": [{ "in": "query", "schema": nullable }],
            "requestBody": { "content": { JSON: { "schema": reference("Sent") } } },
            "responses": { "200": {}, "401": {}, "503": {} },
        });
        let schemas = json!({
            "Sent": { "properties": { "note": nullable, "inner": reference("Inner") } },
            "Inner": { "properties": { "text": { "type": "string" } } },
            "Told": {
                "properties": {
                    "note": nullable,
                    "place": { "oneOf": [{ "type": "null" }, reference("Place")] },
                    "session": { "type": "string" },
                },
                "required": ["place"],
            },
        });
        json!({ "paths": { "/": { "post": operation } }, "components": { "schemas": schemas } })
    }

    #[test]
    fn what_may_be_null_in_an_answer_is_always_there() {
        let schemas = of(document())["components"]["schemas"].clone();
        assert_eq!(schemas["Told"]["required"], json!(["place", "note"]));
        assert_eq!(schemas["Sent"].get("required"), None);
    }

    #[test]
    fn what_is_sent_holds_no_nul() {
        let document = of(document());
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["Sent"]["properties"]["note"]["pattern"], WITHOUT_NUL);
        assert_eq!(schemas["Inner"]["properties"]["text"]["pattern"], WITHOUT_NUL);
        assert_eq!(schemas["Told"]["properties"]["note"].get("pattern"), None);
        let parameter = &document["paths"]["/"]["post"]["parameters"][0];
        assert_eq!(parameter["schema"]["pattern"], WITHOUT_NUL);
    }

    #[test]
    fn an_answer_has_the_headers_of_its_status() {
        let document = of(document());
        let responses = &document["paths"]["/"]["post"]["responses"];
        for (status, name) in
            [("200", "X-Request-ID"), ("401", "WWW-Authenticate"), ("503", "Retry-After")]
        {
            let reference = responses[status]["headers"][name]["$ref"].as_str().expect("a header");
            assert!(document.pointer(&reference[1..]).is_some(), "{reference} leads nowhere");
        }
        assert_eq!(responses["200"]["headers"].get("Retry-After"), None);
    }
}
