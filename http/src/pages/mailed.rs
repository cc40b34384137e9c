//! What the pages of mailed links share: asking for the address, asking before a link is used, and
//! what is said of a link that is not whole.

use askama::Template;
use garde::Validate;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::frame::Frame;
use super::notice::{Link, Notice};
use super::page::Page;
use crate::error::Error;
use crate::output::Raw;

/// A page that asks for an address to send a link to.
#[derive(Template)]
#[template(path = "address.html")]
pub struct AskAddress<'a> {
    /// What every template is given.
    pub page: &'a Frame,
    /// The heading.
    pub title: &'a str,
    /// What stands below it.
    pub lead: &'a str,
    /// Where the form is posted to.
    pub action: &'a str,
    /// What its button says.
    pub submit: &'a str,
    /// The address, as it was typed.
    pub email: &'a str,
}

/// A page that asks before a link is used.
#[derive(Template)]
#[template(path = "confirm.html")]
pub struct Confirm<'a> {
    /// What every template is given.
    pub page: &'a Frame,
    /// The heading.
    pub title: String,
    /// What stands below it.
    pub lead: &'a str,
    /// Where the form is posted to.
    pub action: &'a str,
    /// What can be done with it, what most will want first.
    pub choices: Vec<Choice<'a>>,
    /// Where there is a new link to be had.
    pub again: &'a str,
    /// The token of the link.
    pub token: &'a str,
    /// The mark of the browser in which the account was registered; empty where the link has none.
    pub registered: &'a str,
}

/// What can be done with a link.
pub struct Choice<'a> {
    /// What its button says.
    pub label: &'a str,
    /// Whether it is for somebody whom the link does not concern.
    pub disowns: bool,
}

/// What a form that asks for an address posts.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct AddressForm {
    /// Ties the form to the browser.
    pub form_token: String,
    /// The address.
    pub email: String,
}

/// What the page of a mailed link posts.
#[derive(Default, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[garde(allow_unvalidated)]
pub struct TokenForm {
    /// Ties the form to the browser.
    pub form_token: String,
    /// The token of the link.
    pub token: String,
    /// The mark of the browser in which the account was registered, where the link has one.
    pub registered: String,
    /// Not empty where its reader says that it does not concern them.
    pub disown: String,
}

/// The page of a link that has lost its token on the way; `again` is where there is a new one.
pub fn incomplete(page: &Page, again: &str) -> Result<Raw, Error> {
    let (frame, t) = (&page.frame, page.frame.t);
    let link = Link { address: frame.visit.to(again), label: t.start_again.into() };
    let notice = Notice::new(frame, t.token_missing_title, [t.token_missing_lead]).with(link);
    page.show(StatusCode::BAD_REQUEST, &notice)
}
