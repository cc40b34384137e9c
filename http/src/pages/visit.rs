//! What a visit carries from page to page, in the address of each: whose page it is, where the visit
//! ends, and in which language. Nothing of it is believed: the tenant must exist, and where a login
//! may lead is settled by the tenant.

use janua_actors::mail::Onward;
use janua_actors::pkce;
use janua_actors::redirect::{self, ReturnUrl};
use janua_actors::settings::Settings;
use janua_storage::ids::TenantId;
use janua_storage::pkce::Challenge;
use janua_storage::secret::Secret;
use url::{Url, form_urlencoded};

use super::language::Language;
use crate::error::{Detail, Error};
use crate::rules;

/// The longest state that an application may have handed back to it.
const LONGEST_STATE: usize = 512;

/// A visit, as its address tells it.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// The tenant, where it is not the default one.
    pub tenant: Option<TenantId>,
    /// Where the visit ends: one of the tenant's own addresses.
    pub redirect: Option<ReturnUrl>,
    /// The application that the visitor goes on to by themselves: what it waits for is waited for in
    /// another browser, so that no code is for it here.
    pub application: Option<ReturnUrl>,
    /// What the application wants back with the code (RFC 6749 §4.1.1).
    pub state: Option<String>,
    /// What the application answers when it exchanges the code (RFC 7636).
    pub challenge: Option<Challenge>,
    /// The language that the visitor has chosen.
    pub language: Option<Language>,
    /// The provider that a page is about.
    pub provider: Option<String>,
}

/// The value of a parameter; one that stands twice says nothing.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    let (_, value) = values.next()?;
    values.next().is_none().then(|| value.into_owned()).filter(|value| !value.is_empty())
}

impl Visit {
    /// The visit of a request to a tenant with these settings.
    pub fn of(query: &str, settings: &Settings) -> Result<Self, Error> {
        let listed = |name: &str| {
            let given = parameter(query, name);
            given.map(|given| redirect::checked(settings, name, &given)).transpose()
        };
        let state = parameter(query, "state");
        if state.as_ref().is_some_and(|state| state.len() > LONGEST_STATE) {
            let rule = "must have at most 512 bytes";
            return Err(Error::invalid(vec![Detail::new("state", rule)]));
        }
        Ok(Self {
            tenant: parameter(query, "tenant").and_then(|id| id.parse().ok()),
            redirect: listed("redirect_uri")?,
            application: listed("application")?,
            state,
            challenge: challenge(query)?,
            language: parameter(query, "lang").and_then(|tag| Language::of_tag(&tag)),
            provider: parameter(query, "provider").filter(|name| rules::is_provider_name(name)),
        })
    }

    /// The address of another page of the same visit.
    pub fn to(&self, path: &str) -> String {
        self.address(path, self.language)
    }

    /// The same with a parameter of its own, such as `done=1`.
    pub fn with(&self, path: &str, parameter: &str) -> String {
        let address = self.to(path);
        let separator = if address.contains('?') { '&' } else { '?' };
        format!("{address}{separator}{parameter}")
    }

    /// The address of a page in another language.
    pub fn in_language(&self, path: &str, language: Language) -> String {
        self.address(path, Some(language))
    }

    /// Where the application hears of the login.
    pub fn end(&self, code: &Secret) -> Option<String> {
        let state = self.state.iter().map(|state| ("state", state.as_str()));
        let told = [("code", code.expose())].into_iter().chain(state);
        Some(self.redirect.as_ref()?.telling(told))
    }

    /// The visit as a mailed link goes on with it.
    pub fn onward(&self) -> Onward {
        Onward {
            redirect_uri: self.redirect.as_ref().map(|redirect| redirect.as_str().to_owned()),
            state: self.state.clone(),
            challenge: self.challenge,
            language: self.language.map(|language| language.tag().to_owned()),
            ..Onward::default()
        }
    }

    /// The same visit in a browser in which it did not begin: it does not end where somebody waits for
    /// their own state, or for a code that answers their challenge.
    pub fn apart(self) -> Self {
        if !self.is_awaited() {
            return self;
        }
        let application = self.redirect;
        Self { application, redirect: None, state: None, challenge: None, ..self }
    }

    /// Whether the application awaits something that only one browser knows.
    pub fn is_awaited(&self) -> bool {
        self.state.is_some() || self.challenge.is_some()
    }

    /// Where the application begins, and its host: the page that a login would lead back to means
    /// nothing without one.
    pub fn application(&self) -> Option<(String, String)> {
        let url = Url::parse(self.application.as_ref()?.as_str()).ok()?;
        Some((url.join("/").ok()?.into(), url.host_str()?.to_owned()))
    }

    /// The same visit, about a provider.
    pub fn about(&self, provider: &str) -> Self {
        Self { provider: Some(provider.into()), ..self.clone() }
    }

