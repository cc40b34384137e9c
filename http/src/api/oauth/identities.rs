//! The accounts at providers that are ways in to the caller's account.

use garde::Validate;
use janua_actors::capability::oauth::Start;
use janua_actors::hashing::Plaintext;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answers::LinkedIdentity;
use super::remember;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, delete, get, post};
use crate::error::{Code, Error};
use crate::input::{Empty, Json, OptionalJson};
use crate::output::{Data, Done, WithCookies};
use crate::rules;

/// The endpoints for identities.
pub fn endpoints() -> Vec<Endpoint> {
    let refusals = &[Code::ReauthenticationRequired, Code::InvalidCredentials, Code::AccountLocked];
    vec![
        post("/auth/oauth/{provider}/link", Access::Session, Limit::Api, link)
            .describes("Begin to link a provider to the account, where the login was just now")
            .refuses(refusals),
        get("/users/me/identities", Access::Session, Limit::Api, list)
            .describes("List the accounts at providers that are ways in"),
        delete("/users/me/identities/{provider}", Access::Session, Limit::Api, unlink)
            .describes("Close a way in, unless it is the last; where the login was just now")
            .refuses(&[
                Code::ReauthenticationRequired,
                Code::InvalidCredentials,
                Code::AccountLocked,
                Code::LastLoginMethod,
            ]),
    ]
}

/// What a page asks for that links a provider.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkProviderRequest {
    /// The page that the browser is led back to: one of the tenant's `redirectUrls`, or of the
    /// provider's own redirect URIs.
    #[serde(alias = "redirect_uri", alias = "redirectUrl")]
    #[garde(skip)]
    #[schema(required = true, example = "https://app.example.com/settings")]
    redirect_uri: Option<String>,
    /// Given back to the page, so that it knows the browser again.
    #[garde(skip)]
    #[schema(max_length = 4096)]
    state: Option<String>,
    /// Scopes in place of the usual ones, separated by spaces.
    #[garde(skip)]
    #[schema(max_length = 512)]
    scope: Option<String>,
    /// For a session that did not begin just now.
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    password: Option<String>,
}

/// What a session shows that did not begin just now.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlinkProviderRequest {
    #[garde(custom(rules::when_present(rules::password)))]
    #[schema(format = Password, min_length = 1, max_length = 4096)]
    password: Option<String>,
}

/// Where the page sends its browser.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkDeparture {
    #[schema(example = "https://accounts.google.com/o/oauth2/v2/auth?…")]
    authorization_url: String,
}

/// The ways in.
#[derive(Serialize, ToSchema)]
pub struct IdentityList {
    identities: Vec<LinkedIdentity>,
}

async fn link(
    call: Call,
    Json(body): Json<LinkProviderRequest>,
) -> Result<WithCookies<Data<LinkDeparture>>, Error> {
    let caller = call.session()?;
    let provider: String = call.parameter("provider")?;
    let start = Start {
        redirect_uri: body.redirect_uri,
        page_state: body.state,
        scope: body.scope,
        // Only the session that asks can exchange the code of a link.
        challenge: None,
    };
    let password = body.password.as_deref().map(Plaintext::new);
    let context = call.context();
    let started = caller.tenant.start_link(&context, caller, &provider, start, password).await?;
    let cookies = vec![remember(&call, &started)?];
    Ok(WithCookies(Data(LinkDeparture { authorization_url: started.location }), cookies))
}

async fn list(call: Call, _: Empty) -> Result<Data<IdentityList>, Error> {
    let caller = call.session()?;
    let identities = caller.tenant.identities(caller).await?;
    Ok(Data(IdentityList { identities: identities.into_iter().map(Into::into).collect() }))
}

async fn unlink(
    call: Call,
    OptionalJson(body): OptionalJson<UnlinkProviderRequest>,
) -> Result<Done, Error> {
    let caller = call.session()?;
    let provider: String = call.parameter("provider")?;
    let password = body.password.as_deref().map(Plaintext::new);
    caller.tenant.unlink(&call.context(), caller, &provider, password).await?;
    Ok(Done("Provider unlinked successfully"))
}
