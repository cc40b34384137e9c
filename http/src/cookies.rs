//! Cookies (RFC 6265bis). Nothing is signed in by one: they only tell whether a browser that comes
//! back is the one that was sent away.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// A name that, under https, no other host and no path of this one can have set.
pub fn name(name: &str, https: bool) -> String {
    format!("{}{name}", if https { "__Host-" } else { "" })
}

/// The value of the cookie with this name.
pub fn get<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(known, value)| (known.trim() == name).then(|| value.trim()))
}

/// Sets a cookie that scripts cannot read and that comes along when another site sends the browser
/// here, for so many seconds; `0` removes it.
pub fn set(name: &str, value: &str, seconds: u64, https: bool) -> Option<HeaderValue> {
    let secure = if https { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_comes_back_as_it_was_set() {
        let set = set("__Host-a", "x-1", 600, true).unwrap();
        let expected = "__Host-a=x-1; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(set, expected);
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("b=2;  __Host-a=x-1"));
        headers.append(COOKIE, HeaderValue::from_static("c=3"));
        assert_eq!(get(&headers, "__Host-a"), Some("x-1"));
        assert_eq!((get(&headers, "c"), get(&headers, "a")), (Some("3"), None));
    }
}
