//! Reading a request's body: its type, its size, its time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::mpsc;

use crate::error::{Code, Error};

/// How long a client may go on sending what is not read.
const LINGER: Duration = Duration::from_secs(1);

/// The whole body, when it is of this media type, not too large, and arrives in time.
pub async fn read<B>(
    headers: &HeaderMap,
    body: B,
    media_type: &str,
    most: usize,
    within: Duration,
) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    check_type(headers, media_type)?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|n| n > most as u64) {
        if !headers.contains_key(EXPECT) {
            linger(body, most).await;
        }
        return Err(too_large(most));
    }
    match tokio::time::timeout(within, collect(body, most)).await {
        Ok(read) => read,
        Err(_) => {
            let message = "The body did not arrive in time; send it again";
            Err(Error::new(Code::RequestTimeout, message).closing())
        }
    }
}

/// Hands over the body piece by piece, when it is one of lines, not too large, and goes on arriving.
pub async fn hand_over<B>(
    headers: &HeaderMap,
    body: B,
    most: u64,
    within: Duration,
    pieces: mpsc::Sender<Result<Bytes, Error>>,
) where
    B: Body<Data = Bytes> + Unpin,
{
    if let Err(error) = hand_over_pieces(headers, body, most, within, &pieces).await {
        // Whoever does not listen any more has answered already.
        pieces.send(Err(error)).await.ok();
    }
}

async fn hand_over_pieces<B>(
    headers: &HeaderMap,
    mut body: B,
    most: u64,
    within: Duration,
    pieces: &mpsc::Sender<Result<Bytes, Error>>,
) -> Result<(), Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    if !body.is_end_stream() {
        lines_only(headers)?;
    }
    let mut left = most;
    loop {
        let late = |_| Error::new(Code::RequestTimeout, "The body stopped arriving").closing();
        let frame = tokio::time::timeout(within, body.frame()).await.map_err(late)?;
        let Some(frame) = frame else { return Ok(()) };
        let Ok(frame) = frame else {
            return Err(Error::new(Code::ValidationError, "The body broke off").closing());
        };
        let Ok(piece) = frame.into_data() else { continue };
        let Some(rest) = left.checked_sub(piece.len() as u64) else {
            linger(body, usize::try_from(most).unwrap_or(usize::MAX)).await;
            let message = format!("The body is larger than {most} bytes");
            return Err(Error::new(Code::PayloadTooLarge, message).closing());
        };
        left = rest;
        if pieces.send(Ok(piece)).await.is_err() {
            return Ok(());
        }
    }
}

async fn collect<B>(mut body: B, most: usize) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Error::new(Code::ValidationError, "The body broke off").closing());
        };
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > most {
            linger(body, most).await;
            return Err(too_large(most));
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
async fn linger<B>(mut body: B, most: usize)
where
    B: Body<Data = Bytes> + Unpin,
{
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

fn too_large(most: usize) -> Error {
    let message = format!("The body is larger than {most} bytes");
    Error::new(Code::PayloadTooLarge, message).closing()
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

/// Whether a body is of one of these types, and nothing has been done to it.
fn is_plain(headers: &HeaderMap, types: &[&str]) -> bool {
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    !encoded && types.iter().any(|known| essence.eq_ignore_ascii_case(known))
}
