//! From OpenAPI 3.1, which utoipa writes, to 3.0, which the reference promises and more tools read.
//! The two differ in what a schema may say; only what our documents use is turned here, and a test
//! looks for what 3.0 does not know.

use serde_json::{Map, Value, json};

/// The same document in OpenAPI 3.0.3.
pub fn of(mut document: Value) -> Value {
    let schemas = document["components"]["schemas"].clone();
    rewrite(&mut document, &schemas);
    document["openapi"] = "3.0.3".into();
    document
}

fn rewrite(value: &mut Value, schemas: &Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, schemas)),
        Value::Object(members) => {
            or_null(members, schemas);
            if members.get("in").is_some_and(|place| place == "query") {
                members.entry("schema").and_modify(|schema| never_null(schema, schemas));
            }
            for (name, value) in members.iter_mut() {
                match (name.as_str(), value) {
                    // Data, not schemas.
                    ("example" | "examples" | "default" | "enum", _) => {}
                    // Its members have names of the API's own, which mean nothing here.
                    ("properties", Value::Object(fields)) => {
                        fields.values_mut().for_each(|field| rewrite(field, schemas));
                    }
                    (_, value) => rewrite(value, schemas),
                }
            }
            of_schema(members);
        }
        _ => {}
    }
}

fn of_schema(schema: &mut Map<String, Value>) {
    types(schema);
    alternatives(schema);
    if let Some(value) = schema.remove("const") {
        schema.insert("enum".into(), json!([value]));
    }
    if let Some(Value::Array(examples)) = schema.get_mut("examples") {
        let first = (!examples.is_empty()).then(|| examples.swap_remove(0));
        schema.remove("examples");
        schema.extend(first.map(|first| ("example".to_owned(), first)));
    }
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if let Some(limit) = schema.get(exclusive).filter(|limit| limit.is_number()).cloned() {
            schema.insert(bound.into(), limit);
            schema.insert(exclusive.into(), true.into());
        }
    }
    schema.remove("propertyNames");
    // What stands beside a reference is not read in 3.0.
    if schema.len() > 1
        && let Some(reference) = schema.remove("$ref")
    {
        schema.insert("allOf".into(), json!([{ "$ref": reference }]));
    }
}

/// `type: [T, "null"]`
fn types(schema: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = schema.get_mut("type") else { return };
    types.retain(|name| name != "null");
    if let [only] = &types[..] {
        let only = only.clone();
        schema.insert("type".into(), only);
        schema.insert("nullable".into(), true.into());
        if let Some(Value::Array(values)) = schema.get_mut("enum") {
            values.push(Value::Null);
        }
    }
}

/// `oneOf: [{ type: "null" }, T]`, where `T` is of one type: that type or null. What `T` refers to is
/// written out, since 3.0 has no word for null beside a reference.
fn or_null(schema: &mut Map<String, Value>, schemas: &Value) {
    for name in ["oneOf", "anyOf"] {
        let Some(Value::Array(items)) = schema.get(name) else { continue };
        let others: Vec<_> = items.iter().filter(|item| !is_null(item)).collect();
        let [only] = others[..] else { continue };
        let only = resolved(only, schemas);
        let Some(kind) = only["type"].as_str().filter(|_| items.len() > 1) else { continue };
        let (kind, written) = (json!([kind, "null"]), only.as_object().cloned());
        schema.remove(name);
        for (word, value) in written.into_iter().flatten() {
            schema.entry(word).or_insert(value);
        }
        schema.insert("type".into(), kind);
    }
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null"
}

fn resolved<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().and_then(|text| text.rsplit('/').next());
    reference.and_then(|name| schemas.get(name)).unwrap_or(schema)
}

/// What stands in an address is a text, and no text is null.
fn never_null(schema: &mut Value, schemas: &Value) {
    let Value::Object(members) = schema else { return };
    or_null(members, schemas);
    if members.get("default").is_some_and(Value::is_null) {
        members.remove("default");
    }
    if let Some(Value::Array(kinds)) = members.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = &kinds[..] {
            let only = only.clone();
            members.insert("type".into(), only);
        }
    }
}

/// Whatever else may be null.
fn alternatives(schema: &mut Map<String, Value>) {
    for name in ["oneOf", "anyOf"] {
        let items = schema.get_mut(name).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten().filter(|item| is_null(item)) {
            *item = json!({ "type": "object", "nullable": true, "enum": [null] });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(schema: Value) -> Value {
        of(json!({ "schema": schema }))["schema"].clone()
    }

    #[test]
    fn what_may_be_null_is_nullable() {
        let text = turned(json!({ "type": ["string", "null"], "maxLength": 3 }));
        assert_eq!(text, json!({ "type": "string", "nullable": true, "maxLength": 3 }));
        let one_of_two = turned(json!({ "type": ["string", "null"], "enum": ["a"] }));
        assert_eq!(one_of_two, json!({ "type": "string", "nullable": true, "enum": ["a", null] }));
    }

    #[test]
    fn what_is_referred_to_or_null_is_written_out() {
        let place = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
        let reference = json!({ "$ref": "#/components/schemas/Place" });
        let schema = json!({ "oneOf": [{ "type": "null" }, reference], "description": "where" });
        let document = json!({ "schema": schema, "components": { "schemas": { "Place": place } } });
        let mut expected = place;
        expected["nullable"] = true.into();
        expected["description"] = "where".into();
        assert_eq!(of(document)["schema"], expected);
        let either = json!({ "oneOf": [{ "type": "null" }, { "oneOf": [reference, reference] }] });
        let null = json!({ "type": "object", "nullable": true, "enum": [null] });
        assert_eq!(turned(either)["oneOf"][0], null);
    }

    #[test]
    fn what_stands_in_an_address_is_never_null() {
        let parameter =
            |schema| turned(json!({ "in": "query", "schema": schema }))["schema"].clone();
        let text = json!({ "type": "string" });
        assert_eq!(parameter(json!({ "type": ["string", "null"], "default": null })), text);
        assert_eq!(parameter(json!({ "oneOf": [{ "type": "null" }, text] })), text);
    }

    #[test]
    fn other_words_of_3_1_are_said_in_those_of_3_0() {
        let both = [
            (json!({ "const": 1 }), json!({ "enum": [1] })),
            (json!({ "examples": ["a", "b"] }), json!({ "example": "a" })),
            (json!({ "exclusiveMinimum": 0 }), json!({ "minimum": 0, "exclusiveMinimum": true })),
            (
                json!({ "$ref": "#/x", "description": "y" }),
                json!({ "allOf": [{ "$ref": "#/x" }], "description": "y" }),
            ),
        ];
        for (old, new) in both {
            assert_eq!(turned(old), new);
        }
    }

    #[test]
    fn names_and_data_of_the_api_are_left_alone() {
        let schema = json!({
            "properties": { "const": { "type": "string" }, "type": { "type": "string" } },
            "example": { "type": ["string", "null"] },
        });
        assert_eq!(turned(schema.clone()), schema);
    }
}
