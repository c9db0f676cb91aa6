//! Lines and columns of the elements of a JSON text, found by a second reading, so that reading itself stays fast.

use std::collections::HashMap;

use super::{Limits, Reader};

/// Lines and columns of every element of a text, by JSON pointer.
#[derive(Debug)]
pub struct Positions {
    marks: HashMap<String, (usize, usize)>,
}

impl Positions {
    /// Reads the text again, noting where each value starts (a member's mark is its key). Linear in size.
    #[must_use]
    pub fn of(bytes: &[u8], limits: Limits) -> Self {
        let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        let mut reader = Reader { bytes, at: start, depth: 0, limits, marks: Some(Vec::new()), path: String::new() };
        let _ = std::str::from_utf8(bytes).is_ok() && reader.document().is_ok();
        let mut found = reader.marks.unwrap_or_default();
        found.sort_by_key(|mark| mark.1);
        let (mut line, mut line_start, mut scanned) = (1, 0, 0);
        let marks = found
            .into_iter()
            .map(|(pointer, offset)| {
                while scanned < offset {
                    if bytes[scanned] == b'\n' {
                        line += 1;
                        line_start = scanned + 1;
                    }
                    scanned += 1;
                }
                (pointer, (line, offset - line_start + 1))
            })
            .collect();
        Self { marks }
    }

    /// Line and column (from 1, columns in bytes) of the value at a JSON pointer, or of its nearest ancestor.
    #[must_use]
    pub fn find(&self, pointer: &str) -> (usize, usize) {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.marks.get(pointer) {
                return *place;
            }
            match pointer.rfind('/') {
                Some(at) => pointer = &pointer[..at],
                None => return (1, 1),
            }
        }
    }
}
