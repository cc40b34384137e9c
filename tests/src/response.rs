//! What a node answered, and sentences about it.

use std::collections::BTreeSet;

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null when it is none.
    pub body: Value,
}

impl Response {
    /// Reads the answer to its end.
    pub async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Self { status, headers, text, body })
    }

    /// A header's text; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// `data` of the envelope.
    pub fn data(&self) -> &Value {
        &self.body["data"]
    }

    /// A text in `data`, such as `session.accessToken`.
    #[track_caller]
    pub fn text_of(&self, path: &str) -> String {
        let value = path.split('.').fold(self.data(), |value, name| &value[name]);
        let text = value.as_str();
        text.unwrap_or_else(|| panic!("no text at data.{path}: {}", self.text)).to_owned()
    }

    /// `error.code` of the envelope; empty for a yes.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// A yes with this status, in the envelope.
    #[track_caller]
    pub fn is_yes(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.body["success"], true, "{}", self.text);
        assert!(self.body.get("error").is_none(), "{}", self.text);
        self
    }

    /// A no with this status and code, in the envelope and with everything that every no carries.
    #[track_caller]
    pub fn is_no(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        assert_eq!(self.body["success"], false, "{}", self.text);
        assert!(self.body.get("data").is_none(), "{}", self.text);
        let message = self.body["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "a no must say what to do: {}", self.text);
        assert!(self.header("x-request-id").starts_with("req_"), "{:?}", self.headers);
        self
    }

    /// The fields that `error.details` names.
    pub fn fields_at_fault(&self) -> BTreeSet<&str> {
        let details = self.body["error"]["details"].as_array();
        details.into_iter().flatten().filter_map(|detail| detail["field"].as_str()).collect()
    }
}

/// Exactly these names are in an object: a missing field breaks clients, one too many may leak.
#[track_caller]
pub fn has_exactly(object: &Value, names: &[&str]) {
    let object = object.as_object().unwrap_or_else(|| panic!("not an object: {object}"));
    let found: BTreeSet<_> = object.keys().map(String::as_str).collect();
    let wanted: BTreeSet<_> = names.iter().copied().collect();
    assert_eq!(found, wanted);
}

/// A time as the contract writes it: RFC 3339 in UTC, ending in `Z`; as Unix seconds.
#[track_caller]
pub fn unix_seconds(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("not a time: {value}"));
    assert!(text.ends_with('Z'), "{text} does not end in Z");
    let format = &time::format_description::well_known::Rfc3339;
    let time = time::OffsetDateTime::parse(text, format);
    time.unwrap_or_else(|error| panic!("{text}: {error}")).unix_timestamp()
}
