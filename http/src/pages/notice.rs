//! Pages that say something and ask for nothing.

use askama::Template;
use http::StatusCode;

use super::frame::Frame;
use super::page::Page;
use crate::call::Call;
use crate::endpoint::{Access, Endpoint, Limit, get};
use crate::error::{Code, Error};
use crate::input::Empty;
use crate::output::Raw;

/// Where to go next.
#[derive(Debug)]
pub struct Link {
    /// The address.
    pub address: String,
    /// What it says.
    pub label: String,
}

/// A page that says something and asks for nothing.
#[derive(Template)]
#[template(path = "notice.html")]
pub struct Notice<'a> {
    page: &'a Frame,
    title: String,
    lines: Vec<String>,
    link: Option<Link>,
}

impl<'a> Notice<'a> {
    /// A page with a heading and what stands below it.
    pub fn new<const N: usize>(
        page: &'a Frame,
        title: impl Into<String>,
        lines: [impl Into<String>; N],
    ) -> Self {
        let lines = lines.into_iter().map(Into::into).collect();
        Self { page, title: title.into(), lines, link: None }
    }

    /// The same with the way to go on.
    pub fn with(mut self, link: Link) -> Self {
        self.link = Some(link);
        self
    }
}

/// What forms lead to when they have been acted on.
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        super::page(get("/ui/done/{what}", Access::Public, Limit::Free, done))
            .describes("Hosted page: what has come of a form")
            .refuses(&[Code::ResourceNotFound]),
    ]
}

async fn done(call: Call, _: Empty) -> Result<Raw, Error> {
    let mut page = Page::of(&call, "/ui/sign-in").await?;
    page.frame.path = None;
    let (frame, t) = (&page.frame, page.frame.t);
    let sign_in = || Link { address: frame.visit.to("/ui/sign-in"), label: t.sign_in.into() };
    let notice = match call.parameters.get("what") {
        Some("mail-sent") => {
            Notice::new(frame, t.mail_sent_title, [t.mail_sent_lead, t.mail_sent_hint])
        }
        Some("check-mail") => Notice::new(frame, t.check_mail_title, [t.check_mail_lead]),
        Some("reset") => {
            Notice::new(frame, t.reset_done_title, [t.reset_done_lead]).with(sign_in())
        }
        Some("verified") => Notice::new(frame, t.verified_title, [t.verified_lead]).with(sign_in()),
        Some("disowned") => Notice::new(frame, t.disowned_title, [t.disowned_lead]).with(sign_in()),
        Some("signed-out") => {
            Notice::new(frame, t.signed_out_title, [t.signed_out_lead]).with(sign_in())
        }
        Some("expired") => {
            Notice::new(frame, t.mfa_expired_title, [t.mfa_expired_lead]).with(sign_in())
        }
        _ => return Err(Error::not_found()),
    };
    page.show(StatusCode::OK, &notice)
}
