//! The id of a request: the client's, when it fits into a log line, else one of ours.

use http::{HeaderMap, HeaderValue};

/// Where it comes in and goes out.
pub const HEADER: &str = "x-request-id";

/// The longest that a client may choose.
const LONGEST: usize = 128;

/// The client's id when it is 1 to 128 visible ASCII characters, else a new one.
pub fn of(headers: &HeaderMap, new: impl FnOnce() -> String) -> HeaderValue {
    let visible = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    };
    headers.get(HEADER).filter(visible).cloned().unwrap_or_else(|| {
        HeaderValue::try_from(new()).unwrap_or(HeaderValue::from_static("req_unknown"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(id: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_bytes(id).unwrap());
        of(&headers, || "req_new".into()).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_fitting_id_is_kept_and_any_other_replaced() {
        assert_eq!(given(b"abc-123"), "abc-123");
        assert_eq!(given("x".repeat(128).as_bytes()), "x".repeat(128));
        for foreign in [b"".as_slice(), &[b'x'; 129], b"two words", b"\xe9"] {
            assert_eq!(given(foreign), "req_new");
        }
        assert_eq!(of(&HeaderMap::new(), || "req_new".into()), "req_new");
    }
}
