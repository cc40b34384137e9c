//! The hosted pages: what a person sees where an application does not bring pages of its own. They
//! do what the public API does, by the same calls, and nothing else.
//!
//! Every page works by plain forms; a script is needed for passkeys alone. A login ends in one of
//! two ways: with `redirect_uri`, on that page of the application, with a one-time code for `POST
//! /auth/oauth/exchange`; without, on the account page, for which the browser keeps the access token
//! in a cookie that no script can read and that these pages alone heed.
//!
//! Invariant: a page's `GET` changes nothing and uses nothing up. Tokens of mailed links stand in
//! hidden fields of forms, leave the address as soon as the page is there, and are used by a post.

mod account;
mod assets;
mod cookies;
mod faults;
mod form;
mod frame;
mod language;
mod magic_link;
mod mailed;
mod mfa;
mod notice;
mod outcome;
mod page;
mod passkeys;
mod password_reset;
mod provider;
mod reader;
mod sign_in;
mod sign_up;
mod texts;
mod theme;
mod verify;
mod visit;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use janua_actors::capability::oauth::HOSTED_PAGE;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use reader::Reader;

use crate::app::{App, Door};
use crate::asked::Asked;
use crate::endpoint::{Access, Endpoint};
use crate::error::Error;
use crate::input::Schemas;
use crate::output::Response;
use crate::shapes;

/// Where the pages are.
pub const PREFIX: &str = "/ui/";

/// The pages, what they post to, and what they load.
pub fn endpoints() -> Vec<Endpoint> {
    let pages = [
        sign_in::endpoints(),
        sign_up::endpoints(),
        magic_link::endpoints(),
        password_reset::endpoints(),
        verify::endpoints(),
        mfa::endpoints(),
        passkeys::endpoints(),
        provider::endpoints(),
        account::endpoints(),
        notice::endpoints(),
        assets::endpoints(),
    ];
    pages.into_iter().flatten().collect()
}

/// An endpoint that answers with a page.
fn page(mut endpoint: Endpoint) -> Endpoint {
    endpoint.query = || {
        let parameter = |description: &str| {
            ObjectBuilder::new().schema_type(Type::String).description(Some(description))
        };
        let tenant = parameter("The id of the tenant whose page it is");
        let tenant = tenant.pattern(Some(shapes::TENANT_ID));
        let parameters = ObjectBuilder::new()
            .property("tenant", tenant)
            .property("redirect_uri", parameter("Where it ends: one of the tenant's redirectUrls"))
            .property("application", parameter("Where to go on by oneself: one of those as well"))
            .property("state", parameter("Handed to redirect_uri beside the code"))
            .property("code_challenge", shapes::challenge())
            .property("code_challenge_method", shapes::challenge_method())
            .property("lang", parameter("`en` or `es`"));
        Some(parameters.build())
    };
    endpoint.sends(StatusCode::OK, "text/html", text).answers(StatusCode::SEE_OTHER)
}

fn text(_: &mut Schemas) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).build().into()
}

/// Lets the address and the cookies of a page's request say what a program says in headers: a
/// browser that follows a link sends none. Cookies count for nothing but pages, whose forms are
/// guarded (`form`).
pub fn speak_for_browser(app: &App, door: Door, head: &mut Parts) {
    if !head.uri.path().starts_with(PREFIX) {
        return;
    }
    let Ok((endpoint, _)) = app.router(door).find(&head.method, head.uri.path()) else { return };
    let query = head.uri.query().unwrap_or_default();
    let tenant = visit::parameter(query, "tenant").or_else(|| {
        // Whoever comes back from a provider brings the visit along in one parameter.
        let state = visit::parameter(query, "state").filter(|_| endpoint.path == HOSTED_PAGE)?;
        visit::parameter(provider::carried(&state).1, "tenant")
    });
    if let Some(Ok(tenant)) = tenant.map(|tenant| HeaderValue::from_str(&tenant))
        && !head.headers.contains_key("x-tenant-id")
    {
        head.headers.insert("x-tenant-id", tenant);
    }
    if endpoint.access == Access::Session
        && !head.headers.contains_key(AUTHORIZATION)
        && let Some(token) = cookies::Cookie::Session.of(app, &head.headers)
        && let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {token}"))
    {
        bearer.set_sensitive(true);
        head.headers.insert(AUTHORIZATION, bearer);
    }
}

/// What is answered to a request that is refused: to a person who looks at a page, as a page.
pub fn told(endpoint: Option<&Endpoint>, asked: &Asked, error: Error) -> Response {
    match endpoint.and_then(|endpoint| Reader::of(endpoint, asked)) {
        Some(reader) => reader.told(error),
        None => error.into_response(),
    }
}
