//! Where a login may lead back to: only to what the tenant has listed, whatever a request says.

use url::Url;

use crate::settings::Settings;

/// The longest address that is taken.
const LONGEST: usize = 2048;

impl Settings {
    /// The address that `text` asks for, if the tenant has listed it: the same scheme, host, port and
    /// path, and nothing that two readers could read in two ways (RFC 9700 §4.1.3). A query of its own
    /// may come with it.
    pub fn redirect(&self, text: &str) -> Option<Url> {
        let ambiguous =
            |character: char| !character.is_ascii_graphic() || "\\\"<>^`{|}".contains(character);
        if text.len() > LONGEST || text.contains(ambiguous) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let plain =
            url.username().is_empty() && url.password().is_none() && !text.contains(['@', '#']);
        let is = |listed: &Url| {
            listed.scheme() == url.scheme()
                && listed.host() == url.host()
                && listed.port() == url.port()
                && listed.path() == url.path()
        };
        let listed = self.redirect_urls.iter().filter_map(|listed| Url::parse(listed).ok());
        (plain && listed.into_iter().any(|listed| is(&listed))).then_some(url)
    }
}

/// The address with a one-time code for the page that it leads to.
pub(crate) fn with_code(mut url: Url, code: &str) -> Url {
    // A code that came with the request must not be taken for ours.
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "code")
        .map(|(n, v)| (n.into(), v.into()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("code", code);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let listed = [
            "https://app.example.com/auth/callback",
            "http://localhost:8080/back",
            "https://root.example",
        ];
        Settings { redirect_urls: listed.map(String::from).to_vec(), ..Settings::default() }
    }

    #[test]
    fn what_is_listed_is_allowed_with_a_query_of_its_own() {
        for good in [
            "https://app.example.com/auth/callback",
            "https://app.example.com:443/auth/callback",
            "https://app.example.com/auth/callback?next=%2Fhome",
            "http://localhost:8080/back",
            "https://root.example/",
            "https://root.example",
        ] {
            assert!(settings().redirect(good).is_some(), "{good}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for bad in [
            "",
            "/auth/callback",
            "//app.example.com/auth/callback",
            "//evil.example/auth/callback",
            "/\\evil.example",
            "https:/\\app.example.com/auth/callback",
            "https:\\\\app.example.com/auth/callback",
            "https://app.example.com\\@evil.example/auth/callback",
            "https://app.example.com/auth/callback/",
            "https://app.example.com/auth/callback/more",
            "https://app.example.com/auth",
            "https://app.example.com/auth/Callback",
            "https://app.example.com/x/../auth/callback/..",
            "https://app.example.com:8443/auth/callback",
            "http://app.example.com/auth/callback",
            "http://localhost/back",
            "http://127.0.0.1:8080/back",
            "https://localhost:8080/back",
            "https://evil.example/auth/callback",
            "https://app.example.com.evil.example/auth/callback",
            "https://user@app.example.com/auth/callback",
            "https://app.example.com@evil.example/auth/callback",
            "https://app.example.com/auth/callback#fragment",
            "https://app.example.com/auth/call\tback",
            " https://app.example.com/auth/callback",
            "https://app.example.com/auth/callback\n",
            "javascript:alert(1)//app.example.com/auth/callback",
            "com.example.app://app.example.com/auth/callback",
        ] {
            assert!(settings().redirect(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_code_is_added_and_never_doubled() {
        let url = |text| Url::parse(text).expect("a URL");
        let with = |text| with_code(url(text), "code_1_x").to_string();
        assert_eq!(with("https://a.example/b"), "https://a.example/b?code=code_1_x");
        assert_eq!(with("https://a.example/b?c=d&code=e"), "https://a.example/b?c=d&code=code_1_x");
    }
}
