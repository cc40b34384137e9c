//! The API reference, read as data: its sections, with their example requests and responses.

use std::fs;

use serde_json::Value;

use crate::program::workspace;

/// One `### METHOD /path` section.
#[derive(Debug, Clone)]
pub struct Section {
    /// `POST`
    pub method: String,
    /// `/sessions/{sessionId}`, in the form of the declarations.
    pub path: String,
    /// The example request.
    pub request: Option<Value>,
    /// The example response with its status.
    pub response: Option<(u16, Value)>,
}

/// Every section, in the order of the document.
pub fn sections() -> Vec<Section> {
    let text = fs::read_to_string(workspace().join("tests/contract/reference.md"));
    let text = text.expect("the reference lies in tests/contract");
    let mut sections = Vec::new();
    for part in text.split("\n### ").skip(1) {
        let (title, body) = part.split_once('\n').unwrap_or((part, ""));
        let Some((method, path)) = title.split_once(' ').filter(|(_, path)| path.starts_with('/'))
        else {
            continue;
        };
        sections.push(Section {
            method: method.into(),
            path: braces(path.trim()),
            request: example(body, "**Request:**").map(|(_, value)| value),
            response: example(body, "**Response (").map(|(after, value)| (status(after), value)),
        });
    }
    sections
}

/// `:name` becomes `{name}`.
fn braces(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.strip_prefix(':') {
        Some(name) => format!("{{{name}}}"),
        None => part.into(),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn status(after_label: &str) -> u16 {
    let (number, _) = after_label.split_once(')').expect("Response (STATUS)");
    number.parse().expect("a status")
}

/// The JSON block that follows a label, and the text after the label.
fn example<'a>(body: &'a str, label: &str) -> Option<(&'a str, Value)> {
    let (_, after) = body.split_once(label)?;
    let (between, block) = after.split_once("```json\n")?;
    if between.contains("**") && !between.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (json, _) = block.split_once("\n```")?;
    Some((after, serde_json::from_str(json).expect("the example is JSON")))
}

/// Compares an answer with an example: the same fields at every depth, values of the same kind. An
/// answer may be null where the example shows a value that this user does not have.
pub fn differences(example: &Value, answer: &Value, at: &str) -> Vec<String> {
    match (example, answer) {
        (Value::Object(wanted), Value::Object(found)) => {
            let missing = wanted.keys().filter(|key| !found.contains_key(*key));
            let missing = missing.map(|key| format!("{at}.{key} is missing"));
            let extra = found.keys().filter(|key| !wanted.contains_key(*key));
            let extra = extra.map(|key| format!("{at}.{key} is not in the reference"));
            let inside =
                wanted.iter().filter(|(key, _)| *key != "metadata").flat_map(|(key, value)| {
                    let answer = found.get(key);
                    answer
                        .map_or(vec![], |answer| differences(value, answer, &format!("{at}.{key}")))
                });
            missing.chain(extra).chain(inside).collect()
        }
        (Value::Array(wanted), Value::Array(found)) => match (wanted.first(), found.first()) {
            (Some(wanted), Some(found)) => differences(wanted, found, &format!("{at}[0]")),
            _ => vec![],
        },
        (_, Value::Null) => vec![],
        (wanted, found) if std::mem::discriminant(wanted) == std::mem::discriminant(found) => {
            vec![]
        }
        (wanted, found) => vec![format!("{at} is {found}, in the reference {wanted}")],
    }
}
