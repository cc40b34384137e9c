//! Calls to servers that others have named. They are answered in time, with little, from where they
//! were sent, and from public addresses: whoever can name a URL must not reach what only this node
//! can reach (server-side request forgery).

mod address;

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use janua_storage::seal::mac;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use url::{Host, Url};

pub(crate) use self::address::is_public;
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
    /// It answered that it will not.
    #[error("{0} answered with {1}")]
    Status(String, u16),
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
                // A connection that its server closes at the moment of its next use would cost an
                // answer, and calls are too rare to gain from keeping any.
                .pool_max_idle_per_host(0)
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

impl Outbound {
    /// Whether a URL that a tenant has named may be called, as far as its text tells; a name is judged
    /// when it is resolved.
    pub fn check(&self, url: &str) -> Result<Url, &'static str> {
        let url = Url::parse(url).map_err(|_| "must be a URL")?;
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || url.fragment().is_some() {
            return Err("must be a URL without user and fragment");
        }
        let allowed = may_call(&url, self.private_allowed, self.private_allowed);
        allowed.map_err(|_| "must be an https URL that leads to no private address")?;
        Ok(url)
    }

    /// Posts a JSON body, signed as webhooks are: HMAC-SHA-256 of timestamp, dot and body.
    pub async fn post_signed(
        &self,
        url: &str,
        secret: &[u8],
        timestamp: u64,
        body: String,
    ) -> Result<(), NoAnswer> {
        let forbidden = |why| NoAnswer::Forbidden("the address".into(), why);
        let url = self.check(url).map_err(forbidden)?;
        let request = oauth2::http::Request::post(url.as_str())
            .header("content-type", "application/json")
            .header("x-janua-timestamp", timestamp)
            .header("x-janua-signature", signature(secret, timestamp, &body))
            .body(body.into_bytes());
        let request = request.map_err(|_| forbidden("it is no URL"))?;
        let status = self.send(request, None).await?.status();
        let place = || url.host_str().unwrap_or_default().to_owned();
        if status.is_success() { Ok(()) } else { Err(NoAnswer::Status(place(), status.as_u16())) }
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

fn signature(secret: &[u8], timestamp: u64, body: &str) -> String {
    let mac = mac(secret, format!("{timestamp}.{body}").as_bytes());
    mac.iter().fold("sha256=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_url_is_judged_by_its_text() {
        let strict = Outbound::new(false).expect("a client");
        for url in [
            "",
            "sms",
            "http://example.com/",
            "ftp://example.com/",
            "https://user@example.com/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:169.254.169.254]/",
            "https://10.0.0.1:8443/",
            "https://a.example/#b",
        ] {
            assert!(strict.check(url).is_err(), "{url}");
        }
        assert!(strict.check("https://sms.example.com/hooks?x=1").is_ok());
        let lenient = Outbound::new(true).expect("a client");
        assert!(lenient.check("http://127.0.0.1:4000/sms").is_ok());
    }

    #[test]
    fn a_signature_is_what_the_reference_verifies() {
        let signed = signature(b"whsec_abc123", 1_736_937_000, "{}");
        let digits = "dbba8888a9a67b7adee6221bd4316ae010bdeaa42ad00b3c3aa45e69917e5f96";
        assert_eq!(signed, format!("sha256={digits}"));
    }
}
