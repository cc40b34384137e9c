//! Tenants: their published keys for everyone, their settings for the operator.

use garde::Validate;
use http::header::{CACHE_CONTROL, VARY};
use http::{HeaderValue, StatusCode};
use janua_actors::settings::Settings;
use janua_actors::tenant::TenantRef;
use janua_storage::ids::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, RefOr, Schema};

use super::tenant_settings;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, patch, post};
use crate::error::{Code, Error};
use crate::input::{Empty, Json, Schemas};
use crate::output::{self, Data, Raw};

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
        get("/admin/tenants/{tenantId}", Access::Operator, Limit::Api, show)
            .describes("Get a tenant and its settings")
            .refuses(&[Code::ResourceNotFound]),
        patch("/admin/tenants/{tenantId}", Access::Operator, Limit::Api, configure)
            .describes("Change a tenant's settings by a JSON merge patch")
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
    published(&addressed(&call).await?).await
}

async fn show(call: Call, _: Empty) -> Result<Data<Tenant>, Error> {
    let tenant = addressed(&call).await?;
    let settings = tenant.settings().await?.as_ref().clone();
    Tenant::of(&tenant, settings).await.map(Data)
}

async fn configure(call: Call, Json(body): Json<ConfigureRequest>) -> Result<Data<Tenant>, Error> {
    let tenant = addressed(&call).await?;
    let settings = match body.settings {
        Some(patch) => {
            tenant_settings::check(&patch)?;
            tenant.configure(&call.context(), &Value::Object(patch)).await?
        }
        None => tenant.settings().await?.as_ref().clone(),
    };
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

/// Changes of a tenant.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct ConfigureRequest {
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
        let record = tenant.record().await?;
        Ok(Self { id: record.id.to_string(), name: record.name, slug: record.slug, settings })
    }
}

/// A signing key, as its tokens name it.
#[derive(Serialize, ToSchema)]
pub struct SigningKey {
    kid: String,
}
