//! Where a browser may be led back to. Whatever a request names is only compared: what is led to is
//! the tenant's own entry, so that no trick of spelling (`//evil`, `/\evil`, a tab, a user before the
//! host) can lead elsewhere.

use url::{Host, Url};

use crate::refusal::Refusal;
use crate::settings::Settings;

/// A page that a browser may be led back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnUrl(Url);

impl ReturnUrl {
    /// The entry of `listed` that `given` names: the same scheme, host, port and path, and nothing
    /// beside them (RFC 9700 §4.1.3).
    pub fn among<'a>(listed: impl IntoIterator<Item = &'a str>, given: &str) -> Option<Self> {
        // Parsers forgive these in ways that differ.
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        if !given.bytes().all(plain) || !is_listable(given) {
            return None;
        }
        let given = Url::parse(given).ok()?;
        let mut listed = listed.into_iter().filter(|entry| is_listable(entry));
        listed.find_map(|entry| Url::parse(entry).ok().filter(|entry| *entry == given)).map(Self)
    }

    /// The address, to be kept and listed again when it is read.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The page with what it is told.
    pub fn telling<'a>(&self, told: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut url = self.0.clone();
        url.query_pairs_mut().extend_pairs(told);
        url.into()
    }
}

/// The page that `field` names, if the tenant has listed it.
pub fn checked(settings: &Settings, field: &str, given: &str) -> Result<ReturnUrl, Refusal> {
    let listed = settings.redirect_urls.iter().map(String::as_str);
    ReturnUrl::among(listed, given).ok_or_else(|| not_listed(field))
}

/// The refusal of a page that nobody has listed.
pub fn not_listed(field: &str) -> Refusal {
    Refusal::field(field, "must be one of the tenant's redirectUrls, spelled as it is there")
}

/// Whether a login may lead back to it (RFC 9700 §2.1, RFC 8252 §7.3).
pub fn is_listable(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain && (url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url))
}

/// Whether it names this very machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: [&str; 3] = [
        "https://app.example.com/auth/callback",
        "https://app.example.com",
        "http://localhost:5173/back",
    ];

    fn leads_to(given: &str) -> Option<String> {
        ReturnUrl::among(LISTED, given).map(|url| url.as_str().to_owned())
    }

    #[test]
    fn what_is_listed_is_led_to() {
        for listed in LISTED {
            assert!(leads_to(listed).is_some(), "{listed}");
        }
        let spelled = leads_to("HTTPS://APP.example.com:443/auth/callback");
        assert_eq!(spelled.as_deref(), Some(LISTED[0]));
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for given in [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https://evil.example/auth/callback",
            "https://app.example.com.evil.example/auth/callback",
            "https://app.example.com@evil.example/auth/callback",
            "https://evil.example@app.example.com/auth/callback",
            "https://app.example.com\\@evil.example/auth/callback",
            "https://app.example.com\t/auth/callback",
            "https://app.example.com/auth/call\tback",
            "https://app.example.com/auth/callback\n",
            " https://app.example.com/auth/callback",
            "https:\\\\app.example.com/auth/callback",
            "https://app.example.com:444/auth/callback",
            "http://app.example.com/auth/callback",
            "javascript:alert(1)//https://app.example.com/auth/callback",
            "data:text/html,x",
            "https://app.example.com/auth/callback/",
            "https://app.example.com/auth/callback/../../x",
            "https://app.example.com/auth/callback?next=//evil.example",
            "https://app.example.com/auth/callback#x",
            "https://app.example.com/auth",
            "https://app.example.com/auth/callback%2f",
            "http://localhost:5174/back",
            "http://127.0.0.1:5173/back",
            "https://\u{ff41}pp.example.com/auth/callback",
        ] {
            assert_eq!(leads_to(given), None, "{given:?}");
        }
    }

    #[test]
    fn what_a_page_is_told_cannot_leave_the_query() {
        let url = ReturnUrl::among(LISTED, LISTED[0]).expect("it is listed");
        let told = url.telling([("state", "a&b=#\r\nc"), ("code", "x")]);
        assert_eq!(told, format!("{}?state=a%26b%3D%23%0D%0Ac&code=x", LISTED[0]));
    }
}
