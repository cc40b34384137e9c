//! Health, metrics and documents: what belongs to the service and to no tenant.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::app::App;
use crate::call::Call;
use crate::document::Document;
use crate::endpoint::{Access, Endpoint, Limit, get};
use crate::error::{Code, Error};
use crate::input::{Empty, Schemas, reference};
use crate::openapi;
use crate::output::{self, Raw, Response};
use crate::stream::Body;

const JSON: &str = "application/json";

/// The service's endpoints.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/health/live", Access::Service, Limit::Free, live)
            .describes("Whether the process answers")
            .sends(StatusCode::OK, JSON, reference::<Health>),
        get("/health/ready", Access::Service, Limit::Free, ready)
            .describes("Whether this node can serve, and if not, why")
            .sends(StatusCode::OK, JSON, reference::<Health>)
            .sends(StatusCode::SERVICE_UNAVAILABLE, JSON, reference::<Unready>),
        get("/metrics", Access::Service, Limit::Free, metrics)
            .describes("Metrics in Prometheus text format")
            .sends(StatusCode::OK, "text/plain", text),
        get("/openapi.json", Access::Service, Limit::Free, openapi_json)
            .describes("This API as OpenAPI, in JSON")
            .sends(StatusCode::OK, JSON, object)
            .answers(StatusCode::NOT_MODIFIED),
        get("/openapi.yaml", Access::Service, Limit::Free, openapi_yaml)
            .describes("This API as OpenAPI, in YAML")
            .sends(StatusCode::OK, "application/yaml", object)
            .answers(StatusCode::NOT_MODIFIED),
        get("/postman/collection.json", Access::Service, Limit::Free, postman)
            .describes("This API as a collection for Postman")
            .sends(StatusCode::OK, JSON, object)
            .answers(StatusCode::NOT_MODIFIED),
        get("/docs", Access::Service, Limit::Free, docs)
            .describes("Interactive documentation")
            .sends(StatusCode::OK, "text/html", text)
            .answers(StatusCode::NOT_MODIFIED),
        get("/docs/{file}", Access::Service, Limit::Free, docs_file)
            .describes("A file of the interactive documentation")
            .sends(StatusCode::OK, "text/css", text)
            .sends(StatusCode::OK, "text/javascript", text)
            .answers(StatusCode::NOT_MODIFIED)
            .refuses(&[Code::ResourceNotFound]),
    ]
}

/// A node that is well.
#[derive(Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ready")]
    status: &'static str,
}

/// A node that should get no requests.
#[derive(Serialize, ToSchema)]
pub struct Unready {
    #[schema(example = "unready")]
    status: &'static str,
    /// Why, in words.
    reasons: Vec<String>,
}

fn text(_: &mut Schemas) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}

fn object(_: &mut Schemas) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Object).build().into()
}

async fn live(_: Call, _: Empty) -> Result<Raw, Error> {
    output::json(&Health { status: "ok" }).map(Raw)
}

async fn ready(call: Call, _: Empty) -> Result<Raw, Error> {
    let reasons = call.app.unready();
    if reasons.is_empty() {
        return output::json(&Health { status: "ready" }).map(Raw);
    }
    let mut response = output::json(&Unready { status: "unready", reasons })?;
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    Ok(Raw(response))
}

async fn metrics(call: Call, _: Empty) -> Result<Raw, Error> {
    let mut response = Response::new(Body::from((call.app.services.metrics)()));
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    Ok(Raw(response))
}

async fn openapi_json(call: Call, _: Empty) -> Result<Raw, Error> {
    Ok(Raw(documents(&call.app).await?.openapi_json.respond(&call.headers)))
}

async fn openapi_yaml(call: Call, _: Empty) -> Result<Raw, Error> {
    Ok(Raw(documents(&call.app).await?.openapi_yaml.respond(&call.headers)))
}

async fn postman(call: Call, _: Empty) -> Result<Raw, Error> {
    Ok(Raw(documents(&call.app).await?.postman.respond(&call.headers)))
}

async fn docs(call: Call, _: Empty) -> Result<Raw, Error> {
    let mut response = documents(&call.app).await?.page.respond(&call.headers);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_SECURITY_POLICY));
    Ok(Raw(response))
}

async fn docs_file(call: Call, _: Empty) -> Result<Raw, Error> {
    let documents = documents(&call.app).await?;
    let file = match call.parameters.get("file") {
        Some("swagger-ui.css") => &documents.style,
        Some("swagger-ui-bundle.js") => &documents.script,
        Some("start.js") => &documents.start,
        _ => return Err(Error::not_found()),
    };
    Ok(Raw(file.respond(&call.headers)))
}

/// Everything from this server, nothing inline: the page works offline and runs no foreign code.
/// Swagger UI draws its icons from `data:` images.
const PAGE_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Janua API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"#;

const START: &str = r##"SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
"##;

/// The documents, made when the first of them is asked for: most nodes are never asked.
pub struct Documents {
    openapi_json: Document,
    openapi_yaml: Document,
    postman: Document,
    page: Document,
    start: Document,
    style: Document,
    script: Document,
}

/// Making them takes a moment of computing, which does not belong among the requests.
async fn documents(app: &Arc<App>) -> Result<&Documents, Error> {
    if app.documents.get().is_none() {
        let app = Arc::clone(app);
        let making = tokio::task::spawn_blocking(move || {
            app.documents.get_or_init(|| Documents::of(&app));
        });
        making.await.map_err(|error| {
            tracing::error!(%error, "the documents could not be made");
            Error::internal()
        })?;
    }
    app.documents.get().ok_or_else(Error::internal)
}

impl Documents {
    fn of(app: &App) -> Self {
        let openapi = openapi::publish(app.endpoints(), &app.settings.public_url);
        Self {
            openapi_json: Document::new(JSON, openapi.json.into()),
            openapi_yaml: Document::new("application/yaml", openapi.yaml.into()),
            postman: Document::new(JSON, openapi.postman.into()),
            page: Document::new("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes())),
            start: Document::new("text/javascript", Bytes::from_static(START.as_bytes())),
            style: Document::new("text/css", asset("swagger-ui.css")),
            script: Document::new("text/javascript", asset("swagger-ui-bundle.js")),
        }
    }
}

fn asset(name: &str) -> Bytes {
    let config = Arc::new(utoipa_swagger_ui::Config::default());
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(file)) => Bytes::from(file.bytes.into_owned()),
        _ => Bytes::new(),
    }
}
