//! Sessions: carried on, listed, ended.

use garde::Validate;
use janua_actors::capability::sessions::Tokens;
use janua_actors::places::Place;
use janua_storage::capability::sessions;
use janua_storage::ids::{DeviceId, SessionId};
use janua_storage::moment::Moment;
use janua_storage::secret::{Purpose, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, post};
use crate::error::{Code, Error};
use crate::input::{Empty, Json};
use crate::output::{Data, Done};
use crate::{rules, text};

/// The endpoints for sessions.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/auth/refresh", Access::Public, Limit::Api, refresh)
            .describes("Exchange a refresh token for the next one and a new access token")
            // A token that was spent moments ago gives the same successor.
            .repeats_safely()
            .names_its_tenant()
            .refuses(&[
                Code::TokenUsed,
                Code::SessionRevoked,
                Code::SessionExpired,
                Code::AccountSuspended,
            ]),
        post("/auth/logout", Access::Public, Limit::Api, log_out)
            .describes("End the session of a refresh token")
            .names_its_tenant()
            .refuses(&[Code::SessionRevoked, Code::SessionExpired]),
        get("/sessions", Access::Session, Limit::Api, list)
            .describes("List the sessions of the current user"),
        delete("/sessions", Access::Session, Limit::Api, revoke_others)
            .describes("Revoke all sessions of the current user but this one"),
        delete("/sessions/{sessionId}", Access::Session, Limit::Api, revoke)
            .describes("Revoke one session of the current user")
            .refuses(&[Code::ResourceNotFound]),
    ]
}

/// A body that shows a refresh token.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefreshTokenRequest {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1, example = "rt_1_…")]
    refresh_token: String,
}

async fn refresh(
    call: Call,
    Json(body): Json<RefreshTokenRequest>,
) -> Result<Data<SessionTokens>, Error> {
    let token = Secret::given(&body.refresh_token);
    let tenant = call.tenant_of(&token, Purpose::RefreshToken).await?;
    let tokens = tenant.refresh(&call.context(), &token).await?;
    Ok(Data(tokens.into()))
}

async fn log_out(call: Call, Json(body): Json<RefreshTokenRequest>) -> Result<Done, Error> {
    let token = Secret::given(&body.refresh_token);
    let tenant = call.tenant_of(&token, Purpose::RefreshToken).await?;
    tenant.log_out(&call.context(), &token).await?;
    Ok(Done("Logged out successfully"))
}

async fn list(call: Call, _: Empty) -> Result<Data<Sessions>, Error> {
    let caller = call.session()?;
    let sessions = caller.tenant.sessions(caller).await?;
    let current = caller.session();
    Sessions::of(&call, sessions, Some(current)).map(Data)
}

async fn revoke_others(call: Call, _: Empty) -> Result<Data<Revoked>, Error> {
    let caller = call.session()?;
    let revoked_count = caller.tenant.revoke_other_sessions(&call.context(), caller).await?;
    Ok(Data(Revoked { revoked_count }))
}

async fn revoke(call: Call, _: Empty) -> Result<Done, Error> {
    let caller = call.session()?;
    let session = call.parameter("sessionId")?;
    caller.tenant.revoke_session(&call.context(), caller, session).await?;
    Ok(Done("Session revoked successfully"))
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionTokens {
    access_token: String,
    #[serde(serialize_with = "text::exposed")]
    #[schema(value_type = String, example = "rt_1_…")]
    refresh_token: Secret,
    /// When the access token runs out.
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: Moment,
}

impl From<Tokens> for SessionTokens {
    fn from(tokens: Tokens) -> Self {
        let Tokens { access_token, refresh_token, expires } = tokens;
        Self { access_token, refresh_token, expires_at: expires }
    }
}

/// The sessions of a user.
#[derive(Serialize, ToSchema)]
pub struct Sessions {
    /// Oldest first.
    pub sessions: Vec<Session>,
}

/// A live session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "sess_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: SessionId,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "dev_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    device_id: DeviceId,
    user_agent: Option<String>,
    ip_address: Option<String>,
    location: Option<Location>,
    is_current: bool,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    last_active_at: Moment,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: Moment,
}

impl Sessions {
    /// The same as their user sees them; `current` is the one that calls, if it is one of them.
    pub fn of(
        call: &Call,
        sessions: Vec<sessions::Session>,
        current: Option<SessionId>,
    ) -> Result<Self, Error> {
        let places = call.app.directory()?;
        let place = |address: &Option<String>| places.place(address.as_deref()?);
        let session = |session: sessions::Session| {
            let location = place(&session.origin.ip_address).map(Location::from);
            Session::of(session, location, current)
        };
        Ok(Self { sessions: sessions.into_iter().map(session).collect() })
    }
}

impl Session {
    fn of(
        session: sessions::Session,
        location: Option<Location>,
        current: Option<SessionId>,
    ) -> Self {
        Self {
            is_current: Some(session.id) == current,
            id: session.id,
            device_id: session.device,
            user_agent: session.origin.user_agent,
            ip_address: session.origin.ip_address,
            location,
            created_at: session.created,
            last_active_at: session.last_active,
            expires_at: session.expires,
        }
    }
}

/// Where an address is, when a database of addresses is configured.
#[derive(Serialize, ToSchema)]
pub struct Location {
    /// ISO 3166-1 alpha-2.
    #[schema(example = "US")]
    country: Option<String>,
    #[schema(example = "San Francisco")]
    city: Option<String>,
    /// The subdivision's part of ISO 3166-2.
    #[schema(example = "CA")]
    region: Option<String>,
}

impl From<Place> for Location {
    fn from(place: Place) -> Self {
        Self { country: place.country, city: place.city, region: place.region }
    }
}

/// How many sessions were ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    /// How many.
    pub revoked_count: u32,
}
