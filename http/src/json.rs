//! What a request body must be before its type is asked for: one JSON value and nothing after it,
//! at most 64 levels deep, no object with a key twice, no NUL in any text.
//!
//! Why beside serde: derived types skip unknown fields unread and maps keep the last of two equal
//! keys, and two parsers that disagree about a body are how requests get smuggled.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use janua_actors::refusal::FieldError;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::error::{Code, Detail, Error};

/// Levels of arrays and objects that a body may have.
const DEPTH: usize = 64;

/// The value that a body holds as one JSON object.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    inspect(body)?;
    let mut json = serde_json::Deserializer::from_slice(body);
    let object = serde_path_to_error::deserialize::<_, Object<T>>(&mut json);
    object.map(|Object(value)| value).map_err(explain)
}

/// For `deserialize_with`, on each field whose type is a struct: an object, `null`, or nothing.
pub fn object<'de, D, T>(json: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let object = Option::<Object<T>>::deserialize(json)?;
    Ok(object.map(|Object(value)| value))
}

/// A struct that is read from an object alone. serde would take an array as well, for the fields in
/// the order of their declaration, and `["Mallory"]` would set the first of them.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries))
    }
}

/// Checks the form, without building anything.
fn inspect(body: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let strict = Strict { depth: DEPTH };
    strict.deserialize(&mut json).and_then(|()| json.end()).map_err(|error| {
        let place = format!("at line {} column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => {
                let text = error.to_string();
                let why = text.split(" at line ").next().unwrap_or_default();
                malformed(&format!("{why} {place}"))
            }
            serde_json::error::Category::Eof if body.is_empty() => malformed("it is empty"),
            serde_json::error::Category::Eof => malformed("it ends too early"),
            _ => malformed(&format!("syntax error {place}")),
        }
    })
}

fn malformed(why: &str) -> Error {
    let detail = Detail::new("body", format!("is not valid JSON: {why}"));
    Error::new(Code::ValidationError, format!("The body is not valid JSON: {why}"))
        .with_details(vec![detail])
}

/// A type error, naming the field.
pub(crate) fn explain<E: fmt::Display>(error: serde_path_to_error::Error<E>) -> Error {
    Error::invalid(vec![FieldError::of_type(&error).into()])
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        depth.map(|depth| Self { depth }).ok_or_else(|| E::custom("it is nested too deeply"))
    }
}

fn without_nul<E: serde::de::Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') { Err(E::custom("it holds a NUL character")) } else { Ok(()) }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        without_nul(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = BTreeSet::new();
        while let Some(key) = entries.next_key::<Cow<'de, str>>()? {
            without_nul(&key)?;
            entries.next_value_seed(inner)?;
            if !seen.insert(key) {
                return Err(serde::de::Error::custom("a key stands twice in one object"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sample {
        email: String,
        #[serde(default, deserialize_with = "object")]
        device_info: Option<Device>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Device {
        user_agent: String,
    }

    #[test]
    fn what_is_well_formed_is_read_and_unknown_fields_are_ignored() {
        let body = br#"{"email": "a", "deviceInfo": {"userAgent": "b"}, "role": ["owner"]}"#;
        let device = Some(Device { user_agent: "b".into() });
        assert_eq!(
            decode::<Sample>(body).unwrap(),
            Sample { email: "a".into(), device_info: device }
        );
    }

    async fn told(body: &[u8]) -> String {
        use http_body_util::BodyExt;

        let error = decode::<Sample>(body).unwrap_err();
        assert_eq!(error.code(), Code::ValidationError);
        let body = error.into_response().into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_field_at_fault_is_named_and_its_value_is_not() {
        let cases: [(&[u8], &str); 4] = [
            (br#"{"email": 5150}"#, r#"{"field":"email","message":"expected a string"}"#),
            (br#"{}"#, r#"{"field":"email","message":"is required"}"#),
            (
                br#"{"email": "a", "deviceInfo": {"userAgent": [5150]}}"#,
                r#"{"field":"deviceInfo.userAgent","message":"expected a string"}"#,
            ),
            (
                br#"{"email": "a", "deviceInfo": {}}"#,
                r#"{"field":"deviceInfo.userAgent","message":"is required"}"#,
            ),
        ];
        for (body, expected) in cases {
            let told = told(body).await;
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("5150"), "{told}");
        }
    }

    #[tokio::test]
    async fn an_array_is_no_object() {
        let cases: [(&[u8], &str); 4] = [
            (br#"["a", {"userAgent": "b"}]"#, "body"),
            (br#"[]"#, "body"),
            (br#""a""#, "body"),
            (br#"{"email": "a", "deviceInfo": ["b"]}"#, "deviceInfo"),
        ];
        for (body, field) in cases {
            let told = told(body).await;
            let expected = format!(r#"{{"field":"{field}","message":"expected an object"}}"#);
            assert!(told.contains(&expected), "{told}");
        }
        let null = decode::<Sample>(br#"{"email": "a", "deviceInfo": null}"#);
        assert_eq!(null.unwrap().device_info, None);
    }

    #[tokio::test]
    async fn what_parsers_disagree_about_is_refused() {
        let cases: [(&[u8], &str); 8] = [
            (b"", "it is empty"),
            (b"{\"email\": ", "it ends too early"),
            (b"{\"email\": \"a\"} x", "syntax error"),
            (b"{\"email\": \"a\", \"email\": \"b\"}", "a key stands twice"),
            (b"{\"email\": \"a\", \"x\": {\"y\": 1, \"\\u0079\": 2}}", "a key stands twice"),
            (b"{\"email\": \"a\\u0000b\"}", "NUL"),
            (b"{\"email\": \"\xff\"}", "UTF-8"),
            (b"{\"email\": \"a\", \"n\": 1e999}", "syntax error"),
        ];
        for (body, expected) in cases {
            let told = told(body).await;
            assert!(told.contains(expected), "{told}");
        }
    }

    #[tokio::test]
    async fn depth_has_an_end() {
        let nested = |levels: usize| {
            format!("{{\"email\":\"a\",\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels))
        };
        assert!(decode::<Sample>(nested(DEPTH - 1).as_bytes()).is_ok());
        assert!(told(nested(DEPTH).as_bytes()).await.contains("nested too deeply"));
        assert!(told(nested(100_000).as_bytes()).await.contains("nested too deeply"));
    }
}
