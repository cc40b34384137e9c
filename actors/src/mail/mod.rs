//! Mail: what is written, how it looks, and who sends it. A mail is proposed together with its cause
//! and lies in the outbox (`janua_storage::outbox`), sealed, until the postman of the node that leads
//! the tenant's shard has sent it; no request waits for a mail server.
//!
//! Where no server is configured, mails are kept for the operator to read, and named on the log. Only
//! there, and only while the cluster is reached by a loopback address, the log shows their links.

pub(crate) mod kept;
mod message;
mod postman;
mod relay;
mod render;
mod texts;

pub use kept::KeptMail;
pub(crate) use message::{Message, Occasion, sent};
pub use message::{Onward, Sent};
pub(crate) use postman::{Postman, PostmanMessage};
pub use relay::{InvalidRelay, Relay};

use crate::refusal::Refusal;
use crate::settings::Mail;

/// How mail leaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server that takes it; without one it is kept to be read.
    pub relay: Option<Relay>,
    /// What links begin with, without a slash at the end.
    pub link_base_url: String,
    /// Whether the log shows the links of mails that are kept.
    pub logs_links: bool,
}

impl Default for Options {
    fn default() -> Self {
        let link_base_url = "http://localhost:3000".into();
        Self { relay: None, link_base_url, logs_links: true }
    }
}

/// The longest name of a product, in characters.
const LONGEST_BRAND: usize = 100;

/// Holds what a tenant has settled of its mails against what mails can be.
pub(crate) fn check(settings: &Mail) -> Result<(), Refusal> {
    if !settings.from.is_empty() && !is_sender(&settings.from) {
        let rule = "must be an address, perhaps with a name: Acme <no-reply@acme.example>";
        return Err(Refusal::field("settings.mail.from", rule));
    }
    let brand = &settings.brand;
    if brand.chars().count() > LONGEST_BRAND || brand.contains(char::is_control) {
        let rule = format!("must be at most {LONGEST_BRAND} characters on one line");
        return Err(Refusal::field("settings.mail.brand", rule));
    }
    if !is_language_tag(&settings.locale) {
        let rule = "must be a language tag such as en or es-MX";
        return Err(Refusal::field("settings.mail.locale", rule));
    }
    Ok(())
}

/// Whether `text` can be a sender.
pub fn is_sender(text: &str) -> bool {
    text.parse::<lettre::message::Mailbox>().is_ok()
}

/// Whether it has the form of a BCP 47 tag; empty for the deployment's language.
fn is_language_tag(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.is_empty() || text.len() <= 35 && text.split('-').all(is_part)
}
