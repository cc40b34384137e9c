//! The mail server that takes what is sent (RFC 6409), and what its answers mean.

use std::net::IpAddr;
use std::time::Duration;

use janua_storage::ids::MailId;
use janua_storage::moment::Moment;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use url::Url;

use super::render::Rendered;

/// How many mails are under way to the server at once.
pub const MOST_CONNECTIONS: u32 = 8;

/// How long the server may take for one step.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a connection is kept for the next mail.
const IDLE: Duration = Duration::from_secs(30);

/// Answers about us, not about the mail: they are for the operator to mend (RFC 4954 §6).
const ABOUT_US: [u16; 4] = [530, 534, 535, 538];

/// A mail server, as configured.
#[derive(Debug, Clone)]
pub struct Relay(AsyncSmtpTransportBuilder);

/// An address that names no mail server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRelay(String);

/// Connections to a mail server.
#[derive(Clone)]
pub struct Connections(AsyncSmtpTransport<Tokio1Executor>);

/// Why a mail was not taken.
#[derive(Debug)]
pub enum Trouble {
    /// It may be taken later.
    Passing(String),
    /// It will never be taken.
    Lasting(String),
}

impl Relay {
    /// The server at `smtp://` or `smtps://[user:password@]host[:port]`, trusting `authority` (PEM)
    /// beside the public authorities. `smtps` speaks TLS from the first byte (RFC 8314 §3); `smtp`
    /// changes to it (STARTTLS, RFC 3207): `?tls=required`, the default; `?tls=opportunistic`, where
    /// the server offers it, the default for a server on this machine without a password; or
    /// `?tls=none`. Mails hold links that let in whoever reads them.
    pub fn new(address: &str, authority: Option<&[u8]>) -> Result<Self, InvalidRelay> {
        let invalid = |text: &str| InvalidRelay(text.into());
        let mut url = Url::parse(address).map_err(|_| invalid("it is no URL"))?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| invalid("it names no host"))?.to_owned();
        let starts_plain = match url.scheme() {
            "smtp" => true,
            "smtps" => false,
            _ => return Err(invalid("it begins with neither smtp:// nor smtps://")),
        };
        let has_password = url.password().is_some();
        let is_near = is_loopback(&host);
        let tls =
            url.query_pairs().find(|(name, _)| name == "tls").map(|(_, tls)| tls.into_owned());
        url.set_query(None);
        let trouble = |error: lettre::transport::smtp::Error| InvalidRelay(error.to_string());
        let mut parameters =
            TlsParameters::builder(host).certificate_store(CertificateStore::Default);
        if let Some(pem) = authority {
            if !String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----") {
                return Err(invalid("cannot be trusted by what is no PEM certificate"));
            }
            parameters =
                parameters.add_root_certificate(Certificate::from_pem(pem).map_err(trouble)?);
        }
        let parameters = parameters.build().map_err(trouble)?;
        let (tls, port) = match (starts_plain, tls.as_deref()) {
            (false, None) => (Tls::Wrapper(parameters), 465),
            (true, None) if has_password => (Tls::Required(parameters), 587),
            (true, None) if !is_near => (Tls::Required(parameters), 25),
            (true, Some("required")) => (Tls::Required(parameters), 587),
            (true, None | Some("opportunistic")) => (Tls::Opportunistic(parameters), 25),
            (true, Some("none")) => (Tls::None, 25),
            _ => return Err(invalid("tls must be required, opportunistic or none, with smtp://")),
        };
        let port = url.port().unwrap_or(port);
        let builder =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(trouble)?;
        let pool = PoolConfig::new().max_size(MOST_CONNECTIONS).idle_timeout(IDLE);
        Ok(Self(builder.port(port).tls(tls).timeout(Some(PATIENCE)).pool_config(pool)))
    }

    /// Connections to it, to be made when they are needed.
    pub(super) fn connections(&self) -> Connections {
        Connections(self.0.clone().build())
    }
}

