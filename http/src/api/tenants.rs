//! Tenants: their published keys for everyone, their settings for the operator.

use garde::Validate;
use http::header::{CACHE_CONTROL, VARY};
use http::{HeaderValue, StatusCode};
use janua_actors::capability::tenants::NewTenant;
use janua_actors::settings::Settings;
use janua_actors::tenant::TenantRef;
use janua_storage::capability::tenants::Tenant as Record;
use janua_storage::ids::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema};

use super::tenant_settings;
use crate::call::Call;
use crate::cors;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, patch, post};
use crate::error::{Code, Detail, Error};
use crate::input::{Empty, Json, Schemas};
use crate::output::{self, Created, Data, Done, Raw};
use crate::page::Page;
use crate::query::Query;
use crate::rules;

/// The endpoints for tenants.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/.well-known/jwks.json", Access::Public, Limit::Api, jwks)
            .describes("The keys that verify the tenant's access tokens (RFC 7517)")
            .sends(StatusCode::OK, "application/json", key_set),
        get("/tenants/{tenantId}/.well-known/jwks.json", Access::Service, Limit::Api, jwks_of)
            .describes("The keys that verify a tenant's access tokens (RFC 7517)")
            .sends(StatusCode::OK, "application/json", key_set)
            .refuses(&[Code::ResourceNotFound]),
        get("/admin/tenants", Access::Operator, Limit::Api, list).describes("List the tenants"),
        post("/admin/tenants", Access::Operator, Limit::Api, create)
            .describes("Make a tenant; its first keys are shown this once")
            .refuses(&[Code::SlugTaken]),
        get("/admin/tenants/{tenantId}", Access::Operator, Limit::Api, show)
            .describes("Get a tenant and its settings")
            .refuses(&[Code::ResourceNotFound]),
        patch("/admin/tenants/{tenantId}", Access::Operator, Limit::Api, configure)
            .describes("Change a tenant's name, and its settings by a JSON merge patch")
            .refuses(&[Code::ResourceNotFound]),
        delete("/admin/tenants/{tenantId}", Access::Operator, Limit::Api, remove)
            .describes("Erase a tenant with everything that it has")
            .refuses(&[Code::ResourceNotFound]),
        post(
            "/admin/tenants/{tenantId}/signing-keys/rotate",
            Access::Operator,
            Limit::Api,
            rotate_signing_key,
        )
        .describes("Sign with a new key; the old one stays published until its tokens are gone")
        .refuses(&[Code::ResourceNotFound]),
    ]
}

async fn jwks(call: Call, _: Empty) -> Result<Raw, Error> {
    let Raw(mut response) = published(call.tenant()?).await?;
    response.headers_mut().insert(VARY, WHAT_NAMES_A_TENANT);
    Ok(Raw(response))
}

async fn jwks_of(call: Call, _: Empty) -> Result<Raw, Error> {
    let Raw(mut response) = published(&addressed(&call).await?).await?;
    // Whoever verifies tokens reads them, in a browser too, and they are the same for everybody.
    cors::admit_all(response.headers_mut());
    Ok(Raw(response))
}

async fn show(call: Call, _: Empty) -> Result<Data<Tenant>, Error> {
    let tenant = addressed(&call).await?;
    let settings = tenant.settings().await?.as_ref().clone();
    Tenant::of(&tenant, settings).await.map(Data)
}

async fn list(call: Call, Query(page): Query<Page>) -> Result<Data<Tenants>, Error> {
    let (some, total_count) = call.app.directory()?.tenants(page.offset(), page.limit()).await?;
    let tenants = some.into_iter().map(|(record, settings)| Tenant::recorded(record, settings));
    let tenants = tenants.collect();
    Ok(Data(Tenants { tenants, total_count, has_more: page.has_more(total_count) }))
}

async fn create(
    call: Call,
    Json(body): Json<CreateTenantRequest>,
) -> Result<Created<NewlyMadeTenant>, Error> {
    let settings = body.settings.unwrap_or_default();
    tenant_settings::check(&settings)?;
    let new = NewTenant {
        id: body.id.map(|id| id.parse()).transpose().map_err(|_| no_id())?,
        name: body.name.unwrap_or_else(|| body.slug.clone()),
        slug: body.slug,
        settings: Value::Object(settings),
    };
    let made = call.app.directory()?.create_tenant(&call.context(), new).await?;
    let record = made.tenant;
    Ok(Created(NewlyMadeTenant {
        id: record.id.to_string(),
        name: record.name,
        slug: record.slug,
        settings: made.settings,
        publishable_key: made.publishable_key.expose().into(),
        secret_key: made.secret_key.expose().into(),
    }))
}

fn no_id() -> Error {
    let rule = "must be at most 64 lower-case letters, digits, dashes and underscores";
    Error::invalid(vec![Detail::new("id", rule)])
}

