//! Calls to addresses that tenants choose. They reach the public Internet alone: neither the machine
//! itself, nor its network, nor a cloud's metadata, whatever a name resolves to.
//!
//! Invariant: the addresses that were judged are the ones that are connected to. The resolver below
//! is the only one of this client, so a name cannot mean something else the second time.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use janua_storage::seal::mac;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

/// How long a call may take in all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client that calls nobody but the public Internet.
#[derive(Clone)]
pub(crate) struct Outbound {
    client: reqwest::Client,
    allow_private: bool,
}

/// Why a call did not succeed; for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("{0}")]
    Refused(&'static str),
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("answered with {0}")]
    Status(u16),
}

impl Outbound {
    /// `allow_private` is for development.
    pub fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .dns_resolver(Arc::new(Public { allow_private }))
            .user_agent("Janua")
            .build()?;
        Ok(Self { client, allow_private })
    }

    /// Whether a URL may be called as far as its text tells; a name is judged when it is resolved.
    pub fn check(&self, url: &str) -> Result<Url, &'static str> {
        let url = Url::parse(url).map_err(|_| "must be a URL")?;
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || url.fragment().is_some() {
            return Err("must be a URL without user and fragment");
        }
        let secure = url.scheme() == "https" || self.allow_private && url.scheme() == "http";
        if !secure {
            return Err("must be an https URL");
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err("must be a URL with a host"),
        };
        if !self.allow_private && address.is_some_and(|address| !is_public(address)) {
            return Err("must not lead to a private address");
        }
        Ok(url)
    }

    /// Posts a JSON body, signed as webhooks are: HMAC-SHA-256 of timestamp, dot and body.
    pub async fn post_signed(
        &self,
        url: &str,
        secret: &[u8],
        timestamp: u64,
        body: String,
    ) -> Result<(), Failed> {
        let url = self.check(url).map_err(Failed::Refused)?;
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("x-janua-timestamp", timestamp)
            .header("x-janua-signature", signature(secret, timestamp, &body));
        // Its text holds the URL, which may hold a secret of the tenant's.
        let failed = |error: reqwest::Error| Failed::NoAnswer(causes(&error.without_url()));
        let status = request.body(body).send().await.map_err(failed)?.status();
        if status.is_success() { Ok(()) } else { Err(Failed::Status(status.as_u16())) }
    }
}

/// An error with what lies behind it.
fn causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn signature(secret: &[u8], timestamp: u64, body: &str) -> String {
    let mac = mac(secret, format!("{timestamp}.{body}").as_bytes());
    mac.iter().fold("sha256=".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Resolves names to public addresses alone.
struct Public {
    allow_private: bool,
}

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let good: Vec<SocketAddr> =
                found.filter(|found| allow_private || is_public(found.ip())).collect();
            if good.is_empty() {
                return Err("the name leads to no public address".into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public Internet (IANA special-purpose registries, RFC 6890).
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || a == 100 && b & 0xc0 == 64
        || (a, b, c) == (192, 0, 0)
        || (a, b, c) == (192, 88, 99)
        || a == 198 && b & 0xfe == 18)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let embedded = |high: u16, low: u16| {
        let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
        Ipv4Addr::new(a, b, c, d)
    };
    match (a, b, c, d, e, f) {
        // Mapped, and translated (RFC 6052).
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => is_public_v4(embedded(g, h)),
        // 6to4 (RFC 3056).
        (0x2002, high, low, ..) => is_public_v4(embedded(high, low)),
        // Protocol assignments and Teredo, documentation.
        (0x2001, 0..=0x1ff | 0xdb8, ..) | (0x3fff, 0..=0xfff, ..) => false,
        // Global unicast is all that has been given out.
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_internet_is_told_from_it() {
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
        for text in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "2a00::1",
        ] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
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
