//! Sending a browser to a provider.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use janua_storage::capability::oauth::{self, Begin, Flow, Purpose};
use janua_storage::command::{Command, Reply};
use janua_storage::pkce::Challenge;
use janua_storage::secret::{self, Secret};

use crate::capability::sessions::{text, unexpected};
use crate::context::Context;
use crate::directory::Caller;
use crate::hashing::Plaintext;
use crate::idempotency::{Attempt, First};
use crate::pkce;
use crate::redirect::{ReturnUrl, not_listed};
use crate::refusal::Refusal;
use crate::tenant::TenantRef;
use crate::upstream::{Departure, Provider};

/// How long a browser may be away, seconds.
pub const FLOW_SECONDS: u64 = 600;

/// Where hosted pages pick up what has come of a flow, below the public address.
pub const HOSTED_PAGE: &str = "/ui/callback";

/// The longest that a page may ask to see again: hosted ones put the whole visit in it.
const LONGEST_PAGE_STATE: usize = 4096;

/// The longest list of scopes.
const LONGEST_SCOPE: usize = 512;

/// What a page asks for.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// The page that the browser is to be led back to.
    pub redirect_uri: Option<String>,
    /// What the page wants to see again.
    pub page_state: Option<String>,
    /// Scopes in place of the usual ones, separated by spaces.
    pub scope: Option<String>,
    /// What the page answers when it exchanges the code that it is led back with.
    pub challenge: Option<Challenge>,
}

/// A browser may go.
#[derive(Clone)]
pub struct Started {
    /// Where to.
    pub location: String,
    /// Names the flow among those of the browser.
    pub flow: String,
    /// What the browser shows when it is back.
    pub browser: Secret,
}

/// Names a flow by its `state`, of which the name tells nothing.
pub(super) fn flow_name(state: &Secret) -> String {
    state.hash().0[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl TenantRef {
    /// Sends a browser to `provider`, to log in there (RFC 6749 §4.1.1).
    pub async fn start_oauth(
        &self,
        context: &Context,
        provider: &str,
        start: Start,
    ) -> Result<Started, Refusal> {
        let provider = self.provider(provider).await?;
        self.depart(context, &provider, start, Purpose::LogIn, First::default()).await
    }

    /// Sends the caller's browser to `provider`, to link it. A session that is not fresh must show
    /// its owner's password.
    pub async fn start_link(
        &self,
        context: &Context,
        caller: &Caller,
        provider: &str,
        start: Start,
        password: Option<Plaintext>,
    ) -> Result<Started, Refusal> {
        let provider = self.provider(provider).await?;
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => match answer.secrets {
                Some(secrets) => return Started::recorded(secrets),
                None => return Err(unexpected(&answer.reply)),
            },
            Attempt::First(first) => first,
        };
        self.require_fresh(context, caller, password).await?;
        let purpose = Purpose::Link { user: caller.user(), session: caller.session() };
        self.depart(context, &provider, start, purpose, first).await
    }

    /// Refuses a session whose owner has neither logged in just now nor shows their password.
    pub(crate) async fn require_fresh(
        &self,
        context: &Context,
        caller: &Caller,
        password: Option<Plaintext>,
    ) -> Result<(), Refusal> {
        if let Some(password) = password.filter(|_| caller.live.user.password.is_some()) {
            self.reauthenticate(context, caller, password).await?;
            return Ok(());
        }
        let age = self.0.node.clock.now().since(caller.live.session.created);
        if age < self.0.node.fresh_for { Ok(()) } else { Err(Refusal::ReauthenticationRequired) }
    }

    async fn depart(
        &self,
        context: &Context,
        provider: &Provider,
        start: Start,
        purpose: Purpose,
        first: First,
    ) -> Result<Started, Refusal> {
        self.check_challenge(start.challenge.as_ref())?;
        let page = self.page(provider, start.redirect_uri.as_deref()).await?;
        let page_state = short(start.page_state, "state", LONGEST_PAGE_STATE)?;
        let scopes = short(start.scope, "scope", LONGEST_SCOPE)?.map(scopes).transpose()?;
        let node = &self.0.node;
        let issuer = node.upstream.issuer(provider).await?;
        let redirect_uri = provider.redirect_uri(&page, &node.issuer);
        let state = Secret::new(secret::Purpose::State, self.number(), &node.clock.random());
        let browser = Secret::given(&URL_SAFE_NO_PAD.encode(node.clock.random::<32>()));
        let nonce = URL_SAFE_NO_PAD.encode(node.clock.random::<32>());
        let verifier = Secret::given(&URL_SAFE_NO_PAD.encode(node.clock.random::<32>()));
        let departure = Departure {
            redirect_uri: &redirect_uri,
            state: &state,
            nonce: &nonce,
            verifier: verifier.expose(),
            scopes,
        };
        let location = node.upstream.departure(provider, departure).await?.to_string();
        let kept = Kept { verifier: verifier.expose(), nonce: &nonce, challenge: start.challenge };
        let kept = kept.to_text();
        let secrets =
            self.held().await?.key.seal(node.clock.random(), &state.hash().0, kept.as_bytes())?;
        let flow = Flow {
            provider: provider.name.clone(),
            issuer,
            secrets,
            redirect_uri,
            return_to: page.as_str().to_owned(),
            page_state,
            browser: browser.hash(),
            purpose,
            claim: None,
        };
        let started = Started { location, flow: flow_name(&state), browser };
        let begin = Begin { state: state.hash(), flow };
        let command = Command::Oauth(oauth::Command::Begin(Box::new(begin)));
        let ticket = self.ticket(&first, Some(&started.to_record())).await?;
        let answer = self.propose(context.origin(), ticket, command).await?;
        match (answer.reply, answer.secrets) {
            (_, Some(recorded)) => Started::recorded(recorded),
            (Reply::Done, None) => Ok(started),
            (reply, None) => Err(unexpected(&reply)),
        }
    }

    /// The page that a browser is led back to: one of the tenant's, one that is registered with the
    /// provider, or the hosted one.
    pub(super) async fn page(
        &self,
        provider: &Provider,
        given: Option<&str>,
    ) -> Result<ReturnUrl, Refusal> {
        let settings = self.settings().await?;
        let hosted = format!("{}{HOSTED_PAGE}", self.0.node.issuer);
        let listed = settings.redirect_urls.iter().chain(&provider.redirect_uris);
        let listed = listed.chain([&hosted]);
        let given = given.ok_or_else(|| Refusal::field("redirect_uri", "is required"))?;
        ReturnUrl::among(listed.map(String::as_str), given)
            .ok_or_else(|| not_listed("redirect_uri"))
    }
}

/// What is kept of a flow under seal. None of it holds a space.
pub(super) struct Kept<'a> {
    /// The verifier that the provider is shown.
    pub verifier: &'a str,
    /// What the provider's ID token must name.
    pub nonce: &'a str,
    /// What our page answers in its turn.
    pub challenge: Option<Challenge>,
}

