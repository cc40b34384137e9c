//! The cookies of the pages: no script can read one, and none is sent by a foreign site's form.

use http::HeaderMap;
use http::header::SET_COOKIE;

use crate::app::App;
use crate::cookies;
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
    const fn name(self) -> &'static str {
        match self {
            Self::Form => "janua-form",
            Self::Session => "janua-session",
            Self::SecondFactor => "janua-second-factor",
        }
    }

    /// What a request brings of it.
    pub fn of(self, app: &App, headers: &HeaderMap) -> Option<String> {
        let value = cookies::get(headers, &cookies::name(self.name(), app.https));
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// Lets the browser keep it for so many seconds.
    pub fn set(self, app: &App, response: &mut Response, value: &str, seconds: u64) {
        let name = cookies::name(self.name(), app.https);
        if let Some(mut line) = cookies::set(&name, value, seconds, app.https) {
            line.set_sensitive(true);
            response.headers_mut().append(SET_COOKIE, line);
        }
    }

    /// Takes it back.
    pub fn clear(self, app: &App, response: &mut Response) {
        self.set(app, response, "", 0);
    }
}
