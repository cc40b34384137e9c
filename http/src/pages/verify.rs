//! The page that confirms an e-mail address: the one that the link in the mail opens.

use http::StatusCode;
use janua_storage::secret::{Purpose, Secret};

use super::form::Form;
use super::mailed::{Confirm, TokenForm, incomplete};
use super::page::Page;
use super::visit::parameter;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::Empty;
use crate::output::Raw;

const PATH: &str = "/ui/verify";

/// The endpoints of the page.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(get(PATH, Access::Public, Limit::Free, show))
            .describes("Hosted page: confirm an address, with the token of the mailed link"),
        super::page(post(PATH, Access::Public, Limit::Authentication, verify))
            .describes("Hosted page: the address is confirmed")
            .refuses(&[Code::InsufficientPermissions, Code::TokenUsed]),
    ]
}

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    let token = parameter(&call.query, "token").unwrap_or_default();
    let page = Page::of_token(&call, &Secret::given(&token), Purpose::EmailToken).await?;
    render(&page, StatusCode::OK, &token)
}

async fn verify(call: Call, Form(form): Form<TokenForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, PATH, &form.form_token).await?;
    page.frame.path = None;
    let token = Secret::given(&form.token);
    let (context, disowns) = (call.context(), !form.disown.is_empty());
    let (done, end) = match disowns {
        false => (page.owner.confirm_email(&context, &token, None).await, "/ui/done/verified"),
        true => (page.owner.disown(&context, &token).await, "/ui/done/disowned"),
    };
    match done {
        Ok(()) => page.go_to(end).map(Raw),
        Err(refusal) => {
            let status = page.takes_fault(refusal.into())?;
            render(&page, status, &form.token)
        }
    }
}

fn render(page: &Page, status: StatusCode, token: &str) -> Result<Raw, Error> {
    if token.is_empty() {
        return incomplete(page, "/ui/sign-in");
    }
    let t = page.frame.t;
    let confirm = Confirm {
        page: &page.frame,
        title: t.verify_title.into(),
        lead: t.verify_lead,
        action: PATH,
        submit: t.verify_submit,
        disown: Some(t.verify_disown),
        again: "/ui/sign-in",
        token,
    };
    page.show(status, &confirm)
}
