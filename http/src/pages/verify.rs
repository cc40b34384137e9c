//! The page that confirms an e-mail address: the one that the link in the mail opens; and the one that
//! sends such a mail to who is kept out by what somebody else has set up.

use http::StatusCode;
use janua_actors::capability::email_verification::Shown;
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

const PATH: &str = "/ui/verify";
const SEND: &str = "/ui/verify/send";

/// The endpoints of the page.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(get(PATH, Access::Public, Limit::Free, show))
            .describes("Hosted page: confirm an address, with the token of the mailed link"),
        super::page(post(PATH, Access::Public, Limit::Authentication, verify))
            .describes("Hosted page: the address is confirmed")
            .refuses(&[Code::InsufficientPermissions, Code::TokenUsed]),
        super::page(get(SEND, Access::Public, Limit::Free, show_send)).describes(
            "Hosted page: ask for the mail by which an account is taken from a stranger",
        ),
        super::page(post(SEND, Access::Public, Limit::Authentication, send))
            .describes("Hosted page: have that mail sent")
            .refuses(&[Code::InsufficientPermissions]),
    ]
}

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    let token = parameter(&call.query, "token").unwrap_or_default();
    let page = Page::of_token(&call, &Secret::given(&token), Purpose::EmailToken).await?;
    let registered = parameter(&call.query, "registered").unwrap_or_default();
    render(&page, &call, StatusCode::OK, &TokenForm { token, registered, ..TokenForm::default() })
        .await
}

async fn verify(call: Call, Form(form): Form<TokenForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, PATH, &form.form_token).await?;
    page.frame.path = None;
    let token = Secret::given(&form.token);
    let (context, disowns) = (call.context(), !form.disown.is_empty());
    let (done, end) = if disowns {
        (page.owner.disown(&context, &token).await, "/ui/done/disowned")
    } else {
        let session = page.session(&call).await?;
        let shown = match &session {
            _ if page.was_registered_here(&form.registered) => Shown::Registration,
            Some(caller) => Shown::Session(caller),
            None => Shown::Nothing,
        };
        (page.owner.confirm_email(&context, &token, shown).await, "/ui/done/verified")
    };
    match done {
        Ok(()) => page.go_to(end).map(Raw),
        Err(refusal) => {
            let status = page.takes_fault(refusal.into())?;
            render(&page, &call, status, &form).await
        }
    }
}

async fn show_send(call: Call, _: Empty) -> Result<Raw, Error> {
    ask(&Page::of(&call, SEND).await?, StatusCode::OK, "")
}

async fn send(call: Call, Form(form): Form<AddressForm>) -> Result<Raw, Error> {
    let mut page = Page::posted(&call, SEND, &form.form_token).await?;
    match send_to(&page, &call, &form.email).await {
        Ok(()) => page.go_to("/ui/done/mail-sent").map(Raw),
        Err(error) => {
            let status = page.takes_fault(error)?;
            ask(&page, status, &form.email)
        }
    }
}

async fn send_to(page: &Page, call: &Call, email: &str) -> Result<(), Error> {
    rules::check([("email", rules::email(email, &()))])?;
    let (email, onward) = (rules::address("email", email)?, page.onward());
    page.owner.ask_for_verification(&call.context(), &email, &onward).await?;
    Ok(())
}

fn ask(page: &Page, status: StatusCode, email: &str) -> Result<Raw, Error> {
    let t = page.frame.t;
    let ask = AskAddress {
        page: &page.frame,
        title: t.not_mine_title,
        lead: t.not_mine_lead,
        action: SEND,
        submit: t.not_mine_send,
        email,
    };
    page.show(status, &ask)
}

/// Asks what to do. Of an account whose address was confirmed and that may be a stranger's all the same,
/// its reader is first asked that: only who is signed in to it can say that all of it is theirs.
async fn render(
    page: &Page,
    call: &Call,
    status: StatusCode,
    form: &TokenForm,
) -> Result<Raw, Error> {
    let TokenForm { token, registered, .. } = form;
    if token.is_empty() {
        return incomplete(page, "/ui/sign-in");
    }
    let t = page.frame.t;
    let disown = Choice { label: t.verify_disown, disowns: true };
    let secret = Secret::given(token);
    let (title, lead, choices) = if page.owner.is_contested(&secret).await? {
        let is_own = match page.session(call).await? {
            Some(caller) => page.owner.was_sent_to(&secret, &caller).await?,
            None => false,
        };
        let own = is_own.then_some(Choice { label: t.contested_own, disowns: false });
        (t.contested_title, t.contested_lead, [disown].into_iter().chain(own).collect())
    } else {
        let confirm = Choice { label: t.verify_submit, disowns: false };
        (t.verify_title, t.verify_lead, vec![confirm, disown])
    };
    let confirm = Confirm {
        page: &page.frame,
        title: title.into(),
        lead,
        action: PATH,
        choices,
        again: "/ui/sign-in",
        token,
        registered,
    };
    page.show(status, &confirm)
}
