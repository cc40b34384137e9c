//! JSON as YAML: blocks for what has parts, and texts as JSON quotes them, which is how YAML reads
//! them too (YAML 1.2 §7.3.1), so that none is taken for a number, a time or a switch.

use std::fmt::Write;

use serde_json::{Map, Value};

/// What a reader of the document looks for first.
const FIRST: [&str; 4] = ["openapi", "info", "servers", "paths"];

/// Words that some readers take for something else than a name.
const SWITCHES: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// The document, its top in the usual order.
pub fn of(document: &Value) -> String {
    let mut text = String::new();
    let Value::Object(members) = document else { return text };
    let first = FIRST.iter().filter_map(|name| members.get_key_value(*name));
    let rest = members.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
    first.chain(rest).for_each(|(name, value)| member(&mut text, name, value, 0));
    text
}

fn member(text: &mut String, name: &str, value: &Value, depth: usize) {
    indent(text, depth);
    let letters = |byte: u8| byte.is_ascii_alphabetic() || byte == b'$';
    if name.bytes().all(letters) && !SWITCHES.contains(&name) {
        text.push_str(name);
    } else {
        scalar(text, &name.into());
    }
    text.push(':');
    part(text, value, depth);
}

fn part(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            block(text, members, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            for item in items {
                indent(text, depth + 1);
                text.push('-');
                part(text, item, depth + 1);
            }
        }
        value => {
            text.push(' ');
            scalar(text, value);
            text.push('\n');
        }
    }
}

fn block(text: &mut String, members: &Map<String, Value>, depth: usize) {
    members.iter().for_each(|(name, value)| member(text, name, value, depth));
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// Writing to a text does not fail.
fn scalar(text: &mut String, value: &Value) {
    write!(text, "{value}").ok();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_has_its_form() {
        let document = json!({
            "paths": { "/a": { "on": [1, { "$ref": "#/b" }, []] } },
            "openapi": "3.0.3",
            "x": { "200": "a: \"b\"\n", "empty": {} },
        });
        let expected = r##"openapi: "3.0.3"
paths:
  "/a":
    "on":
      - 1
      -
        $ref: "#/b"
      - []
x:
  "200": "a: \"b\"\n"
  empty: {}
"##;
        assert_eq!(of(&document), expected);
    }
}
