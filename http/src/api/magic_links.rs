//! Logging in by a mailed link.
//!
//! The mail leads to a page that asks before it posts the token, because programs that look at links
//! in mails follow them too. `GET /auth/magic-link/verify` spends the link: it is for programs, and no
//! mail leads there.

use std::time::Duration;

use garde::Validate;
use http::StatusCode;
use janua_actors::capability::magic_links::{Followed, LinkRequest, TTL_SECONDS, USUAL_TTL};
use janua_actors::capability::mfa::Entered;
use janua_actors::mail::Onward;
use janua_actors::pkce;
use janua_storage::capability::users::Profile;
use janua_storage::ids::{MagicLinkId, UserId};
use janua_storage::moment::Moment;
use janua_storage::secret::{Purpose, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sessions::SessionTokens;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::{Json, Schemas};
use crate::limits::counted::Counted;
use crate::output::{Data, Output, Redirect, Response};
use crate::query::Query;
use crate::{rules, shapes, text};

/// The endpoints for magic links.
pub fn endpoints() -> Vec<Endpoint> {
    let refusals = &[Code::TokenUsed, Code::AccountSuspended];
    vec![
        post("/auth/magic-link/send", Access::Public, Limit::Authentication, send)
            .describes("Send a link that logs its reader in, if the address may have one"),
        get("/auth/magic-link/verify", Access::Public, Limit::Authentication, follow)
            .describes(
                "Spend a link: for a session or, with redirect_uri, for a redirect with a code",
            )
            .spends()
            .answers(StatusCode::FOUND)
            .refuses(refusals),
        post("/auth/magic-link/verify", Access::Public, Limit::Authentication, open)
            .describes("Spend a link: for a session, or for the page that its login goes on at")
            .names_its_tenant()
            .refuses(refusals),
    ]
}

/// The body of who wants a link.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendLinkRequest {
    #[serde(default)]
    #[garde(custom(rules::email))]
    #[schema(required = true, format = Email, max_length = 254, example = "user@example.com")]
    email: String,
    /// One of the tenant's `redirectUrls`, where the login goes on.
    #[garde(skip)]
    #[schema(example = "https://app.example.com/auth/callback")]
    redirect_url: Option<String>,
    /// How long the link is good, seconds; a quarter of an hour unless given.
    #[garde(custom(rules::when_present(ttl)))]
    #[schema(minimum = 60, maximum = 86400, example = 3600)]
    expires_in: Option<u64>,
}

/// A body that brings the token of a link.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifyLinkRequest {
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1, example = "ml_1_…")]
    token: String,
    /// One of the tenant's `redirectUrls`, in place of the one that the link was asked for with.
    #[garde(skip)]
    redirect_uri: Option<String>,
    /// What the exchange of the `code` must answer (RFC 7636), where the login goes on at a page.
    #[serde(alias = "code_challenge")]
    #[garde(skip)]
    #[schema(schema_with = shapes::challenge)]
    code_challenge: Option<String>,
    /// `S256`, with a challenge.
    #[serde(alias = "code_challenge_method")]
    #[garde(skip)]
    #[schema(schema_with = shapes::challenge_method)]
    code_challenge_method: Option<String>,
}

/// A query that brings the token of a link.
#[derive(Default, Deserialize, Validate, ToSchema)]
pub struct VerifyLinkQuery {
    /// The token of the link.
    #[serde(default)]
    #[garde(custom(rules::present))]
    #[schema(required = true, min_length = 1, example = "ml_1_…")]
    token: String,
    /// One of the tenant's `redirectUrls`, to be led to with a one-time `code`.
    #[garde(skip)]
    redirect_uri: Option<String>,
    /// What the exchange of the `code` must answer (RFC 7636).
    #[garde(skip)]
    #[schema(schema_with = shapes::challenge)]
    code_challenge: Option<String>,
    /// `S256`, with a challenge.
    #[garde(skip)]
    #[schema(schema_with = shapes::challenge_method)]
    code_challenge_method: Option<String>,
}

fn ttl(seconds: &u64, _: &()) -> garde::Result {
    if TTL_SECONDS.contains(seconds) {
        Ok(())
    } else {
        Err(garde::Error::new("must be from 60 to 86400"))
    }
}

async fn send(
    call: Call,
    Json(body): Json<SendLinkRequest>,
) -> Result<Counted<Data<SentLink>>, Error> {
    let request = LinkRequest {
        email: rules::address("email", &body.email)?,
        onward: Onward { redirect_uri: body.redirect_url, ..Onward::default() },
        ttl: body.expires_in.map_or(USUAL_TTL, Duration::from_secs),
    };
    let sent = call.tenant()?.send_magic_link(&call.context(), request).await?;
    let (link_id, expires_at) = sent.link.ok_or_else(Error::internal)?;
    Ok(Counted(Data(SentLink { link_id, expires_at }), sent.level))
}

