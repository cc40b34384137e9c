//! Providers that vouch for users, as a node asks them. What they say is checked here in full; what
//! follows from it is decided elsewhere.

mod documents;
mod github;
mod oidc;
mod provider;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use janua_storage::capability::oauth::Account;
use janua_storage::secret::Secret;
use oauth2::http::StatusCode;
use oauth2::{AsyncHttpClient, PkceCodeVerifier};
use tokio::time::timeout;
use url::Url;

pub use provider::{Configured, KNOWN, Kind, Provider, name_of};

use self::documents::Documents;
use crate::clock::SharedClock;
use crate::outbound::{NoAnswer, Outbound, Request, Response};
use crate::refusal::Refusal;

/// How long a whole conversation with a provider may take; less than a request may.
const CONVERSATION: Duration = Duration::from_secs(10);

/// What a node needs to talk with providers.
pub struct Upstream {
    /// The providers of the deployment.
    pub configured: BTreeMap<String, Configured>,
    outbound: Arc<Outbound>,
    documents: Documents,
    clock: SharedClock,
}

/// What goes out with a browser.
pub struct Departure<'a> {
    /// Where the provider is to send it back to.
    pub redirect_uri: &'a str,
    /// `state`
    pub state: &'a Secret,
    /// `nonce`
    pub nonce: &'a str,
    /// The PKCE verifier, whose challenge goes out.
    pub verifier: &'a str,
    /// The scopes that are asked for, in place of the usual ones.
    pub scopes: Option<Vec<String>>,
}

/// What came back with it, and what was kept meanwhile.
pub struct Return<'a> {
    /// Where the provider was told to send it back to.
    pub redirect_uri: &'a str,
    /// `code`
    pub code: &'a str,
    /// `nonce`
    pub nonce: &'a str,
    /// The PKCE verifier.
    pub verifier: &'a str,
}

impl Upstream {
    /// Ready to talk.
    pub fn new(
        configured: BTreeMap<String, Configured>,
        outbound: Arc<Outbound>,
        clock: SharedClock,
    ) -> Self {
        let documents = Documents::new(clock.clone());
        Self { configured, outbound, documents, clock }
    }

    /// Who is expected to answer.
    pub async fn issuer(&self, provider: &Provider) -> Result<String, Refusal> {
        match &provider.kind {
            Kind::GitHub { web, .. } => Ok(web.to_string()),
            Kind::OpenId { .. } => {
                let found = in_time(self.documents.of(provider, &self.outbound)).await?;
                Ok(found.metadata.issuer().to_string())
            }
        }
    }

    /// Whether the provider says in its answers who it is (RFC 9207 §3).
    pub async fn names_itself(&self, provider: &Provider) -> Result<bool, Refusal> {
        match &provider.kind {
            Kind::GitHub { .. } => Ok(false),
            Kind::OpenId { .. } => {
                let found = in_time(self.documents.of(provider, &self.outbound)).await?;
                Ok(found.metadata.additional_metadata().names_itself)
            }
        }
    }

    /// Where a browser is sent to.
    pub async fn departure(
        &self,
        provider: &Provider,
        departure: Departure<'_>,
    ) -> Result<Url, Refusal> {
        match &provider.kind {
            Kind::GitHub { .. } => github::departure(provider, departure),
            Kind::OpenId { .. } => {
                let found = in_time(self.documents.of(provider, &self.outbound)).await?;
                oidc::departure(provider, &found, departure)
            }
        }
    }

    /// Whom a code stands for.
    pub fn account<'a>(
        &'a self,
        provider: &'a Provider,
        returned: Return<'a>,
    ) -> BoxFuture<'a, Result<Account, Refusal>> {
        match &provider.kind {
            Kind::GitHub { .. } => in_time(github::account(self, provider, returned)).boxed(),
            Kind::OpenId { .. } => in_time(oidc::account(self, provider, returned)).boxed(),
        }
    }

    fn line<'a>(&'a self, provider: &'a Provider, read: fn(Response) -> Response) -> Line<'a> {
        Line { outbound: &self.outbound, provider, read }
    }
}

/// How the libraries reach a provider.
struct Line<'a> {
    outbound: &'a Outbound,
    provider: &'a Provider,
    /// What is made of each answer.
    read: fn(Response) -> Response,
}

impl<'c> AsyncHttpClient<'c> for Line<'_> {
    type Error = NoAnswer;
    type Future = BoxFuture<'c, Result<Response, NoAnswer>>;

    fn call(&'c self, request: Request) -> Self::Future {
        let (place, read) = (request.uri().host().unwrap_or_default().to_owned(), self.read);
        let answer = self.outbound.send(request, self.provider.host.as_deref());
        answer.map(move |answer| judged(answer?, place).map(read)).boxed()
    }
}

/// Who is busy or broken has judged nothing, whatever the body says: it can be asked again.
fn judged(answer: Response, place: String) -> Result<Response, NoAnswer> {
    let status = answer.status();
    let is_none = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    if is_none { Err(NoAnswer::Status(place, status.as_u16())) } else { Ok(answer) }
}

async fn in_time<T>(talk: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let late = || Refusal::unavailable("a provider took too long");
    timeout(CONVERSATION, talk).await.unwrap_or_else(|_| Err(late()))
}

impl From<NoAnswer> for Refusal {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Busy => Self::Overloaded { retry_after: Duration::from_secs(1) },
            other => Self::unavailable(other.to_string()),
        }
    }
}

/// What a provider's token endpoint said no to, as a client hears it (RFC 6749 §5.2).
fn token_refused(provider: &Provider, code: &str) -> Refusal {
    let name = &provider.name;
    match code {
        // Ours to put right, or theirs: not the user's.
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "incorrect_client_credentials" => {
            tracing::warn!(provider = %name, code, "a provider does not take our client");
            Refusal::unavailable(format!("the provider {name} does not take our client: {code}"))
        }
        "server_error" | "temporarily_unavailable" => {
            Refusal::unavailable(format!("the provider {name} is unavailable: {code}"))
        }
        _ => Refusal::InvalidCredentials,
    }
}

/// What a provider said that cannot be right. The reason is for the operator: it may be an attack.
fn distrusted(provider: &Provider, reason: impl std::fmt::Display) -> Refusal {
    tracing::warn!(provider = %provider.name, %reason, "what a provider said was refused");
    Refusal::InvalidCredentials
}

/// A text of the provider that may stand in a profile: of one line, and not too long.
fn plain(text: Option<&str>, longest: usize) -> Option<String> {
    let text: String = text?.chars().filter(|letter| !letter.is_control()).take(longest).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A name, as profiles have them.
fn name(text: Option<&str>) -> Option<String> {
    plain(text, 100)
}

/// A picture, as profiles have them.
fn picture(text: Option<&str>) -> Option<String> {
    let url = Url::parse(text?).ok().filter(|url| url.scheme() == "https" && url.has_host())?;
    (url.as_str().len() <= 2048).then(|| url.into())
}

/// The subject, if it may be one (OpenID Connect Core §2).
fn subject(provider: &Provider, text: &str) -> Result<String, Refusal> {
    if text.is_empty() || text.len() > 255 {
        return Err(distrusted(provider, "the subject is empty or too long"));
    }
    Ok(text.to_owned())
}

fn verifier(text: &str) -> PkceCodeVerifier {
    PkceCodeVerifier::new(text.to_owned())
}
