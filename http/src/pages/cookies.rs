//! The cookies of the pages: none can be read by a script, none is sent by a foreign site's form.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::app::App;
use crate::output::Response;

/// A cookie that the pages know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// Ties a form to the browser that was given it.
    Form,
    /// The access token of the session in which the account page is shown.
    Session,
    /// A first factor that was shown, while the second is asked for: its temporary token, and which
    /// factors may follow.
    SecondFactor,
}

impl Cookie {
    /// Its name. Behind TLS it is one that no other host and no plain connection can set
    /// (RFC 6265bis §4.1.3.2).
    const fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Self::Form, true) => "__Host-janua-form",
            (Self::Form, false) => "janua-form",
            (Self::Session, true) => "__Host-janua-session",
            (Self::Session, false) => "janua-session",
            (Self::SecondFactor, true) => "__Host-janua-second-factor",
            (Self::SecondFactor, false) => "janua-second-factor",
        }
    }

    /// What a request brings of it.
    pub fn of(self, app: &App, headers: &HeaderMap) -> Option<String> {
        let name = self.name(app.https);
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
            let (known, value) = pair.trim().split_once('=')?;
            (known == name).then_some(value)
        });
        pairs.next().filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Lets the browser keep it: for so many seconds, else until it is closed.
    pub fn set(self, app: &App, response: &mut Response, value: &str, seconds: Option<u64>) {
        let lasting = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let secure = if app.https { "; Secure" } else { "" };
        let name = self.name(app.https);
        let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{lasting}");
        if let Ok(mut line) = HeaderValue::try_from(line) {
            line.set_sensitive(true);
            response.headers_mut().append(SET_COOKIE, line);
        }
    }

    /// Takes it back.
    pub fn clear(self, app: &App, response: &mut Response) {
        self.set(app, response, "", Some(0));
    }
}
