//! Calls to servers that others have named. They are answered in time, with little, from where they
//! were sent, and from public addresses: whoever can name a URL must not reach what only this node
//! can reach (server-side request forgery).

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use url::{Host, Url};

use crate::redirect::is_loopback;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);

/// How long an answer may take, with its body.
const ANSWER: Duration = Duration::from_secs(6);

/// The largest answer that is read, bytes.
const LARGEST: usize = 512 * 1024;

/// How many calls may be under way.
const MOST: usize = 256;

/// An answer, whole in memory.
pub type Response = oauth2::HttpResponse;

/// A request.
pub type Request = oauth2::HttpRequest;

/// Why there is no answer; safe to log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It may not be asked.
    #[error("{0} may not be called: {1}")]
    Forbidden(String, &'static str),
    /// It did not answer.
    #[error("no answer from {0}: {1}")]
    Silent(String, String),
    /// It answered with more than is read.
    #[error("the answer of {0} is too large")]
    TooLarge(String),
    /// Too many calls are under way.
    #[error("too many calls are under way")]
    Busy,
}

/// The client of a node.
pub struct Outbound {
    guarded: reqwest::Client,
    free: reqwest::Client,
    private_allowed: bool,
    calls: Semaphore,
}

impl Outbound {
    /// A client; `private_allowed` lets every call reach every address.
    pub fn new(private_allowed: bool) -> Result<Self, String> {
        let client = || {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT)
                .timeout(ANSWER)
                .no_proxy()
                .user_agent(concat!("janua/", env!("CARGO_PKG_VERSION")))
        };
        let told = |error: reqwest::Error| error.to_string();
        let guarded = client().dns_resolver(Arc::new(PublicOnly)).build().map_err(told)?;
        let free = client().build().map_err(told)?;
        Ok(Self { guarded, free, private_allowed, calls: Semaphore::new(MOST) })
    }

    /// The answer to `request`. `named` is the host that the operator has named, which may lie
    /// anywhere.
    pub async fn send(&self, request: Request, named: Option<&str>) -> Result<Response, NoAnswer> {
        let place = request.uri().host().unwrap_or_default().to_owned();
        let forbidden = |why| NoAnswer::Forbidden(place.clone(), why);
        let url = Url::parse(&request.uri().to_string()).map_err(|_| forbidden("no URL"))?;
        let free = self.private_allowed || named.is_some_and(|named| url.host_str() == Some(named));
        may_call(&url, free, self.private_allowed).map_err(forbidden)?;
        let client = if free { &self.free } else { &self.guarded };
        let silent = |error: reqwest::Error| {
            let cause = root(&error).to_string();
            NoAnswer::Silent(place.clone(), cause)
        };
        let _call = self.calls.try_acquire().map_err(|_| NoAnswer::Busy)?;
        let request = reqwest::Request::try_from(request).map_err(silent)?;
        let mut response = client.execute(request).await.map_err(silent)?;
        let mut answer = oauth2::http::Response::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        while let Some(part) = response.chunk().await.map_err(silent)? {
            if answer.body().len() + part.len() > LARGEST {
                return Err(NoAnswer::TooLarge(place));
            }
            answer.body_mut().extend_from_slice(&part);
        }
        Ok(answer)
    }
}

/// Whether a URL may be called, as far as its text tells.
fn may_call(url: &Url, free: bool, private_allowed: bool) -> Result<(), &'static str> {
    let open = url.scheme() == "http" && (private_allowed || free && is_loopback(url));
    if url.scheme() != "https" && !open {
        return Err("it is not https");
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err("it has no host"),
    };
    if free || is_public(address) { Ok(()) } else { Err("its address is not public") }
}

/// What broke first: the outer errors only say that something did, and repeat the URL.
fn root(error: &reqwest::Error) -> &dyn Error {
    let mut root: &dyn Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

/// Finds only public addresses. Names are resolved here for the very connection that is made, so
/// that no name can point elsewhere between the check and the call (DNS rebinding).
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("the name has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is anybody's to reach (IANA special-purpose registries, RFC 6890).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && b & 0xc0 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18);
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // An IPv4 address inside: mapped, translated (RFC 6052), 6to4 (RFC 3056).
    let inner = match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some((high, low))
        }
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = inner {
        return is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    }
    // Global unicast is 2000::/3; documentation and Teredo lie within it.
    segments[0] & 0xe000 == 0x2000 && !(segments[0] == 0x2001 && matches!(segments[1], 0 | 0xdb8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_known() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.0.1",
            "198.18.0.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "64:ff9b:1::1",
        ] {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
    }

    #[test]
    fn plain_text_and_private_hosts_need_leave() {
        let may = |url: &str, free, allowed| {
            may_call(&Url::parse(url).expect("a URL"), free, allowed).is_ok()
        };
        assert!(may("https://issuer.example/x", false, false));
        assert!(!may("http://issuer.example/x", false, false));
        assert!(!may("http://issuer.example/x", true, false));
        assert!(!may("https://127.0.0.1/x", false, false));
        assert!(!may("https://[::1]/x", false, false));
        assert!(!may("https://2130706433/x", false, false));
        assert!(may("http://127.0.0.1:8080/x", true, false));
        assert!(may("http://keycloak:8080/x", true, true));
        assert!(!may("ftp://issuer.example/x", true, true));
    }
}
