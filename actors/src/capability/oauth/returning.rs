//! A browser that comes back from a provider (RFC 6749 §4.1.2).
//!
//! Decision: who may end a flow. A page that the provider sends the browser to itself posts code and
//! state, and answers for having asked for them; a browser that is sent here must show the cookie that
//! it was given at the start, so that nobody can be logged in to somebody else's account by a link
//! (login CSRF, RFC 9700 §4.7). A link is completed only in the session that asked for it: with its
//! access token, or with the cookie.

use janua_storage::capability::oauth::{
    self, Account, Claim, Flow, Link, Linking, Offer, Purpose, Release,
};
use janua_storage::command::{Command, Reply};
use janua_storage::idempotency::Ticket;
use janua_storage::ids::{SessionId, UserId};
use janua_storage::one_time::Content;
use janua_storage::pkce::Proof;
use janua_storage::secret::{self, Secret};
use sha2::{Digest, Sha256};

use super::Arrived;
use super::start::{Kept, flow_name};
use crate::capability::sessions::{text, unexpected};
use crate::context::Context;
use crate::directory::Caller;
use crate::idempotency::{Attempt, First};
use crate::redirect::ReturnUrl;
use crate::refusal::Refusal;
use crate::tenant::{Answer, TenantRef};
use crate::upstream::{Provider, Return};

/// What a browser brings back.
#[derive(Debug, Clone)]
pub struct Returned {
    /// `state`
    pub state: Secret,
    /// What the provider says.
    pub word: Word,
    /// `iss`: who says so (RFC 9207).
    pub issuer: Option<String>,
}

/// What a provider says by a browser.
#[derive(Debug, Clone)]
pub enum Word {
    /// `code`
    Code(Secret),
    /// `error` (RFC 6749 §4.1.2.1)
    Error(String),
}

/// Who ends a flow.
pub struct By {
    /// What is shown for the challenge that the flow began with (RFC 7636 §4.5).
    pub proof: Proof,
    /// Who is signed in there, where somebody is.
    pub caller: Option<Caller>,
}

/// The page that a browser is led back to, and what it is told.
#[derive(Debug)]
pub struct Led {
    /// The page.
    pub page: ReturnUrl,
    /// What it wanted to see again.
    pub page_state: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a flow, as far as its page is told.
#[derive(Debug)]
pub enum Outcome {
    /// A login or a link, to be picked up by this code.
    Code(Secret),
    /// The provider is linked.
    Linked,
    /// The provider said no: its own word for it.
    Denied(String),
    /// We did.
    Refused(Refusal),
}

/// A flow that has been taken up.
struct Claimed<'a> {
    provider: &'a Provider,
    flow: Flow,
    state: &'a Secret,
    claim: [u8; 16],
}

impl Returned {
    /// Names the flow among those of the browser.
    pub fn flow(&self) -> String {
        flow_name(&self.state)
    }
}

impl TenantRef {
    /// Ends a flow for the page that the provider sent the browser to.
    pub async fn end_oauth(
        &self,
        context: &Context,
        provider: &str,
        returned: &Returned,
        by: &By,
    ) -> Result<Arrived, Refusal> {
        let first = match self.attempt(context).await? {
            Attempt::Repeated(answer) => return self.arrived(answer, None).await,
            Attempt::First(first) => first,
        };
        let provider = self.provider(provider).await?;
        let claim = self.claim_of(context);
        let flow = self.flow(&provider, returned, &claim).await?;
        let linking = match flow.purpose {
            Purpose::LogIn => None,
            Purpose::Link { user, session } => {
                let caller = by.caller.as_ref().ok_or(Refusal::AuthenticationRequired)?;
                if (caller.user(), caller.session()) != (user, session) {
                    return Err(Refusal::InvalidToken);
                }
                Some((user, session))
            }
        };
        let claimed = Claimed { provider: &provider, flow, state: &returned.state, claim };
        self.claim(context, &claimed).await?;
        let secrets = self.secrets(&claimed).await?;
        if !by.proof.answers(Kept::of(secrets.expose())?.challenge.as_ref()) {
            return Err(Refusal::InvalidToken);
        }
        let account = self.ask_provider(context, &claimed, &returned.word).await?;
        match linking {
            None => self.let_in(context, account, first).await,
            Some((user, session)) => {
                self.link_account(context, account, user, session, first).await
            }
        }
    }

