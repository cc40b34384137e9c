//! Backups, for the operator: one encrypted stream with everything that was answered before it
//! began, and the key that it is encrypted to.

use bytes::Bytes;
use futures::stream;
use garde::Validate;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use janua_actors::refusal::Refusal;
use janua_storage::backup::recovery_key::RecoveryPublicKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, put};
use crate::error::{Code, Detail, Error};
use crate::input::{Empty, Json, Schemas};
use crate::output::{Data, Raw, Response};
use crate::stream::{Body, Broken};

const RECOVERY_KEY: HeaderName = HeaderName::from_static("x-janua-recovery-key");

/// The endpoints for backups.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/admin/backup", Access::Operator, Limit::Api, back_up)
            .describes("Take a backup, encrypted to the recovery key")
            .sends(StatusCode::OK, "application/octet-stream", binary)
            .refuses(&[Code::RecoveryKeyConflict]),
        get("/admin/backup/recovery-key", Access::Operator, Limit::Api, show)
            .describes("To which recovery key backups are encrypted"),
        put("/admin/backup/recovery-key", Access::Operator, Limit::Api, set)
            .describes("Encrypt backups to this recovery key from now on")
            .refuses(&[Code::RecoveryKeyConflict]),
    ]
}

/// The public half of a recovery key.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetRecoveryKeyRequest {
    /// 32 bytes (RFC 7748), base64url without padding.
    #[garde(skip)]
    #[schema(min_length = 43, max_length = 43, pattern = "^[A-Za-z0-9_-]{43}$")]
    public_key: String,
    /// Whether another one may be there.
    #[garde(skip)]
    #[serde(default)]
    replace: bool,
}

/// To which recovery key backups are encrypted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryKey {
    /// Its public half; null before the first backup.
    public_key: Option<String>,
    /// By which people tell recovery keys apart.
    fingerprint: Option<String>,
}

impl From<Option<RecoveryPublicKey>> for RecoveryKey {
    fn from(key: Option<RecoveryPublicKey>) -> Self {
        Self {
            public_key: key.map(|key| key.to_string()),
            fingerprint: key.map(|key| key.fingerprint()),
        }
    }
}

async fn back_up(call: Call, _: Empty) -> Result<Raw, Error> {
    let directory = call.app.directory()?;
    if call.is_head {
        let key = directory.recovery_key().await?.ok_or(Refusal::RecoveryKey)?;
        return Ok(backup(Body::stream(stream::empty()), key));
    }
    let (archive, key) = directory.back_up().await?;
    let pieces = stream::unfold(archive, |mut archive| async move {
        let piece = archive.next().await?;
        Some((piece.map(Bytes::from).map_err(Broken::from), archive))
    });
    Ok(backup(Body::stream(pieces), key))
}

fn backup(body: Body, key: RecoveryPublicKey) -> Raw {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(fingerprint) = HeaderValue::from_str(&key.fingerprint()) {
        headers.insert(RECOVERY_KEY, fingerprint);
    }
    Raw(response)
}

async fn show(call: Call, _: Empty) -> Result<Data<RecoveryKey>, Error> {
    Ok(Data(call.app.directory()?.recovery_key().await?.into()))
}

async fn set(
    call: Call,
    Json(body): Json<SetRecoveryKeyRequest>,
) -> Result<Data<RecoveryKey>, Error> {
    let key: RecoveryPublicKey = body.public_key.parse().map_err(|_| {
        Error::invalid(vec![Detail::new("publicKey", "must be 32 bytes in base64url")])
    })?;
    let directory = call.app.directory()?;
    directory.set_recovery_key(&call.context(), key, body.replace).await?;
    Ok(Data(Some(key).into()))
}

fn binary(_: &mut Schemas) -> RefOr<Schema> {
    let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
    ObjectBuilder::new().schema_type(Type::String).format(Some(binary)).build().into()
}
