//! A body of lines (NDJSON), read as it comes: it may be longer than memory.

use std::marker::PhantomData;

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa::openapi::Required;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};

use crate::call::Call;
use crate::error::{Detail, Error};
use crate::input::{Input, Schemas, reference};

/// The pieces of a body on their way to a handler.
pub type Pieces = mpsc::Receiver<Result<Bytes, Error>>;

/// A longer line is read over.
const LONGEST: usize = 64 * 1024;

/// A body of lines, each of which should be a `T`.
pub struct Lines<T> {
    pieces: Pieces,
    buffer: BytesMut,
    number: u64,
    overlong: bool,
    of: PhantomData<fn() -> T>,
}

/// One line, without what ends it.
pub struct Line {
    number: u64,
    bytes: Bytes,
    overlong: bool,
}

impl Line {
    /// The first one is 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What there is of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is nothing on it.
    pub fn is_blank(&self) -> bool {
        !self.overlong && self.bytes.trim_ascii().is_empty()
    }

    /// The line, if it is of a bearable length.
    pub fn content(&self) -> Result<&[u8], Error> {
        if self.overlong {
            let message = format!("must have at most {LONGEST} bytes");
            return Err(Error::invalid(vec![Detail::new("line", message)]));
        }
        Ok(&self.bytes)
    }
}

impl<T> Lines<T> {
    fn new(pieces: Pieces) -> Self {
        let buffer = BytesMut::new();
        Self { pieces, buffer, number: 0, overlong: false, of: PhantomData }
    }

    /// The next line, when there is one.
    pub async fn next(&mut self) -> Result<Option<Line>, Error> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(searched + at).freeze();
                self.buffer.advance(1);
                return Ok(Some(self.line(line)));
            }
            if self.buffer.len() > LONGEST {
                self.overlong = true;
                self.buffer.clear();
            }
            searched = self.buffer.len();
            match self.pieces.recv().await {
                Some(piece) => self.buffer.extend_from_slice(&piece?),
                None if self.buffer.is_empty() && !self.overlong => return Ok(None),
                None => {
                    let line = self.buffer.split().freeze();
                    return Ok(Some(self.line(line)));
                }
            }
        }
    }

    fn line(&mut self, bytes: Bytes) -> Line {
        self.number += 1;
        let overlong = std::mem::take(&mut self.overlong) || bytes.len() > LONGEST;
        Line { number: self.number, bytes, overlong }
    }
}

impl<T: ToSchema + 'static> Input for Lines<T> {
    const TAKES_BODY: bool = false;

    const TAKES_LINES: bool = true;

    fn decode(call: &Call, _: &[u8]) -> Result<Self, Error> {
        let pieces = call.pieces.lock().take();
        pieces.map(Self::new).ok_or_else(Error::internal)
    }

    fn describe(schemas: &mut Schemas) -> Option<RequestBody> {
        let content = ContentBuilder::new().schema(Some(reference::<T>(schemas))).build();
        let body = RequestBodyBuilder::new().content("application/x-ndjson", content);
        Some(body.description(Some("One on each line")).required(Some(Required::True)).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(pieces: &[&str]) -> Vec<(u64, usize, bool)> {
        let (sender, receiver) = mpsc::channel(pieces.len().max(1));
        for piece in pieces {
            sender.send(Ok(Bytes::copy_from_slice(piece.as_bytes()))).await.unwrap();
        }
        drop(sender);
        let mut lines: Lines<String> = Lines::new(receiver);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push((line.number(), line.bytes().len(), line.content().is_err()));
        }
        found
    }

    #[tokio::test]
    async fn lines_are_told_apart_wherever_the_pieces_end() {
        let whole = [(1, 2, false), (2, 0, false), (3, 3, false)];
        for pieces in
            [&["ab\n\ncde"][..], &["a", "b", "\n", "\n", "c", "de", "\n"], &["ab\n\ncde\n"]]
        {
            assert_eq!(read(pieces).await, whole, "{pieces:?}");
        }
        assert_eq!(read(&[]).await, []);
    }

    #[tokio::test]
    async fn an_endless_line_is_one_line_and_takes_no_memory() {
        let long = "x".repeat(LONGEST);
        let found = read(&["a\n", &long, &long, "x\nb\n"]).await;
        assert_eq!(
            found.iter().map(|line| (line.0, line.2)).collect::<Vec<_>>(),
            [(1, false), (2, true), (3, false)]
        );
    }
}
