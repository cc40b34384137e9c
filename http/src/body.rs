//! Reading a request's body: its type, its size, its time.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::error::{Code, Error};
use crate::settings::Settings;

/// How long a client may go on sending what is not read.
const LINGER: Duration = Duration::from_secs(1);

/// A body that arrives bit by bit.
pub(crate) trait Stream: Body<Data = Bytes> + Unpin {}

impl<B: Body<Data = Bytes> + Unpin> Stream for B {}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is too large.
    TooLarge,
    /// It did not arrive in time.
    Late,
    /// It broke off.
    Broken,
}

impl Fault {
    /// As nodes write it to each other; never nothing.
    pub fn code(self) -> u8 {
        match self {
            Self::TooLarge => 1,
            Self::Late => 2,
            Self::Broken => 3,
        }
    }

    /// The fault of a code, if it is one.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::TooLarge, Self::Late, Self::Broken].into_iter().find(|fault| fault.code() == code)
    }

    fn error(self, most: usize) -> Error {
        let (code, message) = match self {
            Self::TooLarge => {
                (Code::PayloadTooLarge, format!("The body is larger than {most} bytes").into())
            }
            Self::Late => {
                (Code::RequestTimeout, "The body did not arrive in time; send it again".into())
            }
            Self::Broken => (Code::ValidationError, Cow::from("The body broke off")),
        };
        Error::new(code, message).closing()
    }
}

/// A body that is read when it is wanted, and then kept: the request may have to be made again.
pub(crate) enum Payload<B> {
    /// Not read yet.
    Waiting(B),
    /// So it was.
    Read(Result<Bytes, Fault>),
}

impl<B: Stream> Payload<B> {
    /// The whole body, when it is JSON, not too large, and arrives in time.
    pub async fn json(&mut self, headers: &HeaderMap, settings: &Settings) -> Result<Bytes, Error> {
        let empty = match self {
            Self::Waiting(body) => body.is_end_stream(),
            Self::Read(read) => read.as_ref().is_ok_and(Bytes::is_empty),
        };
        if empty {
            return Ok(Bytes::new());
        }
        json_only(headers)?;
        let read = self.read(headers, settings).await;
        read.map_err(|fault| fault.error(settings.sizes.body))
    }

    /// The whole body as it is, if it is `wanted`, when it is not too large, and arrives in time.
    pub async fn read_if(
        &mut self,
        wanted: bool,
        headers: &HeaderMap,
        settings: &Settings,
    ) -> Result<Bytes, Fault> {
        if wanted { self.read(headers, settings).await } else { Ok(Bytes::new()) }
    }

    async fn read(&mut self, headers: &HeaderMap, settings: &Settings) -> Result<Bytes, Fault> {
        let read = match self {
            Self::Read(read) => return read.clone(),
            Self::Waiting(body) => {
                receive(headers, body, settings.sizes.body, settings.timeouts.body).await
            }
        };
        *self = Self::Read(read.clone());
        read
    }
}

async fn receive<B: Stream>(
    headers: &HeaderMap,
    body: &mut B,
    most: usize,
    within: Duration,
) -> Result<Bytes, Fault> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|n| n > most as u64) {
        if !headers.contains_key(EXPECT) {
            linger(body, most).await;
        }
        return Err(Fault::TooLarge);
    }
    tokio::time::timeout(within, collect(body, most)).await.unwrap_or(Err(Fault::Late))
}

async fn collect<B: Stream>(body: &mut B, most: usize) -> Result<Bytes, Fault> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let data = frame.map_err(|_| Fault::Broken)?.into_data();
        let Ok(data) = data else { continue };
        if first.len() + all.len() + data.len() > most {
            linger(body, most).await;
            return Err(Fault::TooLarge);
        }
        // Nearly every body is one frame, and that one needs no copy.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads on for a moment, keeping nothing: a client that is still sending when the connection closes
/// sees a reset in place of the answer.
async fn linger<B: Stream>(body: &mut B, most: usize) {
    let discard = async {
        let mut left = most.saturating_mul(4);
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    };
    // Whether the client finished or not, the answer is the same.
    tokio::time::timeout(LINGER, discard).await.ok();
}

fn json_only(headers: &HeaderMap) -> Result<(), Error> {
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    if encoded || !headers.get(CONTENT_TYPE).is_some_and(is_json) {
        let message = "Send the body as plain JSON, with Content-Type: application/json";
        return Err(Error::new(Code::UnsupportedMediaType, message));
    }
    Ok(())
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}
