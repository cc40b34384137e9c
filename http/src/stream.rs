//! The body of an answer: whole in memory, as nearly all are, or as it comes.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::stream::BoxStream;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};

/// What breaks a body off. Whoever reads it sees the connection end before the body does.
pub type Broken = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub enum Body {
    /// In memory.
    Whole(Full<Bytes>),
    /// As it comes; what is held goes when it ends.
    Stream(BoxStream<'static, Result<Bytes, Broken>>, Option<Box<dyn Any + Send>>),
}

impl Body {
    /// A body that comes piece by piece.
    pub fn stream(pieces: impl Stream<Item = Result<Bytes, Broken>> + Send + 'static) -> Self {
        Self::Stream(Box::pin(pieces), None)
    }

    /// Keeps something until a body that is still to come has ended.
    pub fn hold(&mut self, what: impl Any + Send) {
        if let Self::Stream(_, held) = self {
            *held = Some(Box::new(what));
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Self::Stream(pieces, _) => pieces
                .as_mut()
                .poll_next(context)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Stream(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Stream(..) => SizeHint::default(),
        }
    }
}
