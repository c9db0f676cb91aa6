//! Answers that come compressed although nobody asked for that (RFC 9110, 8.4): gzip and deflate, undone piece by
//! piece, so that little input never becomes much memory at once. Bounds are the reader's, by what comes out.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};

/// So much input at a time; deflate makes at most some thousand times as much of it.
const PIECE: usize = 1024;

/// A body on its way in, as it was before it was compressed.
pub(super) struct Inflate {
    coding: Coding,
    waiting: Bytes,
}

enum Coding {
    Plain,
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// `deflate` before its first byte.
    Deflate,
    Zlib(ZlibDecoder<Vec<u8>>),
    /// What some send as `deflate`.
    Raw(DeflateDecoder<Vec<u8>>),
    Ended,
}

impl Inflate {
    /// By an answer's headers, which then no longer speak of the compression.
    pub(super) fn by(headers: &mut HeaderMap) -> Self {
        let said = headers.get(CONTENT_ENCODING).and_then(|said| said.to_str().ok()).unwrap_or_default();
        let coding = match said.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Coding::Gzip(MultiGzDecoder::new(Vec::new())),
            "deflate" => Coding::Deflate,
            _ => Coding::Plain,
        };
        if !matches!(coding, Coding::Plain) {
            headers.remove(CONTENT_ENCODING);
            headers.remove(CONTENT_LENGTH);
        }
        Self { coding, waiting: Bytes::new() }
    }

    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.coding, Coding::Plain)
    }

    /// What came from the wire.
    pub(super) fn feed(&mut self, chunk: Bytes) {
        if let (Coding::Deflate, Some(first)) = (&self.coding, chunk.first()) {
            // RFC 1950, 2.2: the method in the first byte; a raw stream does not begin so.
            self.coding = if first & 0x0f == 8 && first >> 4 <= 7 {
                Coding::Zlib(ZlibDecoder::new(Vec::new()))
            } else {
                Coding::Raw(DeflateDecoder::new(Vec::new()))
            };
        }
        self.waiting = chunk;
    }

    /// The next bytes out of what was fed; nothing where more is needed.
    ///
    /// # Errors
    /// Where it is not what it says.
    pub(super) fn take(&mut self) -> io::Result<Option<Bytes>> {
        while !self.waiting.is_empty() {
            let piece = match self.coding {
                Coding::Plain => return Ok(Some(std::mem::take(&mut self.waiting))),
                _ => self.waiting.split_to(PIECE.min(self.waiting.len())),
            };
            let out = match &mut self.coding {
                Coding::Plain | Coding::Deflate | Coding::Ended => Vec::new(),
                Coding::Gzip(decoder) => decoder.write_all(&piece).map(|()| std::mem::take(decoder.get_mut()))?,
                Coding::Zlib(decoder) => decoder.write_all(&piece).map(|()| std::mem::take(decoder.get_mut()))?,
                Coding::Raw(decoder) => decoder.write_all(&piece).map(|()| std::mem::take(decoder.get_mut()))?,
            };
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        Ok(None)
    }

    /// All came: the rest.
    ///
    /// # Errors
    /// Where it was cut off, or its checksum is wrong.
    pub(super) fn end(&mut self) -> io::Result<Option<Bytes>> {
        let rest = match std::mem::replace(&mut self.coding, Coding::Ended) {
            Coding::Plain | Coding::Deflate | Coding::Ended => Vec::new(),
            Coding::Gzip(decoder) => decoder.finish()?,
            Coding::Zlib(decoder) => decoder.finish()?,
            Coding::Raw(decoder) => decoder.finish()?,
        };
        Ok((!rest.is_empty()).then(|| rest.into()))
    }
}

#[cfg(test)]
mod tests {
    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use reqwest::header::HeaderValue;

    use super::*;

    fn inflated(coding: &'static str, coded: &[u8], chunk: usize) -> io::Result<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        let mut inflate = Inflate::by(&mut headers);
        let mut out = Vec::new();
        for part in coded.chunks(chunk) {
            inflate.feed(Bytes::copy_from_slice(part));
            while let Some(piece) = inflate.take()? {
                assert!(piece.len() < 4 << 20, "never much at once");
                out.extend_from_slice(&piece);
            }
        }
        out.extend_from_slice(&inflate.end()?.unwrap_or_default());
        Ok(out)
    }

    #[test]
    fn each_coding_in_every_chunk_size_and_cut_off() {
        let text = "a patient, a patient's visit, ".repeat(20_000).into_bytes();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&text).unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&text).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(&text).unwrap();
        let coded =
            [("gzip", gzip.finish().unwrap()), ("deflate", zlib.finish().unwrap()), ("deflate", raw.finish().unwrap())];
        for (coding, coded) in coded {
            for chunk in [1, 1000, coded.len()] {
                assert_eq!(inflated(coding, &coded, chunk).unwrap(), text);
            }
            assert!(inflated(coding, &coded[..coded.len() - 5], 1000).is_err(), "{coding} cut off");
            assert!(inflated(coding, b"{\"resourceType\":\"Patient\"}", 1000).is_err(), "{coding} that is none");
        }
        assert_eq!(inflated("br", b"as it is", 3).unwrap(), b"as it is");
        assert_eq!(inflated("gzip", b"", 3).unwrap_or_default(), b"", "nothing stays nothing");
    }
}
