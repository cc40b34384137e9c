//! The pages to sign in by a mailed link: the one that sends it, and the one that it opens.

use http::StatusCode;
use janua_actors::capability::magic_links::{LinkRequest, USUAL_TTL};
use janua_storage::secret::{Purpose, Secret};

use super::form::Form;
use super::mailed::{AddressForm, AskAddress, Choice, Confirm, TokenForm, incomplete};
use super::page::Page;
use super::visit::parameter;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::Empty;
use crate::output::Raw;
use crate::rules;

const PATH: &str = "/ui/magic-link";
const SEND: &str = "/ui/magic-link/send";

/// The endpoints of the pages.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(get(PATH, Access::Public, Limit::Free, show)).describes(
            "Hosted page: ask for a sign-in link or, with the token of one, whether to use it",
        ),
        super::page(post(PATH, Access::Public, Limit::Authentication, follow))
            .describes("Hosted page: sign in by a mailed link")
            .refuses(&[Code::InsufficientPermissions, Code::TokenUsed, Code::AccountSuspended]),
        super::page(post(SEND, Access::Public, Limit::Authentication, send))
            .describes("Hosted page: have a sign-in link sent")
            .refuses(&[Code::InsufficientPermissions]),
    ]
}

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    match parameter(&call.query, "token") {
        Some(token) => {
            let page = Page::of_token(&call, &Secret::given(&token), Purpose::MagicLink).await?;
            confirm(&page, StatusCode::OK, &token)
        }
        None => ask(&Page::of(&call, PATH).await?, StatusCode::OK, ""),
    }
}

async fn send(call: Call, Form(form): Form<AddressForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, PATH, &form.form_token).await?;
    match send_link(&page, &call, &form.email).await {
        Ok(()) => page.go_to("/ui/done/mail-sent").map(Raw),
        Err(error) => {
            let status = page.takes_fault(error)?;
            ask(&page, status, &form.email)
        }
    }
}

async fn send_link(page: &Page, call: &Call, email: &str) -> Result<(), Error> {
    rules::check([("email", rules::email(email, &()))])?;
    let request = LinkRequest {
        email: rules::address("email", email)?,
        onward: page.onward(),
        ttl: USUAL_TTL,
    };
    page.owner.send_magic_link(&call.context(), request).await?;
    Ok(())
}

async fn follow(call: Call, Form(form): Form<TokenForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, PATH, &form.form_token).await?;
    page.frame.path = None;
    if form.token.is_empty() {
        return incomplete(&page, PATH);
    }
    let token = Secret::given(&form.token);
    match page.owner.follow_magic_link(&call.context(), &token).await {
        Ok(entered) => page.entered(&call, entered).await,
        Err(refusal) => {
            let status = page.takes_fault(refusal.into())?;
            confirm(&page, status, &form.token)
        }
    }
}

fn ask(page: &Page, status: StatusCode, email: &str) -> Result<Raw, Error> {
    let t = page.frame.t;
    let ask = AskAddress {
        page: &page.frame,
        title: t.magic_link_title,
        lead: t.magic_link_lead,
        action: SEND,
        submit: t.magic_link_send,
        email,
    };
    page.show(status, &ask)
}

fn confirm(page: &Page, status: StatusCode, token: &str) -> Result<Raw, Error> {
    let t = page.frame.t;
    let confirm = Confirm {
        page: &page.frame,
        title: page.frame.branded(t.magic_link_confirm_title),
        lead: t.magic_link_confirm_lead,
        action: PATH,
        choices: vec![Choice { label: t.magic_link_confirm, disowns: false }],
        again: PATH,
        token,
        registered: "",
    };
    page.show(status, &confirm)
}
