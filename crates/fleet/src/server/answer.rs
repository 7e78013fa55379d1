//! What is sent back, in the forms there are.

use super::{listen::UnderWay, shares::Share};
use crate::protocol::{Refusal, RefusalCode};
use abide_spec::Name;
use http_body_util::BodyExt;
use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::OwnedSemaphorePermit;

/// A reader gets it in pieces of so much, so that what is read slowly is seen to be.
const PIECE: usize = 64 << 10;

/// An answer.
pub(super) type Answer = Response<Content>;

/// Why a request isn't granted.
pub(super) type Refused = Box<Answer>;

/// Its body, which holds until it is sent what its bytes cost, and that its machine has a request under way.
#[derive(Debug, Default)]
pub(super) struct Content {
    left: Bytes,
    /// And that its machine is sent one.
    bytes: Option<(OwnedSemaphorePermit, Share<Name>)>,
    share: Option<Share<Name>>,
    under_way: Option<UnderWay>,
}

impl Content {
    pub(super) fn new(bytes: impl Into<Bytes>) -> Self {
        Self { left: bytes.into(), ..Self::default() }
    }

    /// Holds them as well.
    pub(super) fn holding(mut self, bytes: (OwnedSemaphorePermit, Share<Name>)) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Holds it as well.
    pub(super) fn of(mut self, share: Option<Share<Name>>) -> Self {
        self.share = share;
        self
    }

    pub(super) fn under_way(mut self, under_way: UnderWay) -> Self {
        // What is empty is sent by its head.
        self.under_way = Some(under_way).filter(|_| !self.left.is_empty());
        if let Some(under_way) = &mut self.under_way {
            under_way.advance();
        }
        self
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left.is_empty() {
            (this.bytes, this.share, this.under_way) = (None, None, None);
            return Poll::Ready(None);
        }
        if let Some(under_way) = &mut this.under_way {
            under_way.advance();
        }
        let piece = this.left.split_to(PIECE.min(this.left.len()));
        // A copy: what of it is still to be sent when this is dropped must not keep all the rest in memory.
        let piece = Bytes::copy_from_slice(&piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

/// 204.
pub(super) fn nothing() -> Answer {
    let mut answer = Response::new(Content::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// 200 and a value.
pub(super) fn json(value: &impl Serialize) -> Answer {
    with_json(StatusCode::OK, value)
}

/// 200 and text.
pub(super) fn text(kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Content::new(text));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// 200 and frames, which may be deflated.
pub(super) fn frames(bytes: Vec<u8>, is_gzip: bool) -> Answer {
    let mut answer = text("application/vnd.abide.objects", String::new());
    if is_gzip {
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *answer.body_mut() = Content::new(bytes);
    answer
}

/// A refusal, with the status that fits it.
pub(super) fn refused(code: RefusalCode, message: impl Into<String>) -> Refused {
    let status = match code {
        RefusalCode::Token | RefusalCode::Unknown => StatusCode::UNAUTHORIZED,
        RefusalCode::Revoked | RefusalCode::Cloned => StatusCode::FORBIDDEN,
        RefusalCode::NameTaken | RefusalCode::NoDescendant => StatusCode::CONFLICT,
        RefusalCode::Missing => StatusCode::NOT_FOUND,
        RefusalCode::BadRequest | RefusalCode::Protocol | RefusalCode::Other => StatusCode::BAD_REQUEST,
        RefusalCode::Busy => StatusCode::TOO_MANY_REQUESTS,
        RefusalCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut answer = with_json(status, &Refusal { code, message: message.into() });
    let later = match code {
        RefusalCode::Busy => Some(spread(1, 10)),
        RefusalCode::Unavailable => Some(spread(2, 15)),
        RefusalCode::Missing => Some(1),
        _ => None,
    };
    if let Some(seconds) = later {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Box::new(answer)
}

/// Refused with a status of HTTP's own.
pub(super) fn refused_as(status: StatusCode, message: impl Into<String>) -> Refused {
    let mut answer = refused(RefusalCode::BadRequest, message);
    *answer.status_mut() = status;
    answer
}

fn with_json(status: StatusCode, value: &impl Serialize) -> Answer {
    let (status, text) = match serde_json::to_vec(value) {
        Ok(text) => (status, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string().into_bytes()),
    };
    let mut answer = Response::new(Content::new(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Seconds between two bounds, other ones for each, so that those who are sent away don't come back together.
fn spread(from: u64, to: u64) -> u64 {
    let mut random = [0; 4];
    // Without randomness all come at the middle.
    match SystemRandom::new().fill(&mut random) {
        Ok(()) => from + u64::from(u32::from_ne_bytes(random)) % (to - from + 1),
        Err(_) => u64::midpoint(from, to),
    }
}

/// Reads a body of at most so many bytes; nothing if it is bigger or breaks off.
pub(super) async fn read(body: Incoming, most: usize) -> Option<Bytes> {
    let limited = http_body_util::Limited::new(body, most);
    Some(limited.collect().await.ok()?.to_bytes())
}
