//! How ids and times stand in JSON: as text, written straight into the answer.

use std::fmt::Display;

use janua_storage::secret::Secret;
use serde::{Serialize, Serializer};

/// An id or a time in its text form.
pub fn of<T: Display, S: Serializer>(value: &T, json: S) -> Result<S::Ok, S::Error> {
    json.collect_str(value)
}

/// The same, where there is one.
pub fn of_some<T: Display, S: Serializer>(value: &Option<T>, json: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => json.collect_str(value),
        None => json.serialize_none(),
    }
}

/// A secret in clear, for the client that it was made for.
pub fn exposed<S: Serializer>(secret: &Secret, json: S) -> Result<S::Ok, S::Error> {
    json.serialize_str(secret.expose())
}

/// The same, where there is one.
pub fn exposed_if_any<S: Serializer>(secret: &Option<Secret>, json: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(json)
}

/// A JSON object that is kept as text.
pub fn object<S: Serializer>(text: &str, json: S) -> Result<S::Ok, S::Error> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
    value.serialize(json)
}
