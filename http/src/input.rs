//! What a handler reads from a request.

use garde::Validate;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::Object;
use utoipa::openapi::{Ref, RefOr, Required, Schema};

use crate::call::Call;
use crate::error::{Detail, Error};
use crate::json;

/// The schemas that a description refers to, by name.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// Describes a body in OpenAPI and adds the schemas that it names.
pub type Describe = fn(&mut Schemas) -> Option<RequestBody>;

/// The media type of most bodies.
pub const JSON: &str = "application/json";

/// The media type of what a form posts (URL Standard §5).
pub const FORM: &str = "application/x-www-form-urlencoded";

/// What a handler takes beside the call.
pub trait Input: Sized + Send + 'static {
    /// Whether there is a body to read before.
    const TAKES_BODY: bool;

    /// How that body must be written.
    const MEDIA_TYPE: &'static str = JSON;

    /// Whether there is a body to be read by the handler, line by line.
    const TAKES_LINES: bool = false;

    /// The value that the request holds.
    fn decode(call: &Call, body: &[u8]) -> Result<Self, Error>;

    /// See [`Describe`].
    fn describe(schemas: &mut Schemas) -> Option<RequestBody>;

    /// The parameters that it reads from the query, as the properties of an object.
    fn query() -> Option<Object> {
        None
    }
}

/// No body; one that comes is not read.
pub struct Empty;

impl Input for Empty {
    const TAKES_BODY: bool = false;

    fn decode(_: &Call, _: &[u8]) -> Result<Self, Error> {
        Ok(Self)
    }

    fn describe(_: &mut Schemas) -> Option<RequestBody> {
        None
    }
}

/// A JSON body that has passed its type's rules.
pub struct Json<T>(pub T);

impl<T> Input for Json<T>
where
    T: DeserializeOwned + Validate<Context = ()> + ToSchema + Send + 'static,
{
    const TAKES_BODY: bool = true;

    fn decode(_: &Call, body: &[u8]) -> Result<Self, Error> {
        let value: T = json::decode(body)?;
        validate(&value)?;
        Ok(Self(value))
    }

    fn describe(schemas: &mut Schemas) -> Option<RequestBody> {
        let content = ContentBuilder::new().schema(Some(reference::<T>(schemas))).build();
        let body = RequestBodyBuilder::new().content(JSON, content);
        Some(body.required(Some(Required::True)).build())
    }
}

/// The same where every field may be left out: no body at all is an empty object.
pub struct OptionalJson<T>(pub T);

impl<T> Input for OptionalJson<T>
where
    T: DeserializeOwned + Validate<Context = ()> + ToSchema + Send + 'static,
{
    const TAKES_BODY: bool = true;

    fn decode(call: &Call, body: &[u8]) -> Result<Self, Error> {
        let Json(value) = Json::decode(call, if body.is_empty() { b"{}" } else { body })?;
        Ok(Self(value))
    }

    fn describe(schemas: &mut Schemas) -> Option<RequestBody> {
        Json::<T>::describe(schemas)
            .map(|body| RequestBodyBuilder::from(body).required(Some(Required::False)).build())
    }
}

/// Holds a value against the rules of its type.
pub fn validate(value: &impl Validate<Context = ()>) -> Result<(), Error> {
    value.validate().map_err(|report| {
        let detail = |(path, error): &(garde::Path, garde::Error)| {
            Detail::new(in_camel_case(&path.to_string()), error.message())
        };
        Error::invalid(report.iter().map(detail).collect())
    })
}

/// A reference to the schema of `T`, which is added with all that it refers to.
pub fn reference<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
    Ref::from_schema_name(T::name()).into()
}

/// Names of fields that are not what camel case makes of them.
const IRREGULAR: [(&str, &str); 2] = [("clientDataJson", "clientDataJSON"), ("r#", "")];

/// garde speaks of Rust's fields, the client of JSON's.
fn in_camel_case(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut after_underscore = false;
    for character in path.chars() {
        match character {
            '_' => after_underscore = true,
            _ if after_underscore => {
                text.extend(character.to_uppercase());
                after_underscore = false;
            }
            _ => text.push(character),
        }
    }
    IRREGULAR.iter().fold(text, |text, (made, meant)| text.replace(made, meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_the_client_knows_them() {
        assert_eq!(in_camel_case("device_info.user_agent"), "deviceInfo.userAgent");
        assert_eq!(in_camel_case("email"), "email");
        assert_eq!(in_camel_case("response.client_data_json"), "response.clientDataJSON");
        assert_eq!(in_camel_case("r#type"), "type");
    }
}
