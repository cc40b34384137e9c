//! The page to create an account.

use askama::Template;
use garde::Validate;
use http::StatusCode;
use janua_actors::capability::users::{Registered, Registration};
use janua_actors::hashing::Plaintext;
use serde::Deserialize;
use utoipa::ToSchema;

use super::form::Form;
use super::frame::Frame;
use super::notice::{Link, Notice};
use super::page::Page;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::Empty;
use crate::output::Raw;
use crate::rules;

const PATH: &str = "/ui/sign-up";

/// The endpoints of the page.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(get(PATH, Access::Public, Limit::Free, show))
            .describes("Hosted page: create an account"),
        super::page(post(PATH, Access::Public, Limit::Authentication, sign_up))
            .describes("Hosted page: create an account with a password")
            .refuses(&[
                Code::InsufficientPermissions,
                Code::EmailAlreadyExists,
                Code::WeakPassword,
                Code::PasswordBreached,
            ]),
    ]
}

#[derive(Template)]
#[template(path = "sign_up.html")]
struct SignUp<'a> {
    page: &'a Frame,
    fields: &'a SignUpForm,
}

/// What the form posts.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct SignUpForm {
    form_token: String,
    email: String,
    password: String,
    first_name: String,
    last_name: String,
}

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    let page = Page::of(&call, PATH).await?;
    render(&page, StatusCode::OK, &SignUpForm::default())
}

async fn sign_up(call: Call, Form(form): Form<SignUpForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, PATH, &form.form_token).await?;
    if !page.frame.registration_is_open {
        return render(&page, StatusCode::FORBIDDEN, &form);
    }
    match register(&page, &call, &form).await {
        Ok(Registered { profile, session: Some(session), tokens: Some(tokens) }) => {
            page.signed_in(&call, profile.id, session, &tokens).await
        }
        Ok(_) => page.go_to("/ui/done/check-mail").map(Raw),
        Err(error) => {
            let status = page.takes_fault(error)?;
            render(&page, status, &form)
        }
    }
}

async fn register(page: &Page, call: &Call, form: &SignUpForm) -> Result<Registered, Error> {
    rules::check([
        ("email", rules::email(&form.email, &())),
        ("firstName", rules::name(&form.first_name, &())),
        ("lastName", rules::name(&form.last_name, &())),
        ("password", rules::password(&form.password, &())),
    ])?;
    let given = |name: &String| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    let registration = Registration {
        email: rules::address("email", &form.email)?,
        password: Plaintext::new(&form.password),
        first_name: given(&form.first_name),
        last_name: given(&form.last_name),
        metadata: "{}".into(),
        onward: page.onward_from_registration(),
    };
    Ok(page.owner.register(&call.context(), registration).await?)
}

fn render(page: &Page, status: StatusCode, fields: &SignUpForm) -> Result<Raw, Error> {
    let (frame, t) = (&page.frame, page.frame.t);
    if frame.registration_is_open {
        return page.show(status, &SignUp { page: frame, fields });
    }
    let sign_in = Link { address: frame.visit.to("/ui/sign-in"), label: t.sign_in.into() };
    let notice = Notice::new(frame, t.closed_title, [frame.branded(t.closed_lead)]);
    page.show(status, &notice.with(sign_in))
}
