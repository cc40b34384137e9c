//! The same endpoints as a collection for Postman (format 2.1.0): a folder for each tag, a request
//! for each endpoint but the pages, and variables for what differs from reader to reader.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::input::JSON;

const FORMAT: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

/// What a request sends of a schema is written out so deep.
const DEPTH: usize = 8;

/// The collection for a document in OpenAPI 3.0.
pub fn of(document: &Value, public_url: &str) -> Value {
    let schemas = &document["components"]["schemas"];
    let mut folders: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            if tag != "pages" {
                let item = item(path, method, operation, schemas);
                folders.entry(tag).or_default().push(item);
            }
        }
    }
    let folder = |(name, item): (&str, Vec<Value>)| json!({ "name": name, "item": item });
    let variable = |key: &str, value: &str| json!({ "key": key, "value": value });
    json!({
        "info": { "name": document["info"]["title"], "schema": FORMAT },
        "variable": [
            variable("baseUrl", public_url),
            variable("apiKey", "your-api-key"),
            variable("accessToken", ""),
            variable("operatorToken", ""),
        ],
        "item": folders.into_iter().map(folder).collect::<Vec<_>>(),
    })
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn item(path: &str, method: &str, operation: &Value, schemas: &Value) -> Value {
    let mut request = json!({
        "method": method.to_ascii_uppercase(),
        "description": operation["description"],
        "auth": auth(operation),
        "header": headers(operation),
        "url": url(path, operation),
    });
    let schema = &operation["requestBody"]["content"][JSON]["schema"];
    if !schema.is_null() {
        let raw = format!("{:#}", sample(schema, schemas, DEPTH));
        let options = json!({ "raw": { "language": "json" } });
        request["body"] = json!({ "mode": "raw", "raw": raw, "options": options });
    }
    json!({ "name": operation["summary"], "request": request })
}

/// Whether one of these is what an operation asks for.
fn takes(operation: &Value, schemes: &[&str]) -> bool {
    let wanted = operation["security"].as_array().into_iter().flatten();
    wanted.flat_map(members).any(|(scheme, _)| schemes.contains(&scheme))
}

fn auth(operation: &Value) -> Value {
    let bearer = |variable: &str| {
        let token = json!({ "key": "token", "value": variable, "type": "string" });
        json!({ "type": "bearer", "bearer": [token] })
    };
    if takes(operation, &["accessToken"]) {
        bearer("{{accessToken}}")
    } else if takes(operation, &["operatorToken"]) && !takes(operation, &["secretKey"]) {
        bearer("{{operatorToken}}")
    } else {
        json!({ "type": "noauth" })
    }
}

fn headers(operation: &Value) -> Vec<Value> {
    let key = takes(operation, &["accessToken", "apiKey", "secretKey"]).then_some("{{apiKey}}");
    key.map(|key| json!({ "key": "X-API-Key", "value": key })).into_iter().collect()
}

fn url(path: &str, operation: &Value) -> Value {
    let part = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) => format!(":{name}"),
        None => part.to_owned(),
    };
    let parts: Vec<_> = path.trim_start_matches('/').split('/').map(part).collect();
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let of = |place: &'static str| {
        parameters.clone().filter(move |parameter| parameter["in"] == place).map(|parameter| {
            let described = json!({
                "key": parameter["name"],
                "value": "",
                "description": parameter["schema"]["description"],
            });
            (described, parameter["required"] == true)
        })
    };
    let query = of("query").map(|(mut described, required)| {
        described["disabled"] = (!required).into();
        described
    });
    json!({
        "raw": format!("{{{{baseUrl}}}}/{}", parts.join("/")),
        "host": ["{{baseUrl}}"],
        "path": parts,
        "query": query.collect::<Vec<_>>(),
        "variable": of("path").map(|(described, _)| described).collect::<Vec<_>>(),
    })
}

/// A value of this schema with what must be in it.
fn sample(schema: &Value, schemas: &Value, depth: usize) -> Value {
    let given = [&schema["example"], &schema["default"], &schema["enum"][0]];
    if let Some(given) = given.into_iter().find(|given| !given.is_null()) {
        return given.clone();
    }
    let reference = schema["$ref"].as_str().and_then(|text| text.rsplit('/').next());
    let inner = reference
        .map(|name| &schemas[name])
        .or_else(|| ["allOf", "oneOf", "anyOf"].into_iter().find_map(|word| schema[word].get(0)));
    if let Some(inner) = inner.filter(|_| depth > 0) {
        return sample(inner, schemas, depth - 1);
    }
    match schema["type"].as_str().unwrap_or_default() {
        "object" if depth > 0 => {
            let required = schema["required"].as_array().into_iter().flatten();
            let names = required.filter_map(Value::as_str);
            let field = |name: &str| {
                let value = sample(&schema["properties"][name], schemas, depth - 1);
                (name.to_owned(), value)
            };
            names.map(field).collect::<Map<_, _>>().into()
        }
        "object" => json!({}),
        "array" => json!([]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(0)),
        "boolean" => json!(false),
        _ => json!(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        let body = json!({ "$ref": "#/components/schemas/Change" });
        let change = json!({
            "type": "object",
            "required": ["name", "inner", "kind"],
            "properties": {
                "name": { "type": "string", "example": "Alice" },
                "inner": { "type": "object" },
                "kind": { "enum": ["one", "two"] },
                "other": { "type": "string" },
            },
        });
        let operation = json!({
            "tags": ["users"],
            "summary": "Change a user",
            "security": [{ "secretKey": [] }, { "operatorToken": [] }],
            "parameters": [
                { "name": "userId", "in": "path", "required": true, "schema": {} },
                { "name": "why", "in": "query", "schema": { "description": "a reason" } },
            ],
            "requestBody": { "content": { JSON: { "schema": body } } },
        });
        json!({
            "info": { "title": "Janua API" },
            "paths": {
                "/users/{userId}": { "patch": operation },
                "/ui/sign-in": { "get": { "tags": ["pages"] } },
            },
            "components": { "schemas": { "Change": change } },
        })
    }

    #[test]
    fn an_endpoint_is_a_request_with_what_it_needs() {
        let collection = of(&document(), "https://id.example");
        assert_eq!(collection["variable"][0]["value"], "https://id.example");
        assert_eq!(collection["item"].as_array().map(Vec::len), Some(1), "pages are for people");
        let folder = &collection["item"][0];
        assert_eq!(
            (&folder["name"], &folder["item"][0]["name"]),
            (&json!("users"), &json!("Change a user"))
        );
        let request = &folder["item"][0]["request"];
        assert_eq!(request["method"], "PATCH");
        assert_eq!(request["auth"]["type"], "noauth");
        assert_eq!(request["header"], json!([{ "key": "X-API-Key", "value": "{{apiKey}}" }]));
        assert_eq!(request["url"]["raw"], "{{baseUrl}}/users/:userId");
        assert_eq!(request["url"]["variable"][0]["key"], "userId");
        assert_eq!(request["url"]["query"][0]["disabled"], true);
        let body: Value = serde_json::from_str(request["body"]["raw"].as_str().unwrap()).unwrap();
        assert_eq!(body, json!({ "name": "Alice", "inner": {}, "kind": "one" }));
    }
}
