//! Answers that break off or lie about their types. When they do lives in `answer`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

/// The body of every answer.
pub(super) type Body = BoxBody<Bytes, io::Error>;

pub(super) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// The first half of the bytes, then an error, which makes hyper drop the connection (HTTP/2: reset the stream).
pub(super) fn halved(bytes: &Bytes) -> Body {
    Halved { half: Some(bytes.slice(..bytes.len() / 2)), flushed: false }.boxed()
}

struct Halved {
    half: Option<Bytes>,
    flushed: bool,
}

impl http_body::Body for Halved {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if !self.flushed {
            // One idle turn, in which hyper writes out what it has; an error at once would swallow it.
            self.flushed = true;
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("cut off on request"))))
    }
}

/// The same names with values of other types, in records at the top or in a list.
pub(super) fn wrong_types(answer: Value) -> Value {
    let Value::Object(fields) = answer else { return Value::Bool(true) };
    let twisted = fields.into_iter().map(|(name, value)| {
        let value = match value {
            Value::String(_) => Value::from(7),
            Value::Array(rows) => rows.into_iter().map(wrong_types).collect(),
            Value::Object(_) => Value::from("an object"),
            Value::Null | Value::Bool(_) | Value::Number(_) => Value::Array(Vec::new()),
        };
        (name, value)
    });
    Value::Object(twisted.collect())
}
