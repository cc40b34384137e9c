//! The pages for who has forgotten their password: the one that sends a link, and the one that it
//! opens.

use askama::Template;
use garde::Validate;
use http::StatusCode;
use janua_actors::hashing::Plaintext;
use janua_storage::secret::{Purpose, Secret};
use serde::Deserialize;
use utoipa::ToSchema;

use super::form::Form;
use super::frame::Frame;
use super::mailed::{AddressForm, AskAddress, incomplete};
use super::page::Page;
use super::visit::parameter;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::Empty;
use crate::output::Raw;
use crate::rules;

const FORGOT: &str = "/ui/forgot";
const RESET: &str = "/ui/reset";

/// The endpoints of the pages.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(get(FORGOT, Access::Public, Limit::Free, show_forgot))
            .describes("Hosted page: ask for a link to reset the password"),
        super::page(post(FORGOT, Access::Public, Limit::Authentication, forgot))
            .describes("Hosted page: have that link sent")
            .refuses(&[Code::InsufficientPermissions]),
        super::page(get(RESET, Access::Public, Limit::Free, show_reset))
            .describes("Hosted page: choose a new password, with the token of that link"),
        super::page(post(RESET, Access::Public, Limit::Authentication, reset))
            .describes("Hosted page: set the new password")
            .refuses(&[
                Code::InsufficientPermissions,
                Code::TokenUsed,
                Code::WeakPassword,
                Code::PasswordBreached,
                Code::AccountSuspended,
            ]),
    ]
}

#[derive(Template)]
#[template(path = "reset.html")]
struct Reset<'a> {
    page: &'a Frame,
    token: &'a str,
}

/// What the form of the new password posts.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct ResetForm {
    form_token: String,
    token: String,
    password: String,
}

async fn show_forgot(call: Call, _: Empty) -> Result<Raw, Error> {
    ask(&Page::of(&call, FORGOT).await?, StatusCode::OK, "")
}

async fn forgot(call: Call, Form(form): Form<AddressForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, FORGOT, &form.form_token).await?;
    match send(&page, &call, &form.email).await {
        Ok(()) => page.go_to("/ui/done/mail-sent").map(Raw),
        Err(error) => {
            let status = page.takes_fault(error)?;
            ask(&page, status, &form.email)
        }
    }
}

async fn send(page: &Page, call: &Call, email: &str) -> Result<(), Error> {
    rules::check([("email", rules::email(email, &()))])?;
    let email = rules::address("email", email)?;
    page.owner.forgot_password(&call.context(), &email, &page.onward()).await?;
    Ok(())
}

async fn show_reset(call: Call, _: Empty) -> Result<Raw, Error> {
    let token = parameter(&call.query, "token").unwrap_or_default();
    let page = Page::of_token(&call, &Secret::given(&token), Purpose::ResetToken).await?;
    render(&page, StatusCode::OK, &token)
}

async fn reset(call: Call, Form(form): Form<ResetForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, RESET, &form.form_token).await?;
    page.frame.path = None;
    match set(&page, &call, &form).await {
        Ok(()) => page.go_to("/ui/done/reset").map(Raw),
        Err(error) => {
            let status = page.takes_fault(error)?;
            render(&page, status, &form.token)
        }
    }
}

async fn set(page: &Page, call: &Call, form: &ResetForm) -> Result<(), Error> {
    rules::check([("password", rules::password(&form.password, &()))])?;
    let (token, new) = (Secret::given(&form.token), Plaintext::new(&form.password));
    page.owner.reset_password(&call.context(), &token, new).await?;
    Ok(())
}

fn ask(page: &Page, status: StatusCode, email: &str) -> Result<Raw, Error> {
    let t = page.frame.t;
    let ask = AskAddress {
        page: &page.frame,
        title: t.forgot_title,
        lead: t.forgot_lead,
        action: FORGOT,
        submit: t.forgot_send,
        email,
    };
    page.show(status, &ask)
}

fn render(page: &Page, status: StatusCode, token: &str) -> Result<Raw, Error> {
    if token.is_empty() {
        return incomplete(page, FORGOT);
    }
    page.show(status, &Reset { page: &page.frame, token })
}
