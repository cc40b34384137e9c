//! What a person sees in place of the envelope when a page's request is refused on its way.

use http::StatusCode;
use http::header::{ACCEPT, RETRY_AFTER};

use super::frame::Frame;
use super::language::Language;
use super::notice::{Link, Notice};
use super::page::{html, see_other};
use super::visit::parameter;
use crate::asked::Asked;
use crate::endpoint::{Access, Endpoint};
use crate::error::{Code, Error};
use crate::output::Response;

/// Somebody who looks at a page.
#[derive(Debug)]
pub struct Reader {
    language: Language,
    sign_in: String,
    needs_session: bool,
}

impl Reader {
    /// The reader of what an endpoint answers, if it is a person and not a program: a browser says
    /// that it takes HTML, of a page or of where it is led by links and redirects.
    pub fn of(endpoint: &Endpoint, asked: &Asked) -> Option<Self> {
        let accepts = asked.headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let is_person = accepts.flat_map(|line| line.split(',')).any(|range| {
            let essence = range.split(';').next().unwrap_or_default();
            essence.trim().eq_ignore_ascii_case("text/html")
        });
        if !(endpoint.is_page() || endpoint.spends) || !is_person {
            return None;
        }
        let query = asked.uri.query().unwrap_or_default();
        let chosen = parameter(query, "lang").and_then(|tag| Language::of_tag(&tag));
        // A sign-in goes on with the visit of a page, and with no token or code.
        let is_visit = endpoint.is_page() && !endpoint.spends;
        let query = Some(query).filter(|query| !query.is_empty() && !query.contains("token="));
        let query = query.filter(|_| is_visit);
        let sign_in = query.map_or("/ui/sign-in".into(), |query| format!("/ui/sign-in?{query}"));
        let language = Language::of(chosen, &asked.headers, "");
        Some(Self { language, sign_in, needs_session: endpoint.access == Access::Session })
    }

    /// The page that tells what is wrong; where it is that nobody is signed in, the one to sign in.
    pub fn told(&self, error: Error) -> Response {
        let is_anonymous = error.code().status() == StatusCode::UNAUTHORIZED;
        let told = if self.needs_session && is_anonymous {
            see_other(&self.sign_in)
        } else {
            self.page(&error)
        };
        told.unwrap_or_else(|_| error.into_response())
    }

    fn page(&self, error: &Error) -> Result<Response, Error> {
        let t = self.language.texts();
        let text = match error.code() {
            Code::ResourceNotFound => t.not_found,
            Code::RateLimitExceeded => t.too_many,
            Code::ServiceUnavailable => t.unavailable,
            Code::InternalError => t.broken,
            Code::InsufficientPermissions => t.stale_form,
            Code::AccountSuspended => t.not_allowed,
            _ => t.bad_request,
        };
        let frame = Frame::plain(self.language);
        // Where the address itself is at fault, its way on would be too.
        let address = if error.code() == Code::InsufficientPermissions {
            &self.sign_in
        } else {
            "/ui/sign-in"
        };
        let link = Link { address: address.into(), label: t.start_again.into() };
        let page = Notice::new(&frame, t.problem_title, [text]).with(link);
        let mut response = html(error.code().status(), self.language, None, &page)?;
        if let Some(wait) = error.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
        }
        Ok(response)
    }
}
