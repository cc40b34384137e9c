//! The document as YAML, its top in the order in which people read it.

use serde::{Serialize, Serializer};
use serde_json::Value;

/// What a reader of the document looks for first.
const FIRST: [&str; 4] = ["openapi", "info", "servers", "paths"];

struct Document<'a>(&'a Value);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(members) = self.0 else { return self.0.serialize(serializer) };
        let first = FIRST.iter().filter_map(|name| members.get_key_value(*name));
        let rest = members.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
        serializer.collect_map(first.chain(rest))
    }
}

/// The document as text.
pub fn of(document: &Value) -> String {
    yaml_serde::to_string(&Document(document)).unwrap_or_else(|error| {
        tracing::error!(%error, "the document could not be written as YAML");
        String::new()
    })
}
