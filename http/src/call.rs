//! What a handler knows of its request.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use janua_actors::authority::Authority;
use janua_actors::context::{Context, IdempotencyKey, Operation};
use janua_actors::directory;
use janua_actors::refusal::Refusal;
use janua_actors::tenant::TenantRef;
use janua_storage::ids::TenantId;
use janua_storage::secret::{Purpose, Secret};
use parking_lot::Mutex;

use crate::app::App;
use crate::caller::{self, Caller, Credential};
use crate::error::{Detail, Error};
use crate::lines::Pieces;
use crate::router::Parameters;

/// A request that has passed the pipeline.
pub struct Call {
    /// The floor itself.
    pub app: Arc<App>,
    /// Who calls.
    pub caller: Caller,
    /// Whether only the head of the answer is wanted.
    pub is_head: bool,
    /// The request's headers.
    pub headers: Arc<HeaderMap>,
    /// The path's parameters.
    pub parameters: Parameters,
    /// What stands behind the path's question mark.
    pub query: String,
    /// The client's address.
    pub client: IpAddr,
    /// The request's id.
    pub request_id: HeaderValue,
    /// Its body, where the handler reads it as it comes.
    pub(crate) pieces: Mutex<Option<Pieces>>,
    /// Its `Idempotency-Key`, if it is a `POST` that has one, or what stands for it between nodes.
    pub idempotency: Option<IdempotencyKey>,
    /// What tells it from every other request of the cluster, where there are several nodes.
    pub operation: Option<Operation>,
    /// The tenant that it was found to name by a secret.
    pub(crate) named: Arc<OnceLock<TenantRef>>,
}

impl Call {
    /// A parameter of the path; what is not of its form names nothing.
    pub fn parameter<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        let text = self.parameters.get(name).ok_or_else(Error::not_found)?;
        text.parse().map_err(|_| Error::not_found())
    }

    /// What the actors are told of the request.
    pub fn context(&self) -> Context {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        Context {
            request: self.request_id.to_str().ok().and_then(|id| id.parse().ok()),
            ip: Some(self.client),
            user_agent: self.headers.get(USER_AGENT).and_then(text),
            idempotency: self.idempotency.clone(),
            operation: self.operation,
        }
    }

    /// The tenant of the request.
    pub fn tenant(&self) -> Result<&TenantRef, Error> {
        self.caller.tenant.as_ref().ok_or_else(|| {
            if let Some(route) = self.caller.elsewhere {
                let message = "The node that has to answer is another one; try again shortly";
                return Error::unavailable(message, Duration::from_secs(1)).on(route);
            }
            let message = "name your tenant by X-API-Key or X-Tenant-ID";
            Error::invalid(vec![Detail::new("X-Tenant-ID", message)])
        })
    }

    /// The tenant that issued a secret. A secret names its tenant, so a request that brings one need
    /// not; if it does all the same, the actors find the secret there or nowhere.
    pub async fn tenant_of(&self, secret: &Secret, purpose: Purpose) -> Result<TenantRef, Error> {
        if self.caller.named_tenant {
            return self.tenant().cloned();
        }
        let number = secret.tenant(purpose).ok_or_else(Error::invalid_token)?;
        let found = self.app.directory()?.tenant(number).await?;
        let found = found.ok_or_else(Error::invalid_token)?;
        self.named.set(found.clone()).ok();
        Ok(found)
    }

    /// The tenant of a request that a browser makes by itself, without headers that name it: `id`
    /// stands in its address.
    pub async fn tenant_by(&self, id: Option<&str>) -> Result<TenantRef, Error> {
        let Some(id) = id else { return self.tenant().cloned() };
        let id: TenantId = id.parse().map_err(|_| Error::not_found())?;
        if self.caller.named_tenant {
            let tenant = self.tenant()?;
            return if *tenant.id() == id {
                Ok(tenant.clone())
            } else {
                Err(Error::tenant_mismatch())
            };
        }
        let found = self.app.directory()?.tenant_by_id(&id).await?.ok_or_else(Error::not_found)?;
        self.named.set(found.clone()).ok();
        Ok(found)
    }

    /// The session whose access token came with a request to a public endpoint, if it is valid.
    pub async fn session_if_shown(&self) -> Result<Option<directory::Caller>, Error> {
        let Some(token) = caller::access_token(&self.headers) else { return Ok(None) };
        match self.app.directory()?.authenticate(token).await {
            Ok(caller) => Ok(Some(caller)),
            Err(Refusal::InvalidToken | Refusal::SessionExpired | Refusal::SessionRevoked) => {
                Ok(None)
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Who decides for the tenant; there is one wherever `Access::Permission` is declared.
    pub fn authority(&self) -> Result<Authority, Error> {
        match (&self.caller.credential, &self.caller.api_key) {
            (Credential::Operator, _) => Ok(Authority::Operator),
            (_, Some(caller)) if caller.is_secret() => Ok(Authority::Key(caller.key.clone())),
            _ => Err(Error::authentication_required()),
        }
    }

    /// The session that calls; there is one wherever `Access::Session` is declared.
    pub fn session(&self) -> Result<&directory::Caller, Error> {
        match &self.caller.credential {
            Credential::Session(session) => Ok(session),
            _ => Err(Error::authentication_required()),
        }
    }
}