    /// Ends a flow for a browser that the provider sent here, and says where it is led. An error
    /// means that it is led nowhere, because nothing says where it came from.
    pub async fn lead_back(
        &self,
        context: &Context,
        provider: &str,
        returned: &Returned,
        browser: Option<&Secret>,
    ) -> Result<Led, Refusal> {
        let before = self.attempt(context).await;
        let provider = self.provider(provider).await?;
        let claim = self.claim_of(context);
        let flow = self.flow(&provider, returned, &claim).await?;
        let known = browser.is_some_and(|browser| browser.hash() == flow.browser);
        if !known && flow.purpose == Purpose::LogIn {
            return Err(Refusal::InvalidToken);
        }
        self.names_itself(&provider, returned).await?;
        let page = self.page(&provider, Some(&flow.return_to)).await;
        let page = page.map_err(|_| Refusal::InvalidToken)?;
        let page_state = flow.page_state.clone();
        let claimed = Claimed { provider: &provider, flow, state: &returned.state, claim };
        let outcome = match before {
            Ok(Attempt::Repeated(answer)) => outcome_of(answer, None),
            Ok(Attempt::First(first)) => {
                self.claim(context, &claimed).await?;
                self.outcome(context, &claimed, &returned.word, known, first).await
            }
            Err(refusal) => Err(refusal),
        };
        let outcome = match outcome {
            // No page is told of these: the request is made again.
            Err(refusal @ (Refusal::Elsewhere(_) | Refusal::Unsettled { .. })) => {
                return Err(refusal);
            }
            outcome => outcome.unwrap_or_else(Outcome::Refused),
        };
        Ok(Led { page, page_state, outcome })
    }

    async fn outcome(
        &self,
        context: &Context,
        claimed: &Claimed<'_>,
        word: &Word,
        known: bool,
        first: First,
    ) -> Result<Outcome, Refusal> {
        if let Word::Error(error) = word {
            return Ok(Outcome::Denied(known_error(error).into()));
        }
        let account = self.ask_provider(context, claimed, word).await?;
        let random = self.0.node.clock.random();
        let code = Secret::new(secret::Purpose::Code, self.number(), &random);
        let answer = match claimed.flow.purpose {
            Purpose::LogIn => {
                let secrets = self.secrets(claimed).await?;
                let challenge = Kept::of(secrets.expose())?.challenge;
                self.leave(context, account, &code, challenge, first).await?
            }
            Purpose::Link { user, session } if known => {
                self.link_account(context, account, user, session, first).await?;
                return Ok(Outcome::Linked);
            }
            Purpose::Link { user, session } => {
                let offer =
                    Offer { linking: Linking { user, session, account }, code: code.hash() };
                let command = Command::Oauth(oauth::Command::Offer(Box::new(offer)));
                let ticket = self.ticket(&first, Some(code.expose())).await?;
                self.propose_to_whoever_leads(context, ticket, command).await?
            }
        };
        outcome_of(answer, Some(code))
    }

    /// Proposes what a provider has said. It says it once, so a node that has lost the lead meanwhile
    /// still has it written down, and leaves the answer to whoever leads now.
    pub(super) async fn propose_to_whoever_leads(
        &self,
        context: &Context,
        ticket: Option<Ticket>,
        command: Command,
    ) -> Result<Answer, Refusal> {
        let moved = match self.propose(context.origin(), ticket.clone(), command.clone()).await {
            Err(moved @ (Refusal::Elsewhere(_) | Refusal::Unsettled { .. })) => moved,
            answer => return answer,
        };
        if ticket.is_none() {
            return Err(moved);
        }
        let proposal = self.0.proposal(context.origin(), ticket, command);
        let outcome = self.0.node.write_anywhere(proposal).await?;
        let now = self.0.node.clock.now();
        outcome.map_err(|rejection| Refusal::from_rejection(rejection, now))?;
        Err(self.0.shard.elsewhere())
    }

    /// What is remembered of the browser that brings this `state`: unspent, or taken up by `claim`
    /// when this request was made before.
    async fn flow(
        &self,
        provider: &Provider,
        returned: &Returned,
        claim: &[u8; 16],
    ) -> Result<Flow, Refusal> {
        let now = self.0.node.clock.now();
        let records = self.0.shard.read().await?;
        let found = self.0.view(&records).one_time(&returned.state.hash())?;
        let mut found = found.ok_or(Refusal::InvalidToken)?;
        if found.content.is_flow_of(claim) {
            found.used = None;
        }
        let found = found.unused(now);
        let found = found.map_err(|rejection| Refusal::from_rejection(rejection, now))?;
        let Content::Flow(flow) = found.content else { return Err(Refusal::InvalidToken) };
        // Mix-up: only the provider that a browser was sent to may send it back, and only as itself.
        let other = returned.issuer.as_ref().is_some_and(|issuer| *issuer != flow.issuer);
        if flow.provider != provider.name || other {
            return Err(Refusal::InvalidToken);
        }
        Ok(*flow)
    }

