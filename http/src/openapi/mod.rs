//! The OpenAPI document, read from the declarations of the endpoints.

mod common;
mod postman;
mod shared;
mod version_3_0;
mod yaml;

use http::Method;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
    PathsBuilder,
};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContactBuilder, Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder,
    Ref, RefOr, Required, ResponseBuilder, Schema, ServerBuilder,
};

use crate::endpoint::{Access, Endpoint, Limit};
use crate::input::Schemas;
use crate::shapes::TENANT_ID;

/// Where the project lives.
const REPOSITORY: &str = "https://github.com/madfam-io/janua";

/// The text of the license.
const LICENSE: &str = "https://www.apache.org/licenses/LICENSE-2.0";

/// What the endpoints are sorted by.
const TAGS: [(&str, &str); 8] = [
    ("auth", "Ways in, and back in"),
    ("users", "The current user, and the users of a tenant"),
    ("sessions", "Where the current user is signed in"),
    ("api-keys", "What an application shows"),
    ("keys", "What verifies access tokens"),
    ("admin", "For operators of the cluster"),
    ("pages", "For people"),
    ("service", "Health, metrics, documents"),
];

/// The document in all of its forms.
pub struct Published {
    /// `/openapi.json`
    pub json: String,
    /// `/openapi.yaml`
    pub yaml: String,
    /// `/postman/collection.json`
    pub postman: String,
}

/// The document for these endpoints, as the reference promises it: in OpenAPI 3.0.
pub fn publish<'a>(endpoints: impl Iterator<Item = &'a Endpoint>, public_url: &str) -> Published {
    // It can be written by construction; a test reads it back.
    let document = serde_json::to_value(document(endpoints, public_url)).unwrap_or_default();
    let document = version_3_0::of(shared::of(common::of(document)));
    Published {
        json: document.to_string(),
        yaml: yaml::of(&document),
        postman: postman::of(&document, public_url).to_string(),
    }
}

fn document<'a>(endpoints: impl Iterator<Item = &'a Endpoint>, public_url: &str) -> OpenApi {
    let mut schemas: Schemas = vec![("Error".into(), error())];
    let mut paths = PathsBuilder::new();
    for endpoint in endpoints {
        let Some(method) = method(&endpoint.method) else { continue };
        paths = paths.path(endpoint.path, PathItem::new(method, operation(endpoint, &mut schemas)));
    }
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme("accessToken", bearer("The access token of a session", Some("JWT")))
        .security_scheme("operatorToken", bearer("The operator token, jop_…", None))
        .security_scheme("apiKey", api_key("A publishable or secret key, jpk_… or jsk_…"))
        .security_scheme("secretKey", api_key("A secret key, jsk_…, whose scopes cover it"));
    let described = |(name, description): (&str, &str)| {
        TagBuilder::new().name(name).description(Some(description)).build()
    };
    OpenApiBuilder::new()
        .info(info())
        .tags(Some(TAGS.map(described)))
        // The relative server first: the interactive documents call where they came from.
        .servers(Some([
            ServerBuilder::new().url("/").build(),
            ServerBuilder::new().url(public_url).build(),
        ]))
        .paths(paths)
        .components(Some(components.build()))
        .build()
}

fn info() -> Info {
    let contact = ContactBuilder::new().name(Some("Janua")).url(Some(REPOSITORY)).build();
    let license = LicenseBuilder::new().name(env!("CARGO_PKG_LICENSE")).url(Some(LICENSE)).build();
    InfoBuilder::new()
        .title("Janua API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Authentication and authorization for many tenants"))
        .contact(Some(contact))
        .license(Some(license))
        .build()
}

fn operation(endpoint: &Endpoint, schemas: &mut Schemas) -> Operation {
    let (status, mut answer) = (endpoint.output)(schemas);
    for content in endpoint.contents.iter().filter(|content| content.status == status) {
        let schema = (content.schema)(schemas);
        let described = ContentBuilder::new().schema(Some(schema)).build();
        answer.content.insert(content.media_type.into(), described.into());
    }
    let mut operation = OperationBuilder::new()
        .operation_id(Some(operation_id(endpoint)))
        .tag(tag(endpoint.path))
        .summary(Some(endpoint.summary))
        .description(Some(conditions(endpoint)))
        .request_body((endpoint.input)(schemas))
        .response(status.as_str(), answer);
    for name in path_parameters(endpoint.path) {
        operation = operation.parameter(parameter(name, ParameterIn::Path, in_path(name)));
    }
    if let Some(Object { properties, required, .. }) = (endpoint.query)() {
        for (name, schema) in properties {
            operation = operation.parameter(in_query(&name, schema, required.contains(&name)));
        }
    }
    if endpoint.access != Access::Service && endpoint.access != Access::Operator {
        let id = text().pattern(Some(TENANT_ID));
        operation = operation.parameter(parameter("X-Tenant-ID", ParameterIn::Header, id));
    }
    if endpoint.method == Method::POST {
        let key = text().pattern(Some("^[!-~]([ -~]{0,253}[!-~])?$"));
        operation = operation.parameter(parameter("Idempotency-Key", ParameterIn::Header, key));
    }
    operation = operation.securities(Some(securities(endpoint.access)));
    for status in &endpoint.wordless {
        let reason = status.canonical_reason().unwrap_or_default();
        let response = ResponseBuilder::new().description(reason);
        operation = operation.response(status.as_str(), response);
    }
    refusals(endpoint, operation, schemas).build()
}

