//! The single declaration of an endpoint. Path, access, limit, types and handler stand together;
//! the router, the rate limits, OpenAPI and the contract tests are all read from this list.
//!
//! ```ignore
//! post("/auth/login", Access::Public, Limit::Authentication, log_in)
//!     .describes("Authenticate with e-mail and password")
//!     .refuses(&[Code::InvalidCredentials, Code::AccountLocked])
//! ```
//!
//! A handler is `async fn(Call, I) -> Result<O, Error>`, where `I` says what it reads from the body
//! (`Json<T>`, `Empty`) and `O` how it answers (`Data<T>`, `Created<T>`, `Done`, …).

use std::future::Future;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use http::{Method, StatusCode};
use utoipa::openapi::schema::Object;
use utoipa::openapi::{RefOr, Schema};

use crate::call::Call;
use crate::error::{Code, Error};
use crate::input::{Input, Schemas};
use crate::observe::RouteMetrics;
use crate::output::{Output, Response};

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone who reaches a tenant.
    Public,
    /// Anyone at all: the endpoint belongs to the service, not to a tenant.
    Service,
    /// A user with a live session.
    Session,
    /// The operator of the cluster.
    Operator,
    /// Whoever holds this permission of the catalogue: a server, by the scopes of its secret key; or
    /// the operator, for the tenant that is named.
    Permission(&'static str),
}

/// Which buckets a request is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// `auth`: it tests a credential, sends a mail or issues a challenge.
    Authentication,
    /// `api`: everything else.
    Api,
    /// None: documents and health.
    Free,
}

/// What an answer outside the envelope holds.
pub struct Content {
    /// The answer's status.
    pub status: StatusCode,
    /// Its media type, without parameters.
    pub media_type: &'static str,
    /// Describes it in OpenAPI, and adds the schemas that it names.
    pub schema: fn(&mut Schemas) -> RefOr<Schema>,
}

type Handler =
    Box<dyn Fn(Call, Bytes) -> BoxFuture<'static, Result<Response, Error>> + Send + Sync>;

/// An endpoint, as declared.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path, parameters in braces: `/sessions/{sessionId}`.
    pub path: &'static str,
    /// Who may call.
    pub access: Access,
    /// What it counts against.
    pub limit: Limit,
    /// One line for the documents.
    pub summary: &'static str,
    /// The codes of its own, beside those that its access, limit and body bring.
    pub refusals: &'static [Code],
    /// What it sends outside the envelope.
    pub contents: Vec<Content>,
    /// With which statuses it answers without a body.
    pub wordless: Vec<StatusCode>,
    /// Whether and how it describes its body in OpenAPI.
    pub input: crate::input::Describe,
    /// The parameters that it reads from the query.
    pub query: fn() -> Option<Object>,
    /// How it describes its answer in OpenAPI.
    pub output: crate::output::Describe,
    /// Whether it reads a body.
    pub takes_body: bool,
    /// Whether it spends what is good once, though it is a `GET`.
    pub spends: bool,
    /// Whether making a request twice does what making it once does, so that no record is needed of
    /// its having been made.
    pub repeats_safely: bool,
    /// Whether a secret in its body names the tenant.
    pub names_its_tenant: bool,
    /// How that body must be written.
    pub media_type: &'static str,
    /// Whether it reads a body of lines, as it comes.
    pub takes_lines: bool,
    pub(crate) metrics: RouteMetrics,
    handler: Handler,
}

