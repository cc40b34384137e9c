//! The page to sign in.

use askama::Template;
use garde::Validate;
use http::StatusCode;
use janua_actors::capability::mfa::Entered;
use janua_actors::capability::oauth::Listed;
use janua_actors::capability::passwords::Credentials;
use janua_actors::context::DeviceInfo;
use janua_actors::hashing::Plaintext;
use serde::Deserialize;
use utoipa::ToSchema;

use super::form::Form;
use super::frame::Frame;
use super::page::Page;
use super::texts::fill;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::Empty;
use crate::output::Raw;
use crate::rules;

/// Where the page is.
pub const PATH: &str = "/ui/sign-in";

/// Where who is signed in in this browser goes on to an application.
const CONTINUE: &str = "/ui/continue";

/// The endpoints of the page.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(get(PATH, Access::Public, Limit::Free, show)).describes("Hosted page: sign in"),
        super::page(post(PATH, Access::Public, Limit::Authentication, sign_in))
            .describes("Hosted page: sign in with a password")
            .refuses(&[
                Code::InsufficientPermissions,
                Code::InvalidCredentials,
                Code::AccountLocked,
                Code::AccountSuspended,
            ]),
        super::page(post(CONTINUE, Access::Session, Limit::Api, go_on))
            .describes("Hosted page: go on to the application with the session of this browser")
            .refuses(&[Code::InsufficientPermissions]),
    ]
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    page: &'a Frame,
    email: &'a str,
    signed_in: Option<String>,
    providers: Vec<Button>,
}

/// A form that is nothing but its button.
struct Button {
    label: String,
    address: String,
}

/// What the form posts.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct SignInForm {
    form_token: String,
    email: String,
    password: String,
}

/// What the form of who is signed in already posts.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct ContinueForm {
    form_token: String,
}

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    let page = Page::of(&call, PATH).await?;
    render(&page, &call, StatusCode::OK, "").await
}

async fn sign_in(call: Call, Form(form): Form<SignInForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, PATH, &form.form_token).await?;
    match log_in(&page, &call, &form).await {
        Ok(entered) => page.entered(&call, entered).await,
        Err(error) => {
            let status = page.takes_fault(error)?;
            render(&page, &call, status, &form.email).await
        }
    }
}

async fn log_in(page: &Page, call: &Call, form: &SignInForm) -> Result<Entered, Error> {
    rules::check([
        ("email", rules::email(&form.email, &())),
        ("password", rules::password(&form.password, &())),
    ])?;
    let credentials = Credentials {
        email: rules::address("email", &form.email)?,
        password: Plaintext::new(&form.password),
        device: DeviceInfo::default(),
    };
    Ok(page.owner.log_in(&call.context(), credentials).await?)
}

/// Whoever has signed in in this browser, and stayed here, takes that along to an application that has
/// sent them.
async fn go_on(call: Call, Form(form): Form<ContinueForm>) -> Result<Raw, Error> {
    let page = Page::posted(&call, PATH, &form.form_token).await?;
    let Some(redirect) = &page.frame.visit.redirect else {
        return page.go_to("/ui/account").map(Raw);
    };
    page.hand_over_own(&call, redirect, call.session()?).await
}

/// The page, as it is now.
pub async fn render(
    page: &Page,
    call: &Call,
    status: StatusCode,
    email: &str,
) -> Result<Raw, Error> {
    let providers = providers(page).await?;
    let signed_in = match page.frame.visit.redirect {
        Some(_) => page.session(call).await?,
        None => None,
    };
    let signed_in = signed_in.map(|caller| {
        fill(page.frame.t.sign_in_continue, "email", &caller.live.user.profile.email)
    });
    page.show(status, &SignIn { page: &page.frame, email, signed_in, providers })
}

/// The providers that the tenant has switched on.
async fn providers(page: &Page) -> Result<Vec<Button>, Error> {
    let listed = page.owner.providers().await?.into_iter().filter(|provider| provider.enabled);
    let button = |provider: Listed| Button {
        label: fill(page.frame.t.provider_sign_in, "provider", &provider.name),
        address: page.frame.visit.about(&provider.id).to("/ui/provider"),
    };
    Ok(listed.map(button).collect())
}