async fn follow(call: Call, Query(query): Query<VerifyLinkQuery>) -> Result<Verified, Error> {
    let (challenge, method) = (query.code_challenge, query.code_challenge_method);
    let challenge = pkce::challenge(challenge.as_deref(), method.as_deref())?;
    let token = Secret::given(&query.token);
    let tenant = call.tenant_of(&token, Purpose::MagicLink).await?;
    let context = call.context();
    match query.redirect_uri {
        Some(url) => {
            let location = tenant.redirect_magic_link(&context, &token, &url, challenge).await?;
            Ok(Verified::Redirected(Redirect { location, cookies: Vec::new() }))
        }
        None => {
            let entered = tenant.follow_magic_link(&context, &token).await?;
            Ok(Verified::Entered(Data(entered.into())))
        }
    }
}

async fn open(call: Call, Json(body): Json<VerifyLinkRequest>) -> Result<Data<LinkLogIn>, Error> {
    let (challenge, method) = (body.code_challenge, body.code_challenge_method);
    let challenge = pkce::challenge_in_body(challenge.as_deref(), method.as_deref())?;
    let token = Secret::given(&body.token);
    let tenant = call.tenant_of(&token, Purpose::MagicLink).await?;
    let url = body.redirect_uri.as_deref();
    Ok(Data(match tenant.open_magic_link(&call.context(), &token, url, challenge).await? {
        Followed::Entered(entered) => (*entered).into(),
        Followed::Redirected(url) => LinkLogIn { redirect_to: Some(url), ..LinkLogIn::default() },
    }))
}

/// A link that was asked for, whether it was sent to anybody or not.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentLink {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "ml_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    link_id: MagicLinkId,
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: Moment,
}

/// What a link has led to: a session; where a second factor is demanded, what asks for it; or where
/// the login goes on at a page of the tenant's, its address alone.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkLogIn {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<LinkUser>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    session: Option<SessionTokens>,
    /// There, and true, when a second factor has to follow, by `POST /auth/login/mfa`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    requires_mfa: Option<bool>,
    /// Stands for the link; good once, for five minutes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "text::exposed_if_any")]
    #[schema(value_type = Option<String>, nullable = false, example = "tmp_1_…")]
    temp_token: Option<Secret>,
    /// What may follow: `totp`, `backup_code`, `passkey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mfa_methods: Option<Vec<&'static str>>,
    /// Where the login goes on: the page turns the `code` in it into a session, by
    /// `POST /auth/oauth/exchange`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://app.example.com/auth/callback?code=code_1_…")]
    redirect_to: Option<String>,
}

/// A user, as a link shows them.
#[derive(Serialize, ToSchema)]
pub struct LinkUser {
    #[serde(serialize_with = "text::of")]
    #[schema(value_type = String, example = "usr_01jhmz5ajs9p9tbgc0n4d5x9xq")]
    id: UserId,
    email: String,
}

impl From<Profile> for LinkUser {
    fn from(profile: Profile) -> Self {
        Self { id: profile.id, email: profile.email }
    }
}

impl From<Entered> for LinkLogIn {
    fn from(entered: Entered) -> Self {
        match entered {
            Entered::SignedIn(signed_in) => Self {
                user: Some(signed_in.profile.into()),
                session: Some(signed_in.tokens.into()),
                ..Self::default()
            },
            Entered::Challenged(challenged) => {
                let methods = challenged.methods.into_iter().map(|method| method.name());
                Self {
                    user: Some(challenged.profile.into()),
                    requires_mfa: Some(true),
                    temp_token: Some(challenged.temp_token),
                    mfa_methods: Some(methods.collect()),
                    ..Self::default()
                }
            }
        }
    }
}

/// The answer to a program that spends a link.
pub enum Verified {
    /// 200, with the session or what asks for the second factor.
    Entered(Data<LinkLogIn>),
    /// 302, with a code.
    Redirected(Redirect),
}

impl Output for Verified {
    fn respond(self) -> Result<Response, Error> {
        match self {
            Self::Entered(data) => data.respond(),
            Self::Redirected(redirect) => redirect.respond(),
        }
    }

    fn describe(schemas: &mut Schemas) -> (StatusCode, utoipa::openapi::Response) {
        Data::<LinkLogIn>::describe(schemas)
    }
}