async fn remove(call: Call, _: Empty) -> Result<Done, Error> {
    let id: TenantId = call.parameter("tenantId")?;
    call.app.directory()?.delete_tenant(&call.context(), &id).await?;
    Ok(Done("Tenant deleted successfully"))
}

async fn configure(call: Call, Json(body): Json<ConfigureRequest>) -> Result<Data<Tenant>, Error> {
    let tenant = addressed(&call).await?;
    // The settings first: they may be refused, and then nothing has changed.
    let settings = match body.settings {
        Some(patch) => {
            tenant_settings::check(&patch)?;
            tenant.configure(&call.context(), &Value::Object(patch)).await?
        }
        None => tenant.settings().await?.as_ref().clone(),
    };
    if let Some(name) = body.name {
        tenant.rename(&call.context(), name).await?;
    }
    Tenant::of(&tenant, settings).await.map(Data)
}

async fn rotate_signing_key(call: Call, _: Empty) -> Result<Data<SigningKey>, Error> {
    let tenant = addressed(&call).await?;
    let kid = tenant.rotate_signing_key(&call.context()).await?;
    Ok(Data(SigningKey { kid }))
}

/// The tenant that the path names.
async fn addressed(call: &Call) -> Result<TenantRef, Error> {
    let id: TenantId = call.parameter("tenantId")?;
    call.app.directory()?.tenant_by_id(&id).await?.ok_or_else(Error::not_found)
}

/// How long a verifier may keep the keys: a new one is published when it begins to sign, and a
/// verifier that meets an unknown `kid` looks again.
const KEYS_MAY_BE_KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// Without it, a cache would give one tenant's keys to who asks for another's.
const WHAT_NAMES_A_TENANT: HeaderValue =
    HeaderValue::from_static("authorization, x-api-key, x-tenant-id");

async fn published(tenant: &TenantRef) -> Result<Raw, Error> {
    let mut response = output::json(&tenant.jwks().await?)?;
    response.headers_mut().insert(CACHE_CONTROL, KEYS_MAY_BE_KEPT);
    Ok(Raw(response))
}

/// A JWK Set (RFC 7517 §5); a key's other members are those of its kind (RFC 7518 §6).
fn key_set(_: &mut Schemas) -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let key = ["kty", "kid", "alg", "use"]
        .into_iter()
        .fold(ObjectBuilder::new(), |key, name| key.property(name, text()).required(name));
    let keys = ArrayBuilder::new().items(key);
    ObjectBuilder::new().property("keys", keys).required("keys").build().into()
}

/// A tenant to be made.
#[derive(Deserialize, Validate, ToSchema)]
pub struct CreateTenantRequest {
    /// Drawn when absent.
    #[garde(skip)]
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9_-]{1,64}$")]
    id: Option<String>,
    /// The slug when absent.
    #[garde(custom(rules::when_present(rules::present)), custom(rules::when_present(rules::name)))]
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    name: Option<String>,
    #[garde(custom(rules::slug))]
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
    slug: String,
    /// A JSON merge patch (RFC 7396) of the deployment's settings.
    #[garde(skip)]
    #[schema(schema_with = tenant_settings::patch)]
    settings: Option<Map<String, Value>>,
}

/// Changes of a tenant.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct ConfigureRequest {
    #[garde(custom(rules::when_present(rules::present)), custom(rules::when_present(rules::name)))]
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    name: Option<String>,
    /// A JSON merge patch (RFC 7396) of the settings; `null` goes back to the deployment's default.
    #[garde(skip)]
    #[schema(schema_with = tenant_settings::patch)]
    settings: Option<Map<String, Value>>,
}

/// A tenant, as its operator sees it.
#[derive(Serialize, ToSchema)]
pub struct Tenant {
    id: String,
    name: String,
    slug: String,
    #[schema(schema_with = tenant_settings::complete)]
    settings: Settings,
}

impl Tenant {
    async fn of(tenant: &TenantRef, settings: Settings) -> Result<Self, Error> {
        Ok(Self::recorded(tenant.record().await?, settings))
    }

    fn recorded(record: Record, settings: Settings) -> Self {
        Self { id: record.id.to_string(), name: record.name, slug: record.slug, settings }
    }
}

/// A tenant that was just made, with its first keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewlyMadeTenant {
    id: String,
    name: String,
    slug: String,
    #[schema(schema_with = tenant_settings::complete)]
    settings: Settings,
    /// Names the tenant; safe in a browser. Shown this once.
    publishable_key: String,
    /// Server to server. Shown this once.
    secret_key: String,
}

/// Some of the tenants.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenants {
    tenants: Vec<Tenant>,
    total_count: usize,
    has_more: bool,
}

/// A signing key, as its tokens name it.
#[derive(Serialize, ToSchema)]
pub struct SigningKey {
    kid: String,
}