    /// The visit in one text, from which another request goes on with it.
    pub fn query(&self) -> String {
        self.to("").trim_start_matches('?').to_owned()
    }

    fn address(&self, path: &str, language: Option<Language>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(tenant) = &self.tenant {
            query.append_pair("tenant", tenant.as_str());
        }
        if let Some(redirect) = &self.redirect {
            query.append_pair("redirect_uri", redirect.as_str());
        }
        if let Some(application) = &self.application {
            query.append_pair("application", application.as_str());
        }
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        if let Some(challenge) = &self.challenge {
            query.append_pair("code_challenge", &pkce::written(challenge));
            query.append_pair("code_challenge_method", pkce::METHOD);
        }
        if let Some(language) = language {
            query.append_pair("lang", language.tag());
        }
        if let Some(provider) = &self.provider {
            query.append_pair("provider", provider);
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// What the application answers when it exchanges the code. One that stands twice is not left out: the
/// code would be given to whoever sees it.
fn challenge(query: &str) -> Result<Option<Challenge>, Error> {
    let one = |name: &str| {
        let mut values =
            form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.into_owned());
        match values.next() {
            Some(_) => Err(Error::invalid(vec![Detail::new(name, "stands twice")])),
            None => Ok(value),
        }
    };
    let (text, method) = (one("code_challenge")?, one("code_challenge_method")?);
    Ok(pkce::challenge(text.as_deref(), method.as_deref())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { redirect_urls: vec!["https://app.example/back".into()], ..Settings::default() }
    }

    fn visit(query: &str) -> Result<Visit, Error> {
        Visit::of(query, &settings())
    }

    #[test]
    fn a_visit_goes_on_from_page_to_page() {
        let query =
            "tenant=ten_1&redirect_uri=https%3A%2F%2Fapp.example%2Fback&state=a%26b&lang=es";
        assert_eq!(visit(query).unwrap().to("/ui/sign-up"), format!("/ui/sign-up?{query}"));
        assert_eq!(visit("token=x").unwrap().to("/ui/mfa"), "/ui/mfa");
    }

    #[test]
    fn a_visit_ends_where_the_tenant_lets_it() {
        let code = Secret::given("code_1_x");
        let query = "redirect_uri=https://app.example/back&state=s%20t";
        let end = visit(query).unwrap().end(&code).unwrap();
        assert_eq!(end, "https://app.example/back?code=code_1_x&state=s+t");
        for elsewhere in [
            "https://evil.example/back",
            "//evil.example",
            "/\\evil.example",
            "https://app.example@evil.example/back",
            "https://app.example/back/../evil",
            "javascript:alert(1)",
        ] {
            let query: String = form_urlencoded::Serializer::new(String::new())
                .append_pair("redirect_uri", elsewhere)
                .finish();
            assert!(visit(&query).is_err(), "{elsewhere}");
        }
    }

    #[test]
    fn a_challenge_goes_along_and_is_never_lost_on_the_way() {
        let text = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let query = format!("state=s&code_challenge={text}&code_challenge_method=S256");
        let visit_with = visit(&query).unwrap();
        assert_eq!(visit_with.to("/ui/mfa"), format!("/ui/mfa?{query}"));
        assert_eq!(visit_with.onward().challenge, visit_with.challenge);
        for wrong in [
            format!("code_challenge={text}"),
            format!("code_challenge={text}&code_challenge_method=plain"),
            "code_challenge_method=S256".into(),
            "code_challenge=&code_challenge_method=S256".into(),
            format!("{query}&code_challenge={text}"),
            format!("{query}&code_challenge_method=S256"),
        ] {
            assert!(visit(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_visit_in_another_browser_ends_at_no_application() {
        let challenge = "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        for waits in ["state=s", &format!("{challenge}&code_challenge_method=S256")] {
            let query = format!("redirect_uri=https://app.example/back&{waits}&lang=es");
            let apart = visit(&query).unwrap().apart();
            let application = "application=https%3A%2F%2Fapp.example%2Fback";
            assert_eq!(apart.to("/ui/mfa"), format!("/ui/mfa?{application}&lang=es"));
            let begins = ("https://app.example/".into(), "app.example".into());
            assert_eq!(apart.application(), Some(begins));
        }
        let plain = "redirect_uri=https%3A%2F%2Fapp.example%2Fback&lang=es";
        assert_eq!(visit(plain).unwrap().apart().to("/"), format!("/?{plain}"));
        assert!(visit("application=https://evil.example/").is_err());
    }

    #[test]
    fn what_stands_twice_is_not_chosen_from() {
        assert_eq!(parameter("token=a&token=b", "token"), None);
        assert_eq!(parameter("token=a", "token").as_deref(), Some("a"));
    }
}
