//! Reading a request's body: its type, its size, its time.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;
use hyper::body::Body;
use janua_actors::gateway::{Pieces, Source};
use tokio::sync::mpsc;

use crate::error::{Code, Detail, Error};
use crate::settings::Settings;

/// How long a client may go on sending what is not read.
const LINGER: Duration = Duration::from_secs(1);

/// A body that arrives bit by bit.
pub(crate) trait Stream: Body<Data = Bytes> + Unpin + Send {}

impl<B: Body<Data = Bytes> + Unpin + Send> Stream for B {}

/// A body on its way to another node, piece by piece.
pub(crate) struct Sending<'a, B>(pub &'a mut Payload<B>, pub &'a Settings);

impl<B: Stream> Source for Sending<'_, B> {
    async fn next(&mut self) -> (u8, Bytes) {
        match self.0.next_piece(self.1).await {
            Ok(Some(piece)) => (PIECE, piece),
            Ok(None) => (END, Bytes::new()),
            Err(fault) => (fault.code(), Bytes::new()),
        }
    }
}

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

    fn error(self, most: u64) -> Error {
        let (code, message) = match self {
            Self::TooLarge => {
                let message = format!("The body is larger than {most} bytes");
                (Code::PayloadTooLarge, Cow::from(message))
            }
            Self::Late => {
                (Code::RequestTimeout, "The body did not arrive in time; send it again".into())
            }
            Self::Broken => {
                return Error::invalid(vec![Detail::new("body", "broke off")]).closing();
            }
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
    /// Being read piece by piece; so many bytes may still come.
    Running(B, u64),
    /// Being read piece by piece at the node that received it.
    Pulled(Pieces),
}

/// What a piece from another node begins with, when it is one, and when there are no more. Anything
/// else is the code of a fault.
pub(crate) const PIECE: u8 = 0;
pub(crate) const END: u8 = 255;

impl<B: Stream> Payload<B> {
    /// The whole body, when it is of this media type, not too large, and arrives in time.
    pub async fn whole(
        &mut self,
        media_type: &str,
        headers: &HeaderMap,
        settings: &Settings,
    ) -> Result<Bytes, Error> {
        if self.is_empty() {
            return Ok(Bytes::new());
        }
        check_type(headers, media_type)?;
        let read = self.read(headers, settings).await;
        read.map_err(|fault| fault.error(settings.sizes.body as u64))
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

    /// Whether it is known to hold nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Waiting(body) => body.is_end_stream(),
            Self::Read(read) => read.as_ref().is_ok_and(Bytes::is_empty),
            Self::Running(..) | Self::Pulled(_) => false,
        }
    }

    /// Whether all of it can still be had.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Waiting(_) | Self::Read(_))
    }

    async fn read(&mut self, headers: &HeaderMap, settings: &Settings) -> Result<Bytes, Fault> {
        let read = match self {
            Self::Read(read) => return read.clone(),
            Self::Waiting(body) => {
                receive(headers, body, settings.sizes.body, settings.timeouts.body).await
            }
            Self::Running(..) | Self::Pulled(_) => Err(Fault::Broken),
        };
        *self = Self::Read(read.clone());
        read
    }

    /// Hands over the body piece by piece, when it is one of lines, not too large, and goes on
    /// arriving.
    pub async fn hand_over(
        &mut self,
        headers: &HeaderMap,
        settings: &Settings,
        pieces: mpsc::Sender<Result<Bytes, Error>>,
    ) {
        if !self.is_empty()
            && let Err(error) = lines_only(headers)
        {
            pieces.send(Err(error)).await.ok();
            return;
        }
        loop {
            let piece = self.next_piece(settings).await;
            let piece = piece.map_err(|fault| fault.error(settings.sizes.import)).transpose();
            let Some(piece) = piece else { return };
            let is_last = piece.is_err();
            // Whoever does not listen any more has answered already.
            if pieces.send(piece).await.is_err() || is_last {
                return;
            }
        }
    }

    async fn next_piece(&mut self, settings: &Settings) -> Result<Option<Bytes>, Fault> {
        if let Self::Waiting(_) = self {
            let over = Self::Read(Ok(Bytes::new()));
            if let Self::Waiting(body) = std::mem::replace(self, over) {
                *self = Self::Running(body, settings.sizes.import);
            }
        }
        match self {
            Self::Running(body, left) => next_frame(body, left, settings).await,
            Self::Pulled(pieces) => match pieces.next().await {
                Some(mut piece) if !piece.is_empty() => match piece.get_u8() {
                    PIECE => Ok(Some(piece)),
                    END => Ok(None),
                    code => Err(Fault::from_code(code).unwrap_or(Fault::Broken)),
                },
                _ => Err(Fault::Broken),
            },
            Self::Read(read) => read.clone().map(|_| None),
            Self::Waiting(_) => Ok(None),
        }
    }
}

async fn next_frame<B: Stream>(
    body: &mut B,
    left: &mut u64,
    settings: &Settings,
) -> Result<Option<Bytes>, Fault> {
    loop {
        let frame = tokio::time::timeout(settings.timeouts.body, body.frame()).await;
        let Some(frame) = frame.map_err(|_| Fault::Late)? else { return Ok(None) };
        let Ok(piece) = frame.map_err(|_| Fault::Broken)?.into_data() else { continue };
        let Some(rest) = left.checked_sub(piece.len() as u64) else {
            linger(body, usize::try_from(settings.sizes.import).unwrap_or(usize::MAX)).await;
            return Err(Fault::TooLarge);
        };
        *left = rest;
        return Ok(Some(piece));
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

fn check_type(headers: &HeaderMap, media_type: &str) -> Result<(), Error> {
    if is_plain(headers, &[media_type]) {
        return Ok(());
    }
    let message = format!("Send the body uncompressed, with Content-Type: {media_type}");
    Err(Error::new(Code::UnsupportedMediaType, message))
}

fn lines_only(headers: &HeaderMap) -> Result<(), Error> {
    if is_plain(headers, &["application/x-ndjson", "application/ndjson", "application/jsonl"]) {
        return Ok(());
    }
    let message = "Send one JSON object a line, with Content-Type: application/x-ndjson";
    Err(Error::new(Code::UnsupportedMediaType, message))
}

/// Whether a body is of one of these types, and of no other, and nothing has been done to it.
fn is_plain(headers: &HeaderMap, types: &[&str]) -> bool {
    let encoded = headers.get_all(CONTENT_ENCODING).iter().any(|coding| coding != "identity");
    let mut named = headers.get_all(CONTENT_TYPE).iter();
    let only = named.next().filter(|_| named.next().is_none());
    let content_type = only.and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    !encoded && types.iter().any(|known| essence.eq_ignore_ascii_case(known))
}