impl<'a> Kept<'a> {
    fn to_text(&self) -> zeroize::Zeroizing<String> {
        let Self { verifier, nonce, challenge } = self;
        let challenge =
            challenge.as_ref().map(|challenge| format!(" {}", pkce::written(challenge)));
        format!("{verifier} {nonce}{}", challenge.unwrap_or_default()).into()
    }

    pub fn of(text: &'a str) -> Result<Self, Refusal> {
        let mut parts = text.split(' ');
        let (Some(verifier), Some(nonce)) = (parts.next(), parts.next()) else {
            return Err(Refusal::unavailable("the secrets of a flow are not whole"));
        };
        let challenge = parts.next().map(|text| pkce::challenge(Some(text), Some(pkce::METHOD)));
        Ok(Self { verifier, nonce, challenge: challenge.transpose()?.flatten() })
    }
}

impl Started {
    /// As an idempotency record keeps it: none of it holds a space.
    fn to_record(&self) -> zeroize::Zeroizing<String> {
        format!("{} {} {}", self.flow, self.browser.expose(), self.location).into()
    }

    fn recorded(recorded: Vec<u8>) -> Result<Self, Refusal> {
        let recorded = text(recorded)?;
        let mut parts = recorded.expose().splitn(3, ' ');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(flow), Some(browser), Some(location)) => Ok(Self {
                location: location.into(),
                flow: flow.into(),
                browser: Secret::given(browser),
            }),
            _ => Err(Refusal::unavailable("a recorded flow is not whole")),
        }
    }
}

fn short(text: Option<String>, field: &str, most: usize) -> Result<Option<String>, Refusal> {
    match text {
        Some(text) if text.len() > most => {
            Err(Refusal::field(field, format!("must have at most {most} bytes")))
        }
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}

/// RFC 6749 §3.3.
fn scopes(text: String) -> Result<Vec<String>, Refusal> {
    let may = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !text.bytes().all(|byte| byte == b' ' || may(byte)) {
        return Err(Refusal::field("scope", "must be scopes separated by spaces"));
    }
    Ok(text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect())
}
