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
    ]
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    page: &'a Frame,
    email: &'a str,
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

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    let page = Page::of(&call, PATH).await?;
    render(&page, StatusCode::OK, "").await
}

async fn sign_in(call: Call, Form(form): Form<SignInForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, PATH, &form.form_token).await?;
    match log_in(&page, &call, &form).await {
        Ok(entered) => page.entered(&call, entered).await,
        Err(error) => {
            let status = page.takes_fault(error)?;
            render(&page, status, &form.email).await
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

/// The page, as it is now.
pub async fn render(page: &Page, status: StatusCode, email: &str) -> Result<Raw, Error> {
    let providers = providers(page).await?;
    page.show(status, &SignIn { page: &page.frame, email, providers })
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