/// Who may call it, and which bucket that takes from.
fn conditions(endpoint: &Endpoint) -> String {
    let needed = match endpoint.access {
        Access::Public => "Needs no key where there is a default tenant.".into(),
        Access::Service => "Needs nothing.".into(),
        Access::Session => "Needs the access token of a session.".into(),
        Access::Operator => "Needs the operator token.".into(),
        Access::Permission(permission) => format!("Needs the permission `{permission}`."),
    };
    let counted = match endpoint.limit {
        Limit::Authentication => "Counts in the bucket `auth`.",
        Limit::Api => "Counts in the bucket `api`.",
        Limit::Free => "Counts in no bucket.",
    };
    format!("{needed} {counted}")
}

/// One response for each status, its codes listed in the description.
fn refusals(
    endpoint: &Endpoint,
    mut operation: OperationBuilder,
    schemas: &mut Schemas,
) -> OperationBuilder {
    let codes = endpoint.codes();
    for group in codes.chunk_by(|one, next| one.status() == next.status()) {
        let names: Vec<_> = group.iter().map(|code| format!("`{}`", code.as_str())).collect();
        let mut schema: RefOr<Schema> = Ref::from_schema_name("Error").into();
        let own = endpoint.contents.iter().find(|content| content.status == group[0].status());
        if let Some(own) = own {
            let either = OneOfBuilder::new().item((own.schema)(schemas)).item(schema);
            schema = Schema::OneOf(either.build()).into();
        }
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let mut response = ResponseBuilder::new()
            .description(names.join(", "))
            .content("application/json", content);
        if endpoint.is_page() {
            let page = ContentBuilder::new().schema(Some(text())).build();
            response = response.content("text/html", page);
        }
        operation = operation.response(group[0].status().as_str(), response);
    }
    operation
}

fn securities(access: Access) -> Vec<SecurityRequirement> {
    let scheme = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
    match access {
        Access::Service => vec![],
        Access::Public => vec![scheme("apiKey"), SecurityRequirement::default()],
        Access::Session => vec![scheme("accessToken")],
        Access::Operator => vec![scheme("operatorToken")],
        Access::Permission(_) => vec![scheme("secretKey"), scheme("operatorToken")],
    }
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn parameter(name: &str, place: ParameterIn, schema: ObjectBuilder) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(schema))
        .build()
}

/// What stands in the place of a path's parameter.
fn in_path(name: &str) -> ObjectBuilder {
    match name {
        "id" => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)),
        _ => text(),
    }
}

fn in_query(name: &str, schema: RefOr<Schema>, required: bool) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(if required { Required::True } else { Required::False })
        .schema(Some(schema))
        .build()
}

fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// `POST /users/me/change-password` is `postUsersMeChangePassword`.
fn operation_id(endpoint: &Endpoint) -> String {
    let words = endpoint.path.split(|character: char| !character.is_ascii_alphanumeric());
    let method = endpoint.method.as_str().to_ascii_lowercase();
    words.filter(|word| !word.is_empty()).fold(method, |id, word| {
        let (first, rest) = word.split_at(1);
        id + &first.to_ascii_uppercase() + rest
    })
}

fn tag(path: &str) -> &str {
    match path.split('/').nth(1).unwrap_or_default() {
        known @ ("auth" | "users" | "sessions" | "admin") => known,
        "passkeys" => "auth",
        "tenants" | ".well-known" => "keys",
        "api-keys" => "api-keys",
        "ui" => "pages",
        _ => "service",
    }
}

fn method(method: &Method) -> Option<HttpMethod> {
    match method.as_str() {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        "PUT" => Some(HttpMethod::Put),
        "PATCH" => Some(HttpMethod::Patch),
        "DELETE" => Some(HttpMethod::Delete),
        _ => None,
    }
}

fn bearer(description: &str, format: Option<&str>) -> SecurityScheme {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
    let scheme = match format {
        Some(format) => scheme.bearer_format(format),
        None => scheme,
    };
    SecurityScheme::Http(scheme.build())
}

fn api_key(description: &str) -> SecurityScheme {
    let key = ApiKeyValue::with_description("X-API-Key", description);
    SecurityScheme::ApiKey(ApiKey::Header(key))
}

fn error() -> RefOr<Schema> {
    let detail = ObjectBuilder::new().property("field", text()).property("message", text());
    let error = ObjectBuilder::new()
        .property("code", text())
        .property("message", text())
        .property("details", ArrayBuilder::new().items(detail))
        .property("retryAfter", ObjectBuilder::new().schema_type(Type::Integer))
        .required("code")
        .required("message");
    ObjectBuilder::new()
        .property("success", ObjectBuilder::new().schema_type(Type::Boolean))
        .property("error", error)
        .required("success")
        .required("error")
        .build()
        .into()
}