    /// Invariant: a provider that says in every answer who it is has not given one that does not.
    async fn names_itself(&self, provider: &Provider, back: &Returned) -> Result<(), Refusal> {
        let must = back.issuer.is_none() && self.0.node.upstream.names_itself(provider).await?;
        if must { Err(Refusal::InvalidToken) } else { Ok(()) }
    }

    /// Names a claim. The same request, made again by a node, makes the same claim.
    fn claim_of(&self, context: &Context) -> [u8; 16] {
        match &context.operation {
            Some(operation) => {
                let digest = Sha256::digest(format!("claim {operation}"));
                let mut claim = [0; 16];
                claim.copy_from_slice(&digest[..16]);
                claim
            }
            None => self.0.node.clock.random(),
        }
    }

    async fn claim(&self, context: &Context, claimed: &Claimed<'_>) -> Result<(), Refusal> {
        let Claimed { provider, state, claim, .. } = claimed;
        let claim = Claim { state: state.hash(), provider: provider.name.clone(), claim: *claim };
        let command = Command::Oauth(oauth::Command::Claim(claim));
        self.propose(context.origin(), None, command).await.map(drop)
    }

    /// Whom the provider vouches for. Where it does not answer, the browser may come again.
    async fn ask_provider(
        &self,
        context: &Context,
        claimed: &Claimed<'_>,
        word: &Word,
    ) -> Result<Account, Refusal> {
        let asked = self.ask_once(claimed, word).await;
        if let Err(Refusal::Unavailable { .. } | Refusal::Overloaded { .. }) = &asked {
            let release = Release { state: claimed.state.hash(), claim: claimed.claim };
            let command = Command::Oauth(oauth::Command::Release(release));
            self.propose(context.origin(), None, command).await?;
        }
        asked
    }

    async fn ask_once(&self, claimed: &Claimed<'_>, word: &Word) -> Result<Account, Refusal> {
        let Word::Code(code) = word else { return Err(Refusal::InvalidCredentials) };
        let upstream = &self.0.node.upstream;
        let Claimed { provider, flow, .. } = claimed;
        // Settings may have changed on the way.
        if upstream.issuer(provider).await? != flow.issuer {
            return Err(Refusal::InvalidToken);
        }
        let secrets = self.secrets(claimed).await?;
        let Kept { verifier, nonce, .. } = Kept::of(secrets.expose())?;
        let redirect_uri = &flow.redirect_uri;
        let returned = Return { redirect_uri, code: code.expose(), nonce, verifier };
        upstream.account(provider, returned).await
    }

    /// What is kept of a flow under seal.
    async fn secrets(&self, claimed: &Claimed<'_>) -> Result<Secret, Refusal> {
        let held = self.held().await?;
        text(held.key.open(&claimed.state.hash().0, &claimed.flow.secrets)?)
    }

    async fn link_account(
        &self,
        context: &Context,
        account: Account,
        user: UserId,
        session: SessionId,
        first: First,
    ) -> Result<Arrived, Refusal> {
        let link = Link { linking: Linking { user, session, account } };
        let command = Command::Oauth(oauth::Command::Link(Box::new(link)));
        let ticket = self.ticket(&first, None).await?;
        let answer = self.propose_to_whoever_leads(context, ticket, command).await?;
        self.arrived(answer, None).await
    }
}

/// What the page of a flow is told: `code` is the one that was proposed, unless another was recorded.
fn outcome_of(answer: Answer, code: Option<Secret>) -> Result<Outcome, Refusal> {
    let recorded = answer.secrets.map(text).transpose()?;
    match (answer.reply, recorded.or(code)) {
        (Reply::Arrived(_) | Reply::Done, Some(code)) => Ok(Outcome::Code(code)),
        (Reply::Linked(_), _) => Ok(Outcome::Linked),
        (Reply::LinkRequired, _) => Err(Refusal::AccountLinkRequired),
        (reply, _) => Err(unexpected(&reply)),
    }
}

/// The errors of RFC 6749 §4.1.2.1 and OpenID Connect Core §3.1.2.6; any other is none of them.
fn known_error(error: &str) -> &str {
    match error {
        "access_denied"
        | "invalid_request"
        | "unauthorized_client"
        | "invalid_scope"
        | "unsupported_response_type"
        | "temporarily_unavailable"
        | "interaction_required"
        | "login_required"
        | "account_selection_required"
        | "consent_required" => error,
        _ => "server_error",
    }
}
