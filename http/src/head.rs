//! The head of a request, before anything else: how much there is of it, how a body follows it, and
//! whom it calls.

use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{HeaderName, HeaderValue, Method, Version};

use crate::app::App;
use crate::asked::Asked;
use crate::error::{Code, Detail, Error};

/// The methods that there are, on one path or another.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Refuses a head that is too large, that frames its body as it cannot be read here, or that names its
/// host wrongly. `version` is the one that the request came in by; none where another node has received
/// it, and has judged whom it calls.
pub(crate) fn check(app: &App, asked: &Asked, version: Option<Version>) -> Result<(), Error> {
    check_size(app, asked)?;
    check_framing(asked)?;
    version.map_or(Ok(()), |version| check_host(asked, version))
}

/// hyper has limits of its own, above these, that it answers without an envelope.
fn check_size(app: &App, asked: &Asked) -> Result<(), Error> {
    let sizes = &app.settings.sizes;
    let line = asked.uri.path().len() + asked.uri.query().map_or(0, str::len);
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    let total = line + asked.headers.iter().map(size).sum::<usize>();
    if asked.headers.len() > sizes.headers || total > sizes.head {
        let message = format!(
            "Send at most {} headers, and {} bytes of them with the path",
            sizes.headers, sizes.head
        );
        return Err(Error::new(Code::HeadersTooLarge, message).closing());
    }
    Ok(())
}

/// `CONNECT` asks for a tunnel (RFC 9110 §9.3.6), and a transfer coding that is not understood leaves a
/// body that is not what it seems (RFC 9112 §6.1).
fn check_framing(asked: &Asked) -> Result<(), Error> {
    if asked.method == Method::CONNECT {
        return Err(Error::method_not_allowed(HeaderValue::from_static(METHODS)).closing());
    }
    let mut codings = asked.headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        // Whoever in front of us believes another of them finds the end of the body elsewhere.
        (Some(_), Some(_)) => false,
    };
    if is_plain {
        return Ok(());
    }
    let message = "Send the body as it is, or chunked once, and in no other transfer coding";
    Err(Error::new(Code::UnsupportedMediaType, message).closing())
}

/// RFC 9112 §3.2, RFC 9113 §8.3.1. Nothing here depends on the host, but a proxy in front that
/// understood another one than we do would have been led to let the request through.
fn check_host(asked: &Asked, version: Version) -> Result<(), Error> {
    let mut hosts = asked.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let target = asked.uri.authority();
    let is_good = match (host, version) {
        (None, Version::HTTP_11) => false,
        (None, _) => true,
        (Some(host), Version::HTTP_2) => {
            let scheme = asked.uri.scheme();
            let is_target = |host| target.is_none_or(|target| is_same(scheme, target, &host));
            authority(host).is_some_and(is_target)
        }
        (Some(host), _) => host.is_empty() || authority(host).is_some(),
    };
    if is_good && second.is_none() {
        return Ok(());
    }
    let message = "must name one host, with or without a port, and the one of the target";
    Err(Error::invalid(vec![Detail::new("Host", message)]).closing())
}

/// Whether two authorities are the same once they are normalised (RFC 3986 §6.2.3).
fn is_same(scheme: Option<&Scheme>, one: &Authority, other: &Authority) -> bool {
    let usual = scheme.map(|scheme| if *scheme == Scheme::HTTPS { 443 } else { 80 });
    let port = |authority: &Authority| authority.port_u16().or(usual);
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}

/// `host[:port]`, without a user.
fn authority(host: &HeaderValue) -> Option<Authority> {
    let authority = Authority::try_from(host.as_bytes()).ok()?;
    (!authority.as_str().contains('@')).then_some(authority)
}
