//! A browser on its way through a provider: what is remembered of it from its start to its return.

use serde::{Deserialize, Serialize};

use crate::command::{Rejection, Reply, Stop};
use crate::fault::Fault;
use crate::ids::{SessionId, UserId};
use crate::keys::{self, Kind};
use crate::one_time::{Content, OneTime};
use crate::seal::Sealed;
use crate::secret::SecretHash;
use crate::state_machine::Step;

/// How long a browser may be away, milliseconds.
const FLOW_TTL_MS: u64 = 10 * 60 * 1000;

/// A browser on its way through a provider, under the hash of its `state` (RFC 6749 §10.12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The provider, which alone may send the browser back (RFC 9700 §4.4).
    pub provider: String,
    /// The provider's issuer at the start, so that settings that change on the way mix nothing up.
    pub issuer: String,
    /// The PKCE verifier (RFC 7636 §4.1) and the nonce (OpenID Connect Core §3.1.2.1).
    pub secrets: Sealed,
    /// Where the provider was told to send the browser.
    pub redirect_uri: String,
    /// The page that the browser is led back to.
    pub return_to: String,
    /// What that page wants to see again.
    pub page_state: Option<String>,
    /// Hash of the cookie that the browser was given.
    pub browser: SecretHash,
    /// What it is for.
    pub purpose: Purpose,
    /// By whom it was taken up.
    pub claim: Option<[u8; 16]>,
}

/// What a flow is for. Append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Logging in, or signing up.
    LogIn,
    /// Linking the provider to an account.
    Link {
        /// Whose.
        user: UserId,
        /// The session that asked for it.
        session: SessionId,
    },
}

/// Sends a browser to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Hash of the `state`.
    pub state: SecretHash,
    /// What to remember.
    pub flow: Flow,
}

/// Takes up a flow whose browser has come back. It is spent here, before the provider is asked, so
/// that a code is shown to a provider once, however often a browser brings it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Hash of the `state`.
    pub state: SecretHash,
    /// The provider that sent it back.
    pub provider: String,
    /// Names who takes it up.
    pub claim: [u8; 16],
}

/// Gives a flow back, because the provider did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Hash of the `state`.
    pub state: SecretHash,
    /// Who took it up.
    pub claim: [u8; 16],
}

impl Begin {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        OneTime::issue(step, &self.state, Content::Flow(Box::new(self.flow)), FLOW_TTL_MS)?;
        Ok(Reply::Done)
    }
}

impl Claim {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        let mut found = match OneTime::find(step, &self.state) {
            // The same try, made again because nobody knew what had become of it.
            Err(Stop::Rejected(Rejection::TokenUsed)) if self.is_held(step)? => {
                return Ok(Reply::Done);
            }
            found => found?,
        };
        match &mut found.content {
            Content::Flow(flow) if flow.provider == self.provider => {
                flow.claim = Some(self.claim);
            }
            _ => return Err(Rejection::InvalidToken.into()),
        }
        found.spend(step, &self.state)?;
        Ok(Reply::Done)
    }

    /// Whether the flow was taken up by this very claim.
    fn is_held(&self, step: &Step<'_, '_>) -> Result<bool, Fault> {
        let key = keys::by_hash(step.tenant, Kind::OneTime, &self.state);
        let found: Option<OneTime> = step.get(&key)?;
        Ok(found.is_some_and(|found| found.content.is_flow_of(&self.claim)))
    }
}

impl Content {
    /// Whether it is a flow that was taken up by this claim.
    pub fn is_flow_of(&self, claim: &[u8; 16]) -> bool {
        matches!(self, Self::Flow(flow) if flow.claim.as_ref() == Some(claim))
    }
}

impl Release {
    pub(super) fn apply(self, step: &mut Step<'_, '_>) -> Result<Reply, Stop> {
        OneTime::unspend(step, &self.state, |content| content.is_flow_of(&self.claim))?;
        Ok(Reply::Done)
    }
}
