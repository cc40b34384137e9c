//! API keys of a tenant, for its servers, and for the operator on its behalf.

use garde::Validate;
use janua_actors::capability::api_keys::{ApiKeyChanges, ApiKeyInfo, NewApiKey, NewlyMadeKey};
use janua_storage::capability::api_keys::ApiKeyKind;
use janua_storage::moment::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, patch, post};
use crate::error::{Code, Detail, Error};
use crate::input::{Empty, Json};
use crate::limits::rate::Rate;
use crate::output::{Created, Data, Done};
use crate::page::Page;
use crate::query::Query;
use crate::{rules, shapes, text};

const READ: Access = Access::Permission("api_keys:read");
const WRITE: Access = Access::Permission("api_keys:write");

/// The endpoints for API keys.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/api-keys", READ, Limit::Api, list).describes("List the tenant's API keys"),
        post("/api-keys", WRITE, Limit::Api, create)
            .describes("Make an API key; the key itself is shown this once"),
        get("/api-keys/{keyId}", READ, Limit::Api, show)
            .describes("Get an API key")
            .refuses(&[Code::ResourceNotFound]),
        patch("/api-keys/{keyId}", WRITE, Limit::Api, update)
            .describes("Change an API key's name, scopes, end or rate limit")
            .refuses(&[Code::ResourceNotFound]),
        delete("/api-keys/{keyId}", WRITE, Limit::Api, revoke)
            .describes("Revoke an API key; nobody gets in by it, and nothing that it began goes on")
            .refuses(&[Code::ResourceNotFound]),
        post("/api-keys/{keyId}/rotate", WRITE, Limit::Api, rotate)
            .describes("Give an API key another secret; the old one works on for a while")
            .refuses(&[Code::ResourceNotFound]),
    ]
}

async fn list(call: Call, Query(page): Query<Page>) -> Result<Data<ApiKeys>, Error> {
    let all = call.tenant()?.api_keys().await?;
    let (total_count, has_more) = (all.len(), page.has_more(all.len()));
    let some = all.into_iter().skip(page.offset()).take(page.limit());
    Ok(Data(ApiKeys { api_keys: some.map(ApiKey::from).collect(), total_count, has_more }))
}

async fn create(
    call: Call,
    Json(body): Json<CreateApiKeyRequest>,
) -> Result<Created<NewKey>, Error> {
    let new = NewApiKey {
        name: body.name,
        kind: body.r#type.into(),
        scopes: body.scopes,
        expires: body.expires_at.as_deref().map(|at| moment("expiresAt", at)).transpose()?,
        rate_limit: body.rate_limit,
    };
    let tenant = call.tenant()?;
    Ok(Created(tenant.create_api_key(&call.context(), &call.authority()?, new).await?.into()))
}

async fn show(call: Call, _: Empty) -> Result<Data<ApiKey>, Error> {
    let key = call.tenant()?.api_key_by_id(call.parameter("keyId")?).await?;
    Ok(Data(key.into()))
}

async fn update(call: Call, Json(body): Json<UpdateApiKeyRequest>) -> Result<Data<ApiKey>, Error> {
    let expires = match body.expires_at {
        None => None,
        Some(None) => Some(None),
        Some(Some(at)) => Some(Some(moment("expiresAt", &at)?)),
    };
    let changes = ApiKeyChanges {
        name: body.name,
        scopes: body.scopes,
        expires,
        rate_limit: body.rate_limit,
    };
    let id = call.parameter("keyId")?;
    let key =
        call.tenant()?.update_api_key(&call.context(), &call.authority()?, id, changes).await?;
    Ok(Data(key.into()))
}

async fn revoke(call: Call, _: Empty) -> Result<Done, Error> {
    let id = call.parameter("keyId")?;
    call.tenant()?.revoke_api_key(&call.context(), &call.authority()?, id).await?;
    Ok(Done("API key revoked successfully"))
}

