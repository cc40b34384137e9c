//! How a handler answers: the envelope `{success, data | message}`, or a document as it is.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{RefOr, ResponseBuilder};

use crate::error::Error;
use crate::input::{Schemas, reference};
use crate::stream::Body;

/// An answer.
pub type Response = http::Response<Body>;

/// Describes an answer in OpenAPI and adds the schemas that it names.
pub type Describe = fn(&mut Schemas) -> (StatusCode, utoipa::openapi::Response);

/// What a handler returns.
pub trait Output: Send + 'static {
    /// The answer itself.
    fn respond(self) -> Result<Response, Error>;

    /// See [`Describe`].
    fn describe(schemas: &mut Schemas) -> (StatusCode, utoipa::openapi::Response);
}

/// 200 with data.
pub struct Data<T>(pub T);

/// 201 with data.
pub struct Created<T>(pub T);

/// 200 with a message.
pub struct Done(pub &'static str);

/// 200 with a message and data.
pub struct DoneWith<T>(pub &'static str, pub T);

/// 302, with cookies on the way.
#[derive(Debug, Default)]
pub struct Redirect {
    /// Where to.
    pub location: String,
    /// `Set-Cookie` headers.
    pub cookies: Vec<HeaderValue>,
}

/// The same answer, with cookies on the way.
pub struct WithCookies<O>(pub O, pub Vec<HeaderValue>);

/// An answer that is not the envelope: JSON of a standard, a document.
pub struct Raw(pub Response);

impl<T: Serialize + ToSchema + Send + 'static> Output for Data<T> {
    fn respond(self) -> Result<Response, Error> {
        envelope(StatusCode::OK, None, Some(self.0))
    }

    fn describe(schemas: &mut Schemas) -> (StatusCode, utoipa::openapi::Response) {
        let data = reference::<T>(schemas);
        (StatusCode::OK, described("Success", enveloped(false, Some(data))))
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Output for Created<T> {
    fn respond(self) -> Result<Response, Error> {
        envelope(StatusCode::CREATED, None, Some(self.0))
    }

    fn describe(schemas: &mut Schemas) -> (StatusCode, utoipa::openapi::Response) {
        let data = reference::<T>(schemas);
        (StatusCode::CREATED, described("Created", enveloped(false, Some(data))))
    }
}

impl Output for Done {
    fn respond(self) -> Result<Response, Error> {
        envelope::<()>(StatusCode::OK, Some(self.0), None)
    }

    fn describe(_: &mut Schemas) -> (StatusCode, utoipa::openapi::Response) {
        (StatusCode::OK, described("Success", enveloped(true, None)))
    }
}

impl<T: Serialize + ToSchema + Send + 'static> Output for DoneWith<T> {
    fn respond(self) -> Result<Response, Error> {
        envelope(StatusCode::OK, Some(self.0), Some(self.1))
    }

    fn describe(schemas: &mut Schemas) -> (StatusCode, utoipa::openapi::Response) {
        let data = reference::<T>(schemas);
        (StatusCode::OK, described("Success", enveloped(true, Some(data))))
    }
}

impl Output for Redirect {
    fn respond(self) -> Result<Response, Error> {
        let Ok(location) = HeaderValue::from_str(&self.location) else {
            tracing::error!("a redirect leads to what is no header");
            return Err(Error::internal());
        };
        let mut response = Response::default();
        *response.status_mut() = StatusCode::FOUND;
        response.headers_mut().insert(LOCATION, location);
        for cookie in self.cookies {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    fn describe(_: &mut Schemas) -> (StatusCode, utoipa::openapi::Response) {
        (StatusCode::FOUND, ResponseBuilder::new().description("Redirect").build())
    }
}

impl<O: Output> Output for WithCookies<O> {
    fn respond(self) -> Result<Response, Error> {
        let mut response = self.0.respond()?;
        for cookie in self.1 {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    fn describe(schemas: &mut Schemas) -> (StatusCode, utoipa::openapi::Response) {
        O::describe(schemas)
    }
}

impl Output for Raw {
    fn respond(self) -> Result<Response, Error> {
        Ok(self.0)
    }

    fn describe(_: &mut Schemas) -> (StatusCode, utoipa::openapi::Response) {
        (StatusCode::OK, ResponseBuilder::new().description("Success").build())
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

fn envelope<T: Serialize>(
    status: StatusCode,
    message: Option<&'static str>,
    data: Option<T>,
) -> Result<Response, Error> {
    let mut response = json(&Envelope { success: true, message, data })?;
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// 200 with a value as JSON, without the envelope.
pub fn json(value: &impl Serialize) -> Result<Response, Error> {
    let mut body = Vec::with_capacity(512);
    if let Err(error) = serde_json::to_writer(&mut body, value) {
        tracing::error!(%error, "an answer could not be written as JSON");
        return Err(Error::internal());
    }
    let mut response = Response::new(Body::from(body));
    // Room for what the pipeline adds: growing a header map costs more than making it.
    response.headers_mut().reserve(20);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn described(description: &str, schema: RefOr<Schema>) -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

fn enveloped(message: bool, data: Option<RefOr<Schema>>) -> RefOr<Schema> {
    let mut envelope = ObjectBuilder::new()
        .property("success", ObjectBuilder::new().schema_type(Type::Boolean))
        .required("success");
    if message {
        let text = ObjectBuilder::new().schema_type(Type::String);
        envelope = envelope.property("message", text).required("message");
    }
    if let Some(data) = data {
        envelope = envelope.property("data", data).required("data");
    }
    envelope.build().into()
}
