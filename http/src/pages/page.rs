//! A page on its way to a visitor: made from a request, sent by its template.

use std::sync::Arc;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION};
use http::{HeaderValue, StatusCode};
use janua_actors::directory;
use janua_actors::mail::Onward;
use janua_actors::refusal::Refusal;
use janua_actors::settings::{Registration, Settings};
use janua_actors::tenant::TenantRef;
use janua_storage::secret::{Purpose, Secret};
use url::Url;

use super::cookies::Cookie;
use super::faults::Faults;
use super::form;
use super::frame::{Frame, Look};
use super::language::Language;
use super::visit::{Visit, parameter};
use crate::app::App;
use crate::call::Call;
use crate::error::{Code, Error};
use crate::output::{Raw, Response};

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// For how long a form may lie open, seconds.
const FORM_TTL: u64 = 12 * 3600;

/// What a browser has done of which a mailed link tells: asked for it, or registered.
const ASKED: &str = "asked";
const REGISTERED: &str = "registered";

/// A page on its way to a visitor.
pub struct Page {
    /// Whose page it is.
    pub owner: TenantRef,
    /// What the tenant has settled.
    pub settings: Arc<Settings>,
    /// What its template is given.
    pub frame: Frame,
    app: Arc<App>,
    has_cookie: bool,
}

impl Page {
    /// The page at `path` that a request asks for.
    pub async fn of(call: &Call, path: &'static str) -> Result<Self, Error> {
        let owner = call.tenant()?.clone();
        Self::of_tenant(call, owner, &call.query, Some(path)).await
    }

    /// The page that a mailed link opens. Its token names the tenant; what is no token belongs to
    /// the tenant of the request, whose page says so.
    ///
    /// Invariant: an application is led on to by a mailed link only in the browser in which the link was
    /// asked for. Anybody can ask for one, with a state and a challenge that nobody answers; in its
    /// reader's browser the login is theirs all the same, and goes on without.
    pub async fn of_token(call: &Call, token: &Secret, purpose: Purpose) -> Result<Self, Error> {
        let owner = match call.tenant_of(token, purpose).await {
            Ok(owner) => owner,
            Err(error) if error.code() == Code::InvalidToken => call.tenant()?.clone(),
            Err(error) => return Err(error),
        };
        let mut page = Self::of_tenant(call, owner, &call.query, None).await?;
        let mark = parameter(&call.query, "browser");
        let asked_here = mark.is_some_and(|mark| page.bears(ASKED, &mark));
        if !asked_here {
            page.frame.visit = std::mem::take(&mut page.frame.visit).apart();
        }
        Ok(page)
    }

    /// The page that goes on with a visit that began elsewhere.
    pub async fn of_visit(call: &Call, visit: &str) -> Result<Self, Error> {
        let owner = call.tenant()?.clone();
        Self::of_tenant(call, owner, visit, None).await
    }

    /// The page whose form was posted, if this browser was given it.
    pub async fn posted(call: &Call, path: &'static str, token: &str) -> Result<Self, Error> {
        let page = Self::of(call, path).await?;
        let given = page.has_cookie.then_some(page.frame.form_token.as_str());
        form::guard(&call.headers, given, token)?;
        Ok(page)
    }

    async fn of_tenant(
        call: &Call,
        owner: TenantRef,
        visit: &str,
        path: Option<&'static str>,
    ) -> Result<Self, Error> {
        let settings = owner.settings().await?;
        let mut visit = Visit::of(visit, &settings)?;
        owner.check_challenge(visit.challenge.as_ref())?;
        let is_default = call.app.settings.default_tenant.as_ref() == Some(owner.id());
        visit.tenant = Some(owner.id().clone()).filter(|_| !is_default);
        let language = Language::of(visit.language, &call.headers, &settings.mail.locale);
        let cookie = Cookie::Form.of(&call.app, &call.headers);
        let has_cookie = cookie.is_some();
        let draw = || URL_SAFE_NO_PAD.encode(call.app.services.clock.random::<32>());
        let frame = Frame {
            t: language.texts(),
            language,
            look: Look::of(&settings),
            visit,
            path,
            tenant: owner.id().to_string(),
            form_token: cookie.unwrap_or_else(draw),
            faults: Faults::default(),
            shortest_password: settings.passwords.min_length,
            registration_is_open: settings.registration == Registration::Open,
        };
        Ok(Self { owner, settings, frame, app: call.app.clone(), has_cookie })
    }