async fn rotate(call: Call, _: Empty) -> Result<Data<NewKey>, Error> {
    let id = call.parameter("keyId")?;
    Ok(Data(call.tenant()?.rotate_api_key(&call.context(), &call.authority()?, id).await?.into()))
}

fn moment(field: &str, text: &str) -> Result<Moment, Error> {
    let wrong = || Error::invalid(vec![Detail::new(field, "must be a time as in RFC 3339")]);
    text.parse().map_err(|_| wrong())
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ApiKeyType {
    /// Names the tenant; safe in a browser.
    Publishable,
    /// Server to server.
    Secret,
}

impl From<ApiKeyType> for ApiKeyKind {
    fn from(kind: ApiKeyType) -> Self {
        match kind {
            ApiKeyType::Publishable => Self::Publishable,
            ApiKeyType::Secret => Self::Secret,
        }
    }
}

impl From<ApiKeyKind> for ApiKeyType {
    fn from(kind: ApiKeyKind) -> Self {
        match kind {
            ApiKeyKind::Publishable => Self::Publishable,
            ApiKeyKind::Secret => Self::Secret,
        }
    }
}

/// An API key to be made.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateApiKeyRequest {
    #[garde(custom(rules::present), custom(rules::name))]
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    name: String,
    #[garde(skip)]
    r#type: ApiKeyType,
    /// Permissions; of a secret key alone.
    #[garde(length(max = 100))]
    #[serde(default)]
    #[schema(schema_with = shapes::scopes)]
    scopes: Vec<String>,
    #[garde(skip)]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Its own limit instead of the tenant's: "N/second", "N/min", "N/hour", "N/day"; "0" for none.
    #[garde(custom(rules::when_present(rate)))]
    #[schema(schema_with = shapes::rate)]
    rate_limit: Option<String>,
}

/// Changes of an API key: what is absent stays, `null` clears.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateApiKeyRequest {
    #[garde(custom(rules::when_present(rules::present)), custom(rules::when_present(rules::name)))]
    #[schema(min_length = 1, max_length = 100, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$")]
    name: Option<String>,
    #[garde(length(max = 100))]
    #[schema(schema_with = shapes::scopes_or_null)]
    scopes: Option<Vec<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Option<String>>,
    #[serde(deserialize_with = "rules::given")]
    #[garde(custom(rules::when_given(rate)))]
    #[schema(schema_with = shapes::rate)]
    rate_limit: Option<Option<String>>,
}

fn rate(text: &str, _: &()) -> garde::Result {
    match text.parse::<Rate>() {
        Ok(_) => Ok(()),
        Err(_) => Err(garde::Error::new("must be N/second, N/min, N/hour, N/day, or 0")),
    }
}

/// An API key.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    id: String,
    name: String,
    r#type: ApiKeyType,
    scopes: Vec<String>,
    /// Its first characters.
    prefix: String,
    rate_limit: Option<String>,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    #[serde(serialize_with = "text::of_some")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Moment>,
    #[serde(serialize_with = "text::of_some")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Moment>,
}

/// An API key, with the key itself.
#[derive(Serialize, ToSchema)]
pub struct NewKey {
    #[serde(flatten)]
    info: ApiKey,
    /// The key itself, shown this once.
    key: String,
}

/// Some of the tenant's API keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeys {
    api_keys: Vec<ApiKey>,
    total_count: usize,
    has_more: bool,
}

impl From<ApiKeyInfo> for ApiKey {
    fn from(info: ApiKeyInfo) -> Self {
        let ApiKeyInfo { key, usage } = info;
        Self {
            id: key.id.to_string(),
            name: key.name,
            r#type: key.kind.into(),
            scopes: key.scopes,
            prefix: usage.prefix,
            rate_limit: key.rate_limit,
            created_at: key.created,
            last_used_at: usage.last_used,
            expires_at: key.expires,
        }
    }
}

impl From<NewlyMadeKey> for NewKey {
    fn from(made: NewlyMadeKey) -> Self {
        Self { info: made.info.into(), key: made.secret.expose().into() }
    }
}
