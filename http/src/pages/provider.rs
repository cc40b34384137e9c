//! Signing in with another provider, and linking one: the way there, and the way back.
//!
//! The browser comes back to `GET /ui/callback`, with a code that is good once, and with what ties
//! the way to the browser that began it: else somebody could have others signed in as themselves. The code
//! in its turn is good in that browser alone: it is bound to a verifier that only its cookie tells, so
//! that whoever sees it on the way has nothing (RFC 9700 §2.1.1).

use askama::Template;
use garde::Validate;
use http::StatusCode;
use http::header::SET_COOKIE;
use janua_actors::capability::oauth::{Arrived, HOSTED_PAGE, Start, Started};
use janua_actors::refusal::Refusal;
use janua_storage::pkce::Challenge;
use janua_storage::secret::Secret;
use serde::Deserialize;
use utoipa::ToSchema;

use super::form::Form;
use super::frame::Frame;
use super::notice::{Link, Notice};
use super::page::Page;
use super::texts::fill;
use super::visit::parameter;
use crate::api::oauth::remember;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::Empty;
use crate::output::Raw;

const LINK: &str = "/ui/link";

/// The endpoints of the pages.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(post("/ui/provider", Access::Public, Limit::Authentication, depart))
            .describes("Hosted page: go to a provider, to sign in there")
            .refuses(&[Code::InsufficientPermissions]),
        super::page(get(HOSTED_PAGE, Access::Public, Limit::Authentication, arrive))
            .describes("Hosted page: come back from a provider")
            .spends()
            .refuses(&[Code::InsufficientPermissions]),
        super::page(get(LINK, Access::Session, Limit::Api, show))
            .describes("Hosted page: whether to link a provider to the account"),
        super::page(post(LINK, Access::Session, Limit::Api, link))
            .describes("Hosted page: go to a provider, to link it to the account")
            .refuses(&[Code::InsufficientPermissions]),
    ]
}

#[derive(Template)]
#[template(path = "link.html")]
struct Consent<'a> {
    page: &'a Frame,
    title: String,
    lead: String,
}

/// What the forms post; the provider stands in their address.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct ProviderForm {
    form_token: String,
}

/// The provider that a page is about.
fn provider(page: &Page) -> Result<String, Error> {
    page.frame.visit.provider.clone().ok_or_else(Error::not_found)
}

/// The provider, as people know it.
async fn name(page: &Page) -> Result<String, Error> {
    let id = provider(page)?;
    let listed = page.owner.providers().await?.into_iter().filter(|provider| provider.enabled);
    let name = listed.into_iter().find(|known| known.id == id).map(|known| known.name);
    name.ok_or_else(Error::not_found)
}

/// What to begin with, so that the browser comes back here and the visit goes on.
fn start(page: &Page, call: &Call) -> Start {
    Start {
        redirect_uri: Some(format!("{}{HOSTED_PAGE}", call.app.settings.public_url)),
        page_state: Some(format!("{}.{}", page.tie(), page.frame.visit.query())),
        scope: None,
        // The application's challenge is for the code that it is led back with.
        challenge: page.owner.binds_codes().then(|| Challenge::of(&page.verifier())),
    }
}

fn go(page: &Page, call: &Call, started: &Started) -> Result<Raw, Error> {
    let (t, site) = (page.frame.t, &started.location);
    let left = page.leave(t.departing_title, t.departing_lead, site, started.location.clone());
    let Raw(mut response) = left?;
    response.headers_mut().append(SET_COOKIE, remember(call, started)?);
    Ok(Raw(response))
}

async fn depart(call: Call, Form(form): Form<ProviderForm>) -> Result<Raw, Error> {
    let page = Page::posted(&call, "/ui/sign-in", &form.form_token).await?;
    let provider = provider(&page)?;
    let start = start(&page, &call);
    let started = page.owner.start_oauth(&call.context(), &provider, start).await?;
    go(&page, &call, &started)
}

