//! The one JSON reader for whatever comes from outside (RFC 8259). Keeps number text and key order, gives line,
//! column and place of an error, refuses duplicate keys, NUL characters, nesting beyond a bound and numbers
//! beyond a length. An error never quotes the text. `Positions` finds lines and columns of elements afterwards.

mod positions;
mod reader;

pub use positions::Positions;

use serde_json::Value;

use reader::Reader;

use crate::error::{Category, Explained};

/// Bounds of what is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Levels of objects and arrays.
    pub depth: usize,
    /// Characters of one number.
    pub number_length: usize,
    /// Accept `//` and `/* */` comments (HL7's `allow-comments`); never for what is exchanged.
    pub comments: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, number_length: 256, comments: false }
    }
}

/// What is wrong with the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not JSON.
    Syntax(&'static str),
    /// The same key twice in one object.
    DuplicateKey,
    /// Nested too deeply.
    TooDeep,
    /// A number longer than any record needs.
    LongNumber,
}

/// Where and why reading stopped. Lines and columns count from 1, columns in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {}", self.sentence())]
pub struct JsonError {
    /// What is wrong.
    pub fault: Fault,
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
}

impl JsonError {
    /// A plain sentence without the place; quotes nothing of the text.
    #[must_use]
    pub const fn sentence(&self) -> &'static str {
        match self.fault {
            Fault::Syntax(what) => what,
            Fault::DuplicateKey => "the same name stands twice in this object",
            Fault::TooDeep => "nested more deeply than the limit of 64 levels",
            Fault::LongNumber => "a number with more characters than any record needs",
        }
    }
}

impl Explained for JsonError {
    fn code(&self) -> &'static str {
        match self.fault {
            Fault::Syntax(_) => "LIA-JSON-001",
            Fault::DuplicateKey => "LIA-JSON-002",
            Fault::TooDeep | Fault::LongNumber => "LIA-JSON-003",
        }
    }
    fn category(&self) -> Category {
        Category::Invalid
    }
}

/// Reads one JSON text with the default limits.
///
/// # Errors
/// [`JsonError`] with line and column.
pub fn read(bytes: &[u8]) -> Result<Value, JsonError> {
    read_with(bytes, Limits::default())
}

/// [`read`] for text.
///
/// # Errors
/// [`JsonError`] with line and column.
pub fn read_str(text: &str) -> Result<Value, JsonError> {
    read(text.as_bytes())
}

/// Reads one JSON text within `limits`.
///
/// # Errors
/// [`JsonError`] with line and column.
pub fn read_with(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    if let Err(bad) = std::str::from_utf8(bytes) {
        return Err(place(bytes, bad.valid_up_to(), Fault::Syntax("the text is not UTF-8")));
    }
    let mut reader = Reader { bytes, at: start, depth: 0, limits, marks: None, path: String::new() };
    reader.document().map_err(|fault| place(bytes, reader.at, fault))
}

fn place(bytes: &[u8], at: usize, fault: Fault) -> JsonError {
    let before = &bytes[..at.min(bytes.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    JsonError { fault, line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (Fault, usize, usize) {
        let error = read_str(text).unwrap_err();
        (error.fault, error.line, error.column)
    }

    #[test]
    fn keeps_number_text_and_order() {
        let text = r#"{"b":1.10,"a":[1E5,-0.0,null,true],"c":"\u00e9\ud83d\ude00\n"}"#;
        let value = read_str(text).unwrap();
        assert_eq!(value.to_string(), r#"{"b":1.10,"a":[1E5,-0.0,null,true],"c":"é😀\n"}"#);
    }

    #[test]
    fn refuses_with_place() {
        assert_eq!(fault("{\"a\":1,\n \"a\":2}"), (Fault::DuplicateKey, 2, 2));
        assert_eq!(fault(&"[".repeat(65)).0, Fault::TooDeep);
        assert!(read_str(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
        assert_eq!(fault(&"9".repeat(10_000)).0, Fault::LongNumber);
        for bad in
            ["", "{", "[1,]", "{\"a\"}", "01", "1.", "\"\\u0000\"", "\"\\ud800\"", "tru", "1 2", "\"\n\"", "{a:1}"]
        {
            assert!(matches!(fault(bad).0, Fault::Syntax(_)), "{bad}");
        }
        assert!(read(b"\"\xff\"").is_err());
    }

    #[test]
    fn comments_only_on_request() {
        let text = b"// x\n{ /* y */ \"a\": 1 }";
        assert!(read(text).is_err());
        assert!(read_with(text, Limits { comments: true, ..Limits::default() }).is_ok());
    }

    #[test]
    fn finds_positions() {
        let positions = Positions::of(b"{\n  \"a\": [\n    1,\n    {\"b\": 2}]}", Limits::default());
        assert_eq!(positions.find("/a"), (2, 3));
        assert_eq!(positions.find("/a/1/b"), (4, 6));
        assert_eq!(positions.find("/a/1/zz"), (4, 5));
    }
}