/// Whether a host is this machine. Of an address that is none of HTTP's the parser leaves the host as
/// it stands, in brackets where it is of IPv6.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl Connections {
    /// Hands a mail to the server. The `Message-ID` is the same at each attempt, so that a reader's
    /// program can drop repeats.
    pub async fn send(&self, id: MailId, written: Moment, mail: &Rendered) -> Result<(), Trouble> {
        let message = compose(id, written, mail).map_err(Trouble::Lasting)?;
        match self.0.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let about_the_mail =
                    error.status().is_some_and(|code| !ABOUT_US.contains(&u16::from(code)));
                let text = error.to_string();
                Err(match error.is_permanent() && about_the_mail {
                    true => Trouble::Lasting(text),
                    false => Trouble::Passing(text),
                })
            }
        }
    }
}

fn compose(id: MailId, written: Moment, mail: &Rendered) -> Result<lettre::Message, String> {
    let from: Mailbox = mail.from.parse().map_err(|_| "the sender is no address".to_owned())?;
    let to: Mailbox = mail.to.parse().map_err(|_| "the recipient is no address".to_owned())?;
    let message_id = format!("<{id}@{}>", from.email.domain());
    let date = std::time::UNIX_EPOCH + Duration::from_secs(written.unix_seconds());
    // RFC 3834 §5: so that nobody's absence is announced to it.
    let automatic =
        HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into());
    lettre::Message::builder()
        .from(from)
        .to(to)
        .subject(&mail.subject)
        .message_id(Some(message_id))
        .date(date)
        .raw_header(automatic)
        .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_the_server_is_spoken_to() {
        for good in [
            "smtp://localhost:1025",
            "smtp://user:p%40ss@mail.example",
            "smtp://mail.example?tls=none",
            "smtps://user:password@mail.example:465",
        ] {
            assert!(Relay::new(good, None).is_ok(), "{good}");
        }
        for bad in [
            "mail.example",
            "http://mail.example",
            "smtp://",
            "smtp://a?tls=yes",
            "smtps://a?tls=none",
        ] {
            assert!(Relay::new(bad, None).is_err(), "{bad}");
        }
        assert!(Relay::new("smtp://a", Some(b"no certificate")).is_err());
    }

    #[test]
    fn only_a_server_on_this_machine_may_be_spoken_to_in_the_clear_unasked() {
        for near in ["localhost", "127.0.0.1", "127.3.2.1", "[::1]"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in ["mail.example", "10.0.0.1", "localhost.example", "[2001:db8::1]"] {
            assert!(!is_loopback(far), "{far}");
        }
        let tls = |address: &str| format!("{:?}", Relay::new(address, None).expect("an address").0);
        assert!(tls("smtp://mail.example").contains("Required"));
        assert!(tls("smtp://localhost").contains("Opportunistic"));
        assert!(tls("smtp://mail.example?tls=opportunistic").contains("Opportunistic"));
    }

    #[test]
    fn neither_address_nor_subject_can_add_a_header() {
        let mail = |to: &str, subject: &str| Rendered {
            from: "Janua <no-reply@example.com>".into(),
            to: to.into(),
            subject: subject.into(),
            text: "text".into(),
            html: "<p>html</p>".into(),
            link: String::new(),
        };
        let id = MailId::new(1, 2);
        let written =
            compose(id, Moment(0), &mail("a@b.cd", "One\r\nBcc: x@y.zz")).expect("a mail");
        let written = String::from_utf8(written.formatted()).expect("ASCII");
        assert!(!written.lines().any(|line| line.starts_with("Bcc:")), "{written}");
        assert!(written.contains(&format!("Message-ID: <{id}@example.com>")), "{written}");
        assert!(compose(id, Moment(0), &mail("a@b.cd\r\nBcc: x@y.zz", "One")).is_err());
    }
}
