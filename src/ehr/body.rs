//! What a request carries: bytes in memory, and content that is read from its file while it is sent, as base64 inside
//! JSON or as it is. Never more than a few chunks of a file are in memory.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::fhir::stored;

/// Bytes that are kept.
#[derive(Clone, Debug)]
pub enum Content {
    /// Few: in memory.
    Bytes(Bytes),
    /// Many: in a file of this size.
    File {
        /// Where.
        path: PathBuf,
        /// In bytes.
        size: u64,
    },
}

impl Content {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }
}

/// A request's body; cheap to clone, for a request may have to be made again.
#[derive(Clone, Debug, Default)]
pub struct Body(Arc<[Piece]>);

#[derive(Clone, Debug)]
enum Piece {
    Bytes(Bytes),
    /// As base64?
    Content(Content, bool),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Content(content, false) => content.size(),
            Self::Content(content, true) => content.size().div_ceil(3) * 4,
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self([Piece::Bytes(bytes.into())].into())
    }
}

impl Body {
    /// A resource as JSON, with the bytes that its `data` only names put in on the way.
    ///
    /// # Errors
    /// Those of `find`.
    pub fn json<E>(resource: &Value, mut find: impl FnMut(&str) -> Result<Content, E>) -> Result<Self, E> {
        let json = Bytes::from(serde_json::to_vec(resource).unwrap_or_default());
        let cut = stored::cut(&json);
        let piece = |(at, part): (usize, &[u8])| match at % 2 {
            0 => Ok(Piece::Bytes(json.slice_ref(part))),
            _ => find(std::str::from_utf8(part).unwrap_or_default()).map(|content| Piece::Content(content, true)),
        };
        Ok(Self(cut.into_iter().enumerate().map(piece).collect::<Result<Vec<_>, E>>()?.into()))
    }

    /// Content as it is.
    #[must_use]
    pub fn raw(content: Content) -> Self {
        Self([Piece::Content(content, false)].into())
    }

    /// In bytes, as sent.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.0.iter().map(Piece::length).sum()
    }

    /// All of it, where it is in memory already.
    #[must_use]
    pub fn in_memory(&self) -> Option<Bytes> {
        match &*self.0 {
            [] => Some(Bytes::new()),
            [Piece::Bytes(bytes)] => Some(bytes.clone()),
            _ => None,
        }
    }

    /// The bytes as they go, read by a thread of their own that is never more than two chunks ahead.
    #[must_use]
    pub fn stream(&self) -> Stream {
        let (sender, chunks) = mpsc::channel(2);
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            // Whoever stops listening has given up; that is no error here.
            let told =
                this.read(&mut |chunk| sender.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into()));
            if let Err(error) = told {
                let _ = sender.blocking_send(Err(error));
            }
        });
        Stream { chunks, left: self.length() }
    }

    fn read(&self, take: &mut dyn FnMut(Bytes) -> io::Result<()>) -> io::Result<()> {
        for piece in &*self.0 {
            match piece {
                Piece::Bytes(bytes) | Piece::Content(Content::Bytes(bytes), false) => take(bytes.clone())?,
                Piece::Content(Content::Bytes(bytes), true) => take(STANDARD.encode(bytes).into())?,
                Piece::Content(Content::File { path, size }, base64) => {
                    let mut file = File::open(path)?.take(*size);
                    let mut left = *size;
                    while left > 0 {
                        // A multiple of three, so that only the last chunk is padded.
                        let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
                        file.read_exact(&mut chunk)?;
                        left -= chunk.len() as u64;
                        take(if *base64 { STANDARD.encode(&chunk).into() } else { chunk.into() })?;
                    }
                }
            }
        }
        Ok(())
    }
}

const CHUNK: usize = 48 * 1024;

/// A body on its way out. Its length is told in advance: not all EHRs take chunked requests.
pub struct Stream {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.chunks.poll_recv(context).map(|chunk| {
            Some(chunk?.map(|chunk| {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Frame::data(chunk)
            }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bytes_are_put_in_where_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 2] {
            let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let path = folder.path().join(size.to_string());
            std::fs::write(&path, &bytes).unwrap();
            let content = Content::File { path, size: size as u64 };
            let name = format!("sha256-{}", "ab".repeat(32));
            let resource = json!({ "resourceType": "Binary", "contentType": "a/b", "data": name });
            let body =
                Body::json(&resource, |named| if named == name { Ok(content.clone()) } else { Err(()) }).unwrap();
            let whole = |body: &Body| {
                let mut whole = Vec::new();
                body.read(&mut |chunk| {
                    whole.extend_from_slice(&chunk);
                    Ok(())
                })
                .unwrap();
                assert_eq!(whole.len() as u64, body.length());
                whole
            };
            let mut wanted = resource.clone();
            wanted["data"] = STANDARD.encode(&bytes).into();
            assert_eq!(whole(&body), wanted.to_string().into_bytes());
            assert_eq!(whole(&Body::raw(content)), bytes);
        }
        assert!(Body::json(&json!({ "data": format!("sha256-{}", "0".repeat(64)) }), |_| Err(())).is_err());
    }
}
