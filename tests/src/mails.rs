//! The mails that a node without a mail server keeps, as its operator reads them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::node::{Api, Node, answer};
use crate::response::Response;

/// A mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// As text.
    pub text: String,
    /// As HTML.
    pub html: String,
    /// Where it leads.
    pub link: String,
}

impl Mail {
    fn of(mail: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Self {
            to: text(&mail["to"]),
            subject: text(&mail["subject"]),
            text: text(&mail["text"]),
            html: text(&mail["html"]),
            link: text(&mail["links"][0]),
        }
    }

    /// The token in its link.
    #[track_caller]
    pub fn token(&self) -> String {
        token_in(&self.link)
    }
}

/// The token in a link.
#[track_caller]
pub fn token_in(link: &str) -> String {
    let (_, token) = link.split_once("token=").unwrap_or_else(|| panic!("no token in {link}"));
    token.split('&').next().expect("a first part").to_owned()
}

impl Api {
    /// The newest mails, newest first, as the operator with this token is shown them.
    pub async fn mails_shown_to(&self, operator: &str) -> Vec<Mail> {
        let asked = self.request(Method::GET, "/admin/outbox?limit=100").bearer_auth(operator);
        let answer = answer(asked).await.is_yes(200);
        let mails = answer.data()["mails"].as_array().expect("a list").clone();
        mails.iter().map(Mail::of).collect()
    }
}

impl Node {
    /// A request of its operator.
    pub async fn operator(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let request = self.api.request(method, path).bearer_auth(self.keys().operator);
        answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// Changes settings of the default tenant.
    pub async fn settles(&self, settings: Value) {
        let body = Some(json!({ "settings": settings }));
        self.operator(Method::PATCH, "/admin/tenants/default", body).await.is_yes(200);
    }

    /// The newest mails, newest first.
    pub async fn mails(&self) -> Vec<Mail> {
        self.api.mails_shown_to(&self.keys().operator).await
    }

    /// The mails to an address, newest first.
    pub async fn mails_to(&self, address: &str) -> Vec<Mail> {
        let mails = self.mails().await.into_iter();
        mails.filter(|mail| mail.to == address).collect()
    }

    /// The newest mail to an address.
    pub async fn mail_to(&self, address: &str) -> Mail {
        let newest = self.mails_to(address).await.into_iter().next();
        newest.unwrap_or_else(|| panic!("there is no mail to {address}"))
    }
}
