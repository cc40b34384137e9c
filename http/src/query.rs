//! What a handler reads from the query of a request's address: a flat struct, declared and judged as
//! a body's type is. A parameter that stands twice is refused, since two readers could take either;
//! what is no parameter is ignored, as unknown fields of a body are.

use std::borrow::Cow;

use garde::Validate;
use serde::de::value::{Error as ValueError, MapDeserializer};
use serde::de::{
    DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor,
};
use utoipa::ToSchema;
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::Object;
use utoipa::openapi::{RefOr, Schema};

use crate::call::Call;
use crate::error::Error;
use crate::input::{self, Input, Schemas};
use crate::json;

/// A query that has passed its type's rules.
pub struct Query<T>(pub T);

impl<T> Input for Query<T>
where
    T: DeserializeOwned + Validate<Context = ()> + ToSchema + Send + 'static,
{
    const TAKES_BODY: bool = false;

    fn decode(call: &Call, _: &[u8]) -> Result<Self, Error> {
        let value: T = decode(&call.query)?;
        input::validate(&value)?;
        Ok(Self(value))
    }

    fn describe(_: &mut Schemas) -> Option<RequestBody> {
        None
    }

    fn query() -> Option<Object> {
        match T::schema() {
            RefOr::T(Schema::Object(object)) => Some(object),
            _ => None,
        }
    }
}

fn decode<T: DeserializeOwned>(query: &str) -> Result<T, Error> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let pairs = pairs.map(|(name, value)| (name, Text(value)));
    let map = MapDeserializer::<_, ValueError>::new(pairs);
    serde_path_to_error::deserialize(map).map_err(json::explain)
}

/// The text of a parameter, read as whatever its field is.
struct Text<'a>(Cow<'a, str>);

impl<'de> IntoDeserializer<'de, ValueError> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident => $visit:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(ValueError::invalid_value(Unexpected::Str(&self.0), &visitor)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        if self.0.contains('\0') {
            return Err(ValueError::invalid_value(Unexpected::Other("NUL"), &"plain text"));
        }
        visitor.visit_string(self.0.into_owned())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_enum(self.0.into_owned().into_deserializer())
    }

    parsed! {
        deserialize_bool => visit_bool,
        deserialize_u8 => visit_u8,
        deserialize_u16 => visit_u16,
        deserialize_u32 => visit_u32,
        deserialize_u64 => visit_u64,
        deserialize_i64 => visit_i64,
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sample {
        limit: Option<u32>,
        email_verified: Option<bool>,
        search: Option<String>,
    }

    #[test]
    fn each_field_reads_its_text() {
        let query = "limit=5&emailVerified=true&search=a%20b%26c&other=1&other=%00";
        let read: Sample = decode(query).unwrap();
        let search = Some("a b&c".into());
        assert_eq!(read, Sample { limit: Some(5), email_verified: Some(true), search });
        let empty: Sample = decode("").unwrap();
        assert_eq!(empty, Sample { limit: None, email_verified: None, search: None });
    }

    #[test]
    fn what_is_of_another_form_or_stands_twice_is_refused() {
        for query in ["limit=x", "limit=-1", "limit=1&limit=2", "emailVerified=1", "search=%00"] {
            assert!(decode::<Sample>(query).is_err(), "{query}");
        }
    }
}