/// Declares a `GET`.
pub fn get<I, O, F, R>(path: &'static str, access: Access, limit: Limit, handler: F) -> Endpoint
where
    I: Input,
    O: Output,
    F: Fn(Call, I) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<O, Error>> + Send + 'static,
{
    Endpoint::new(Method::GET, path, access, limit, handler)
}

/// Declares a `POST`.
pub fn post<I, O, F, R>(path: &'static str, access: Access, limit: Limit, handler: F) -> Endpoint
where
    I: Input,
    O: Output,
    F: Fn(Call, I) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<O, Error>> + Send + 'static,
{
    Endpoint::new(Method::POST, path, access, limit, handler)
}

/// Declares a `PUT`.
pub fn put<I, O, F, R>(path: &'static str, access: Access, limit: Limit, handler: F) -> Endpoint
where
    I: Input,
    O: Output,
    F: Fn(Call, I) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<O, Error>> + Send + 'static,
{
    Endpoint::new(Method::PUT, path, access, limit, handler)
}

/// Declares a `PATCH`.
pub fn patch<I, O, F, R>(path: &'static str, access: Access, limit: Limit, handler: F) -> Endpoint
where
    I: Input,
    O: Output,
    F: Fn(Call, I) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<O, Error>> + Send + 'static,
{
    Endpoint::new(Method::PATCH, path, access, limit, handler)
}

/// Declares a `DELETE`.
pub fn delete<I, O, F, R>(path: &'static str, access: Access, limit: Limit, handler: F) -> Endpoint
where
    I: Input,
    O: Output,
    F: Fn(Call, I) -> R + Copy + Send + Sync + 'static,
    R: Future<Output = Result<O, Error>> + Send + 'static,
{
    Endpoint::new(Method::DELETE, path, access, limit, handler)
}

impl Endpoint {
    fn new<I, O, F, R>(
        method: Method,
        path: &'static str,
        access: Access,
        limit: Limit,
        handler: F,
    ) -> Self
    where
        I: Input,
        O: Output,
        F: Fn(Call, I) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Result<O, Error>> + Send + 'static,
    {
        let answer = move |call: Call, body: Bytes| {
            async move {
                let input = I::decode(&call, &body)?;
                let output = handler(call, input).await?;
                output.respond()
            }
            .boxed()
        };
        let metrics = RouteMetrics::new(Some(method.clone()), path);
        Self {
            method,
            path,
            access,
            limit,
            summary: "",
            refusals: &[],
            contents: Vec::new(),
            wordless: Vec::new(),
            input: I::describe,
            query: I::query,
            output: O::describe,
            takes_body: I::TAKES_BODY,
            spends: false,
            repeats_safely: false,
            names_its_tenant: false,
            media_type: I::MEDIA_TYPE,
            takes_lines: I::TAKES_LINES,
            metrics,
            handler: Box::new(answer),
        }
    }

    /// Says in one line what it does.
    pub fn describes(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Lists the codes that its use case can answer with.
    pub fn refuses(mut self, refusals: &'static [Code]) -> Self {
        self.refusals = refusals;
        self
    }

    /// Says that a `GET` spends what is good once: it is made once, and no `HEAD` stands for it.
    pub fn spends(mut self) -> Self {
        self.spends = true;
        self
    }

    /// Says that a request that is made twice does what it does once, whatever its method.
    pub fn repeats_safely(mut self) -> Self {
        self.repeats_safely = true;
        self
    }

    /// Says that a secret in its body names the tenant.
    pub fn names_its_tenant(mut self) -> Self {
        self.names_its_tenant = true;
        self
    }

    /// Says what an answer outside the envelope holds, once for each status and media type.
    pub fn sends(
        mut self,
        status: StatusCode,
        media_type: &'static str,
        schema: fn(&mut Schemas) -> RefOr<Schema>,
    ) -> Self {
        self.contents.push(Content { status, media_type, schema });
        self
    }

    /// Says that it may answer with this status and no body.
    pub fn answers(mut self, status: StatusCode) -> Self {
        self.wordless.push(status);
        self
    }

    /// Every code that it can answer with.
    pub fn codes(&self) -> Vec<Code> {
        let mut codes = vec![Code::HeadersTooLarge, Code::InternalError, Code::ServiceUnavailable];
        if self.limit != Limit::Free {
            codes.push(Code::RateLimitExceeded);
        }
        if self.takes_body || self.takes_lines {
            codes.extend([
                Code::ValidationError,
                Code::RequestTimeout,
                Code::PayloadTooLarge,
                Code::UnsupportedMediaType,
            ]);
        }
        if self.method == Method::POST {
            // The key may be ill-formed.
            codes.extend([Code::ValidationError, Code::IdempotencyConflict]);
        }
        if self.access != Access::Service {
            // A header that names caller or tenant may be ill-formed, or name nobody.
            codes.extend([Code::ValidationError, Code::ResourceNotFound]);
        }
        match self.access {
            Access::Service => {}
            Access::Public => codes.extend([Code::TenantMismatch, Code::InvalidToken]),
            Access::Session => codes.extend([
                Code::TenantMismatch,
                Code::AuthenticationRequired,
                Code::InvalidToken,
                Code::SessionExpired,
                Code::SessionRevoked,
                Code::AccountSuspended,
            ]),
            Access::Operator => codes.extend([
                Code::AuthenticationRequired,
                Code::InvalidToken,
                Code::InsufficientPermissions,
            ]),
            Access::Permission(_) => codes.extend([
                Code::TenantMismatch,
                Code::AuthenticationRequired,
                Code::InvalidToken,
                Code::InsufficientPermissions,
                Code::SessionExpired,
                Code::SessionRevoked,
                Code::AccountSuspended,
            ]),
        }
        codes.extend(self.refusals);
        codes.sort_unstable_by_key(|code| (code.status(), code.as_str()));
        codes.dedup();
        codes
    }

    /// Whether a request may change something.
    pub fn changes(&self) -> bool {
        self.spends || !self.method.is_safe()
    }

    /// Whether it belongs on the admin listener when there is one.
    pub fn is_administrative(&self) -> bool {
        self.path.starts_with("/admin/") || self.path == "/metrics"
    }

    /// Whether whoever decides for a tenant uses it: its servers, and the operator on its behalf.
    pub fn is_for_a_tenant(&self) -> bool {
        matches!(self.access, Access::Permission(_))
    }

    /// Whether it is a page for people, who follow links and are shown what went wrong.
    pub fn is_page(&self) -> bool {
        self.path.starts_with(crate::pages::PREFIX)
    }

    pub(crate) fn handle(
        &self,
        call: Call,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Response, Error>> {
        (self.handler)(call, body)
    }
}