/// What an answer of a provider holds beside it: what ties it to the browser, and the visit.
pub fn carried(state: &str) -> (&str, &str) {
    state.split_once('.').unwrap_or_default()
}

async fn arrive(call: Call, _: Empty) -> Result<Raw, Error> {
    let state = parameter(&call.query, "state").unwrap_or_default();
    let (tie, visit) = carried(&state);
    let mut page = Page::of_visit(&call, visit).await?;
    page.check_tie(tie)?;
    if let Some(code) = parameter(&call.query, "code") {
        let session = page.session(&call).await?;
        let (context, code) = (call.context(), Secret::given(&code));
        let challenge = Challenge::of(&page.verifier());
        let redeemed = page.owner.redeem_for_page(&context, &code, challenge, session.as_ref());
        return match redeemed.await {
            Ok(Arrived::Entered { entered, .. }) => {
                page.frame.visit.provider = None;
                page.entered(&call, entered).await
            }
            Ok(Arrived::Linked { .. }) => linked(&mut page, &call).await,
            Err(refusal) => {
                let error = Error::from(refusal);
                let is_ours = error.code().status().is_server_error();
                if is_ours { Err(error) } else { failed(page, error.code().as_str()) }
            }
        };
    }
    if parameter(&call.query, "linked").is_some() {
        return linked(&mut page, &call).await;
    }
    let error = parameter(&call.query, "error").unwrap_or_default();
    failed(page, &error)
}

/// A provider was linked: what the visit was for can go on.
async fn linked(page: &mut Page, call: &Call) -> Result<Raw, Error> {
    page.frame.visit.provider = None;
    let session = page.session(call).await?;
    match (&page.frame.visit.redirect, session) {
        (Some(redirect), Some(caller)) => page.hand_over_own(call, redirect, &caller).await,
        _ => page.go_to_with("/ui/account", "done=linked").map(Raw),
    }
}

/// Nobody was signed in, and why.
fn failed(mut page: Page, error: &str) -> Result<Raw, Error> {
    if error != Code::AccountLinkRequired.as_str() {
        page.frame.visit.provider = None;
    }
    let (frame, t) = (&page.frame, page.frame.t);
    let sign_in = Link { address: frame.visit.to("/ui/sign-in"), label: t.sign_in.into() };
    let (title, lead) = match error {
        "account_link_required" => (t.link_required_title, t.link_required_lead),
        "identity_already_linked" => (t.problem_title, t.provider_taken),
        "account_suspended" => (t.problem_title, t.not_allowed),
        "insufficient_permissions" => (t.closed_title, t.closed_lead),
        "access_denied" => (t.problem_title, t.provider_denied),
        _ => (t.problem_title, t.provider_failed),
    };
    let notice = Notice::new(frame, title, [frame.branded(lead)]).with(sign_in);
    page.show(StatusCode::OK, &notice)
}

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    let page = Page::of(&call, LINK).await?;
    let (t, name) = (page.frame.t, name(&page).await?);
    let email = &call.session()?.live.user.profile.email;
    let consent = Consent {
        page: &page.frame,
        title: fill(t.link_title, "provider", &name),
        lead: fill(&fill(t.link_lead, "provider", &name), "email", email),
    };
    page.show(StatusCode::OK, &consent)
}

async fn link(call: Call, Form(form): Form<ProviderForm>) -> Result<Raw, Error> {
    let page = Page::posted(&call, LINK, &form.form_token).await?;
    let (caller, provider) = (call.session()?, provider(&page)?);
    let (context, start) = (call.context(), start(&page, &call));
    match caller.tenant.start_link(&context, caller, &provider, start, None).await {
        Ok(started) => go(&page, &call, &started),
        // Their login is too long ago for a change of the ways in.
        Err(Refusal::ReauthenticationRequired) => page.go_to("/ui/sign-in").map(Raw),
        Err(refusal) => Err(refusal.into()),
    }
}
