//! A refusal that the caller can read: whatever a handler leaves of a request's body is still taken in, and thrown
//! away, for a while. Closing at once would break the caller's connection in the middle of sending, so that it never
//! sees the answer (413, 415, 401 …). Bounded in bytes and time.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures_util::StreamExt as _;
use http_body::{Frame, SizeHint};

/// No more than this is thrown away for one request.
const MOST_BYTES: usize = 128 << 20;
/// A caller who sends nothing for so long is not in the middle of sending.
const PAUSE: Duration = Duration::from_secs(1);
/// No longer than this is waited for one request.
const LONGEST: Duration = Duration::from_secs(10);

/// A request's body; what is left when it is dropped is read to its end elsewhere.
pub(super) struct Drained {
    rest: Option<Body>,
}

impl Drained {
    /// Wraps a request's body.
    pub(super) fn body(body: Body) -> Body {
        if http_body::Body::is_end_stream(&body) { body } else { Body::new(Self { rest: Some(body) }) }
    }
}

impl http_body::Body for Drained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(rest) = self.rest.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(rest).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.rest = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let Some(rest) = self.rest.take().filter(|rest| !http_body::Body::is_end_stream(rest)) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(tokio::time::timeout(LONGEST, async move {
            let (mut pieces, mut taken) = (rest.into_data_stream(), 0);
            while let Ok(Some(Ok(piece))) = tokio::time::timeout(PAUSE, pieces.next()).await {
                taken += piece.len();
                if taken > MOST_BYTES {
                    return;
                }
            }
        }));
    }
}
