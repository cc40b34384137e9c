//! What a request brings beside its body.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use janua_storage::event::Origin;
use janua_storage::ids::RequestId;

/// Where a request came from, and whether it may come twice.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its id, as answered in `X-Request-ID`, when it is one of ours.
    pub request: Option<RequestId>,
    /// The client's address, behind trusted proxies.
    pub ip: Option<IpAddr>,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
    /// The client's `Idempotency-Key`, with what it is bound to.
    pub idempotency: Option<IdempotencyKey>,
    /// What tells it from every other request of the cluster, where it may be made again.
    pub operation: Option<Operation>,
}

/// What tells a request from every other one of the cluster: the node that received it, that node's
/// present run, and a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Operation {
    /// The node's id.
    pub node: u64,
    /// Drawn when the node was started.
    pub incarnation: u64,
    /// Counts the node's requests.
    pub number: u64,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:x}.{:x}", self.node, self.incarnation, self.number)
    }
}

/// For whom, and so for how long, the answer to an idempotency key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The client, who may try again for a day.
    ForTheClient,
    /// The node that received the request, which may try again while its client waits.
    ForARetry,
}

impl Kept {
    /// How long that is.
    pub(crate) fn ttl(self) -> Duration {
        match self {
            Self::ForTheClient => Duration::from_secs(24 * 3600),
            Self::ForARetry => Duration::from_secs(60),
        }
    }
}

/// An `Idempotency-Key`, bound to its caller, its route and its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// As the client wrote it.
    pub key: String,
    /// Who asks: the id of an API key, a session, or nobody in particular.
    pub caller: String,
    /// Method and path template.
    pub route: String,
    /// SHA-256 of path and body.
    pub request: [u8; 32],
    /// For whom the answer is kept.
    pub kept: Kept,
}

/// What a client says of the device it runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// In place of the `User-Agent` header.
    pub user_agent: Option<String>,
    /// The address that the client believes it has: kept for people to read, never trusted.
    pub ip_address: Option<String>,
    /// Tells devices of a user apart.
    pub fingerprint: Option<String>,
}

/// The longest text of a header that is kept.
const LONGEST: usize = 512;

impl Context {
    /// Where the request's events say it came from.
    pub fn origin(&self) -> Origin {
        Origin {
            ip_address: self.ip.map(|ip| ip.to_string()),
            user_agent: self.user_agent.as_deref().map(shortened),
        }
    }

    /// The same, with what the client says of its device. The address stays the one that was seen.
    pub fn origin_of(&self, device: &DeviceInfo) -> Origin {
        let mut origin = self.origin();
        if let Some(user_agent) = &device.user_agent {
            origin.user_agent = Some(shortened(user_agent));
        }
        origin
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
