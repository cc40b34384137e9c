//! Sessions: carried on, listed, ended.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, post};
use crate::error::{Code, Error};
use crate::input::{Empty, Json};
use crate::output::{Data, Done};

/// The endpoints for sessions.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("/auth/refresh", Access::Public, Limit::Api, refresh)
            .describes("Exchange a refresh token for the next one and a new access token")
            .refuses(&[Code::SessionRevoked, Code::SessionExpired, Code::AccountSuspended]),
        post("/auth/logout", Access::Public, Limit::Api, log_out)
            .describes("End the session of a refresh token"),
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
    #[schema(required = true, example = "rt_1_…")]
    refresh_token: String,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionTokens {
    access_token: String,
    refresh_token: String,
    /// When the access token runs out.
    #[schema(format = DateTime)]
    expires_at: String,
}

/// The sessions of a user.
#[derive(Serialize, ToSchema)]
pub struct Sessions {
    sessions: Vec<Session>,
}

/// A live session.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    id: String,
    device_id: String,
    user_agent: Option<String>,
    ip_address: Option<String>,
    location: Option<Location>,
    is_current: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    last_active_at: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

/// Where an address is, when a database of addresses is configured.
#[derive(Serialize, ToSchema)]
pub struct Location {
    country: Option<String>,
    city: Option<String>,
    region: Option<String>,
}

/// How many sessions were ended.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revoked {
    revoked_count: u32,
}
