//! The account page: where its owner is signed in, and the ways out.

use askama::Template;
use garde::Validate;
use http::StatusCode;
use janua_storage::capability::sessions::Session;
use janua_storage::moment::Moment;
use serde::Deserialize;
use utoipa::ToSchema;

use super::cookies::Cookie;
use super::form::Form;
use super::frame::Frame;
use super::notice::Link;
use super::page::Page;
use super::texts::{Texts, fill};
use super::visit::parameter;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get, post};
use crate::error::{Code, Error};
use crate::input::Empty;
use crate::output::Raw;

const PATH: &str = "/ui/account";

/// The endpoints of the page.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(get(PATH, Access::Session, Limit::Api, show))
            .describes("Hosted page: the account and its sessions"),
        super::page(post(PATH, Access::Session, Limit::Api, act))
            .describes("Hosted page: sign out, here or elsewhere")
            .refuses(&[Code::InsufficientPermissions, Code::ResourceNotFound]),
    ]
}

#[derive(Template)]
#[template(path = "account.html")]
struct Account<'a> {
    page: &'a Frame,
    lead: String,
    done: Option<&'static str>,
    application: Option<Link>,
    sessions: Vec<Shown>,
}

/// A session, as the page shows it.
struct Shown {
    id: String,
    device: String,
    address: String,
    last_active: Moment,
    is_current: bool,
}

/// What the forms post.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct AccountForm {
    form_token: String,
    /// `end`, `end-others` or `sign-out`.
    action: String,
    /// The session that `end` is about.
    session: String,
}

async fn show(call: Call, _: Empty) -> Result<Raw, Error> {
    let page = Page::of(&call, PATH).await?;
    let caller = call.session()?;
    let sessions = caller.tenant.sessions(caller).await?;
    let t = page.frame.t;
    let mut sessions: Vec<_> = sessions
        .into_iter()
        .map(|session| Shown::of(&session, session.id == caller.session(), t))
        .collect();
    sessions.sort_by_key(|session| (!session.is_current, std::cmp::Reverse(session.last_active)));
    let done = parameter(&call.query, "done").map(|what| match what.as_str() {
        "linked" => t.link_done,
        _ => t.session_ended,
    });
    let lead = fill(t.account_lead, "email", &caller.live.user.profile.email);
    let application = page.frame.visit.application();
    let application = application.map(|(address, host)| {
        let label = fill(t.account_application, "host", &host);
        Link { address, label }
    });
    let account = Account { page: &page.frame, lead, done, application, sessions };
    page.show(StatusCode::OK, &account)
}

async fn act(call: Call, Form(form): Form<AccountForm>) -> Result<Raw, Error> {
    let page = Page::posted(&call, PATH, &form.form_token).await?;
    let (caller, context) = (call.session()?, call.context());
    match form.action.as_str() {
        "end" => {
            let session = form.session.parse().map_err(|_| Error::not_found())?;
            caller.tenant.revoke_session(&context, caller, session).await?;
        }
        "end-others" => {
            caller.tenant.revoke_other_sessions(&context, caller).await?;
        }
        _ => {
            caller.tenant.revoke_session(&context, caller, caller.session()).await?;
            let mut response = page.go_to("/ui/done/signed-out")?;
            Cookie::Session.clear(&call.app, &mut response);
            return Ok(Raw(response));
        }
    }
    page.go_to_with(PATH, "done=ended").map(Raw)
}

impl Shown {
    fn of(session: &Session, is_current: bool, t: &Texts) -> Self {
        let device = session.origin.user_agent.as_deref().and_then(device_name);
        Self {
            id: session.id.to_string(),
            device: device.unwrap_or_else(|| t.unknown_device.into()),
            address: session.origin.ip_address.clone().unwrap_or_default(),
            last_active: session.last_active,
            is_current,
        }
    }

    /// The time for people: the same as for programs, without its letters.
    fn last_active_text(&self) -> String {
        self.last_active.to_string().replace('T', " ").replace('Z', " UTC")
    }
}

/// Browser and system of a `User-Agent`, as far as they are well known.
fn device_name(user_agent: &str) -> Option<String> {
    const BROWSERS: [(&str, &str); 6] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: [(&str, &str); 7] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let known = |table: &[(&str, &'static str)]| {
        table.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (known(&BROWSERS), known(&SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser}, {system}")),
        (Some(one), None) | (None, Some(one)) => Some(one.into()),
        (None, None) => user_agent.split_whitespace().next().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names_that_people_know() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/140.0.0.0 Safari/537.36";
        assert_eq!(device_name(chrome).as_deref(), Some("Chrome, Linux"));
        assert_eq!(device_name("reqwest/0.13").as_deref(), Some("reqwest/0.13"));
        assert_eq!(device_name(""), None);
    }
}
