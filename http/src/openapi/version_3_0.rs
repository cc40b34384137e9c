//! From OpenAPI 3.1, which utoipa writes, to 3.0, which the reference promises and more tools read.
//! The two differ in what a schema may say; only what our documents use is turned here, and a test
//! looks for what 3.0 does not know.

use serde_json::{Map, Value, json};

/// The same document in OpenAPI 3.0.3.
pub fn of(mut document: Value) -> Value {
    rewrite(&mut document);
    document["openapi"] = "3.0.3".into();
    document
}

fn rewrite(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(rewrite),
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                match (name.as_str(), value) {
                    // Data, not schemas.
                    ("example" | "examples" | "default" | "enum", _) => {}
                    // Its members have names of the API's own, which mean nothing here.
                    ("properties", Value::Object(fields)) => fields.values_mut().for_each(rewrite),
                    (_, value) => rewrite(value),
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

/// `oneOf: [{ type: "null" }, T]`
fn alternatives(schema: &mut Map<String, Value>) {
    for name in ["oneOf", "anyOf"] {
        let Some(Value::Array(items)) = schema.get_mut(name) else { continue };
        let all = items.len();
        items.retain(|item| item.get("type").is_none_or(|kind| kind != "null"));
        if items.len() < all {
            let left = std::mem::take(items);
            schema.remove(name);
            let name = if left.len() == 1 { "allOf" } else { name };
            schema.insert(name.into(), left.into());
            schema.insert("nullable".into(), true.into());
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
        let reference = json!({ "$ref": "#/components/schemas/Place" });
        let place = turned(json!({ "oneOf": [{ "type": "null" }, reference] }));
        assert_eq!(place, json!({ "allOf": [reference], "nullable": true }));
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