    /// The session that the browser keeps with the tenant of the page.
    pub async fn session(&self, call: &Call) -> Result<Option<directory::Caller>, Error> {
        let Some(token) = Cookie::Session.of(&call.app, &call.headers) else { return Ok(None) };
        match call.app.directory()?.authenticate(&token).await {
            Ok(caller) => Ok(Some(caller).filter(|caller| caller.tenant.id() == self.owner.id())),
            Err(Refusal::InvalidToken | Refusal::SessionExpired | Refusal::SessionRevoked) => {
                Ok(None)
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// What ties a way through another site to this browser.
    pub fn tie(&self) -> String {
        form::tie(&self.frame.form_token)
    }

    /// The visit as a mailed link goes on with it, in this browser.
    pub fn onward(&self) -> Onward {
        let visit = &self.frame.visit;
        let mark = visit.is_awaited().then(|| form::mark(ASKED, &self.frame.form_token));
        Onward { browser: mark, ..visit.onward() }
    }

    /// The same for the mail that a registration sends.
    pub fn onward_from_registration(&self) -> Onward {
        let mark = form::mark(REGISTERED, &self.frame.form_token);
        Onward { registered: Some(mark), ..self.onward() }
    }

    /// Whether it was in this browser that the account of a mail with this mark was registered.
    pub fn was_registered_here(&self, mark: &str) -> bool {
        self.bears(REGISTERED, mark)
    }

    fn bears(&self, done: &str, mark: &str) -> bool {
        self.has_cookie && form::mark(done, &self.frame.form_token) == mark
    }

    /// What answers the challenge of a way through another site that this browser has begun.
    pub fn verifier(&self) -> String {
        form::verifier(&self.frame.form_token)
    }

    /// Refuses to go on where another browser has begun: somebody else would be signed in.
    pub fn check_tie(&self, tie: &str) -> Result<(), Error> {
        if self.has_cookie && self.tie() == tie { Ok(()) } else { Err(form::stale()) }
    }

    /// Takes in what was wrong; the error itself comes back where its visitor can do nothing
    /// about it. The status that the page is then sent with.
    pub fn takes_fault(&mut self, error: Error) -> Result<StatusCode, Error> {
        let status = error.code().status();
        self.frame.faults = Faults::explain(error, self.frame.t, &self.settings)?;
        Ok(status)
    }

    /// The page, as its template shows it.
    pub fn show(&self, status: StatusCode, template: &impl Template) -> Result<Raw, Error> {
        let logo = self.frame.look.logo.as_deref();
        let mut response = html(status, self.frame.language, logo, template)?;
        if !self.has_cookie {
            Cookie::Form.set(&self.app, &mut response, &self.frame.form_token, FORM_TTL);
        }
        Ok(Raw(response))
    }

    /// The way to another page of the same visit, after a form was acted on.
    pub fn go_to(&self, path: &str) -> Result<Response, Error> {
        see_other(&self.frame.visit.to(path))
    }

    /// The same with a parameter of its own.
    pub fn go_to_with(&self, path: &str, parameter: &str) -> Result<Response, Error> {
        see_other(&self.frame.visit.with(path, parameter))
    }
}

/// 303: what a form has done is not done again when its outcome is shown again.
pub fn see_other(address: &str) -> Result<Response, Error> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(address).map_err(|_| Error::internal())?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// A page's answer. Everything on it comes from here, but the logo; nothing is inline; nobody may
/// frame it, and its forms lead nowhere else.
pub fn html(
    status: StatusCode,
    language: Language,
    logo: Option<&str>,
    template: &impl Template,
) -> Result<Response, Error> {
    let text = template.render().map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        Error::internal()
    })?;
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(20);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    let logo = logo.and_then(|logo| Url::parse(logo).ok());
    let logo = logo.map(|logo| format!(" {}", logo.origin().ascii_serialization()));
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:{}; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        logo.unwrap_or_default()
    );
    let policy = HeaderValue::try_from(policy).map_err(|_| Error::internal())?;
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}
