//! Answers that stay the same while the program runs: made once, compressed once, with an ETag.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::output::Response;
use crate::stream::Body;

/// A document in both codings.
pub struct Document {
    content_type: &'static str,
    plain: Bytes,
    gzip: Bytes,
    tag: String,
    caching: &'static str,
}

impl Document {
    /// A document of these bytes.
    pub fn new(content_type: &'static str, plain: Bytes) -> Self {
        let mut hasher = DefaultHasher::new();
        plain.hash(&mut hasher);
        let tag = format!("{:016x}", hasher.finish());
        let gzip = compressed(&plain).map(Bytes::from).unwrap_or_else(|_| plain.clone());
        Self { content_type, plain, gzip, tag, caching: "public, max-age=300" }
    }

    /// The same, where its address changes when it does (RFC 8246).
    pub fn for_ever(mut self) -> Self {
        self.caching = "public, max-age=31536000, immutable";
        self
    }

    /// A name for what it holds.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The document as this client wants it: compressed, plain, or not at all when it has it.
    pub fn respond(&self, request: &HeaderMap) -> Response {
        let gzip = accepts_gzip(request) && self.gzip.len() < self.plain.len();
        let etag =
            if gzip { format!("\"{}-gzip\"", self.tag) } else { format!("\"{}\"", self.tag) };
        let mut response = if has_it(request, &etag) {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            Response::new(Body::from(if gzip { self.gzip.clone() } else { self.plain.clone() }))
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.caching));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(etag) = HeaderValue::try_from(etag) {
            headers.insert(ETAG, etag);
        }
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

fn compressed(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Whether gzip is accepted and not switched off with `q=0` (RFC 9110 §12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    let lines = request.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|parameter| {
            let weight = parameter.strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
            weight == Some(0.0)
        });
        named && !refused
    })
}

fn has_it(request: &HeaderMap, etag: &str) -> bool {
    let known = request.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    known.is_some_and(|known| {
        known
            .split(',')
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == etag || tag == "*")
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http_body_util::BodyExt;

    use super::*;

    fn asking(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[tokio::test]
    async fn it_is_compressed_for_whom_it_helps() {
        let text = "the same again ".repeat(100);
        let document = Document::new("text/plain", text.clone().into());
        let plain = document.respond(&HeaderMap::new());
        assert!(plain.headers().get(CONTENT_ENCODING).is_none());
        let refused = document.respond(&asking(ACCEPT_ENCODING, "gzip;q=0, br"));
        assert!(refused.headers().get(CONTENT_ENCODING).is_none());
        let gzip = document.respond(&asking(ACCEPT_ENCODING, "br, gzip;q=0.5"));
        assert_eq!(gzip.headers()[CONTENT_ENCODING], "gzip");
        assert_ne!(gzip.headers()[ETAG], plain.headers()[ETAG]);
        let body = gzip.into_body().collect().await.unwrap().to_bytes();
        let mut read = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
    }

    #[tokio::test]
    async fn who_has_it_is_not_sent_it_again() {
        let document = Document::new("text/plain", "text".into());
        let etag = document.respond(&HeaderMap::new()).headers()[ETAG].clone();
        let again = document.respond(&asking(IF_NONE_MATCH, etag.to_str().unwrap()));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(again.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}
