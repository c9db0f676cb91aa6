//! Reading JSON piece by piece, with long `data` (base64) going elsewhere as bytes and only its name staying in the text
//! (`fhir::stored`). What is short, or no base64, stays as it is. RFC 8259, RFC 4648.

use std::{future::Future, pin::Pin};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// `data` of more characters than this goes elsewhere (1 MiB of bytes).
pub(super) const LONG: usize = (1 << 20) / 3 * 4 + 4;

/// Where long content goes.
pub trait Keep: Send + Sync + 'static {
    /// Begins to keep something.
    ///
    /// # Errors
    /// There is no room, or the disk fails; in words.
    fn begin(&self) -> Result<Box<dyn Keeping>, String>;
}

/// The pending end of keeping.
pub type Kept = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Something that is being kept; what is dropped before its end leaves nothing.
pub trait Keeping: Send {
    /// The next bytes.
    ///
    /// # Errors
    /// As [`Keep::begin`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), String>;
    /// The name of what came so far: `sha256-…`.
    fn name(&self) -> String;
    /// All of it came.
    fn end(self: Box<Self>, content_type: String) -> Kept;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between values.
    Outside,
    /// In a string that is not `data`'s value; `true` after a backslash.
    Text(bool),
    /// In the value of `data`, which is not long so far.
    Short(bool),
    /// In the value of `data`, which goes elsewhere.
    Long(bool),
}

/// The name that stands for a content in the text, and where the content is being kept.
pub(super) type Apart = (String, Box<dyn Keeping>);

/// The reader.
pub(super) struct Skim<'k> {
    keep: &'k dyn Keep,
    state: State,
    /// What stays.
    text: Vec<u8>,
    /// Where the string began that is being read, or was read last.
    begun: usize,
    /// The last string was `"data"` and a colon followed.
    is_data: bool,
    /// Base64 that was not decoded yet.
    waiting: Vec<u8>,
    /// Padding came: nothing may follow.
    padded: bool,
    open: Option<Box<dyn Keeping>>,
    done: Vec<Apart>,
    /// So many bytes may still go elsewhere.
    room: u64,
}

/// Why reading cannot go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A long `data` is no base64.
    NotBase64,
    /// Keeping failed.
    NotKept(String),
    /// More would go elsewhere than may.
    TooMuch,
}

impl<'k> Skim<'k> {
    /// `room`: so many bytes may go elsewhere.
    pub(super) fn new(keep: &'k dyn Keep, room: u64) -> Self {
        Self {
            keep,
            state: State::Outside,
            text: Vec::new(),
            begun: 0,
            is_data: false,
            waiting: Vec::new(),
            padded: false,
            open: None,
            done: Vec::new(),
            room,
        }
    }

    /// What stays so far, in bytes.
    pub(super) fn length(&self) -> usize {
        self.text.len()
    }

    /// Reads on.
    pub(super) fn read(&mut self, chunk: &[u8]) -> Result<(), Stop> {
        for &byte in chunk {
            match self.state {
                State::Outside => self.outside(byte),
                State::Text(true) => self.stay(byte, State::Text(false)),
                State::Text(false) => match byte {
                    b'\\' => self.stay(byte, State::Text(true)),
                    b'"' => self.stay(byte, State::Outside),
                    _ => self.text.push(byte),
                },
                State::Short(true) => self.stay(byte, State::Short(false)),
                State::Short(false) => match byte {
                    b'\\' => self.stay(byte, State::Short(true)),
                    b'"' => self.stay(byte, State::Outside),
                    _ => {
                        self.text.push(byte);
                        if self.text.len() - self.begun > LONG {
                            self.divert()?;
                        }
                    }
                },
                State::Long(escaped) => self.long(byte, escaped)?,
            }
        }
        Ok(())
    }

    fn stay(&mut self, byte: u8, then: State) {
        self.text.push(byte);
        self.state = then;
    }

    fn outside(&mut self, byte: u8) {
        self.text.push(byte);
        match byte {
            b'"' => {
                self.state = if self.is_data { State::Short(false) } else { State::Text(false) };
                self.begun = self.text.len();
                self.is_data = false;
            }
            b':' => {
                let before = &self.text[..self.text.len() - 1];
                self.is_data = self.begun > 0 && before[self.begun - 1..].trim_ascii_end() == b"\"data\"";
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.is_data = false,
        }
    }

    /// What was taken for short is long: if it is base64 so far, it goes elsewhere.
    fn divert(&mut self) -> Result<(), Stop> {
        let so_far = self.text[self.begun..].to_vec();
        let mut escaped = false;
        let fits = so_far.iter().all(|byte| {
            let escape = escaped;
            escaped = *byte == b'\\' && !escape;
            if escape { matches!(byte, b'/' | b'n' | b'r') } else { *byte == b'\\' || is_base64(*byte) }
        });
        if !fits {
            // For instance the numbers of a SampledData.
            self.state = State::Text(false);
            return Ok(());
        }
        self.text.truncate(self.begun);
        self.open = Some(self.keep.begin().map_err(Stop::NotKept)?);
        self.waiting.clear();
        self.padded = false;
        self.state = State::Long(false);
        so_far.into_iter().try_for_each(|byte| {
            let State::Long(escaped) = self.state else { return Ok(()) };
            self.long(byte, escaped)
        })
    }

    fn long(&mut self, byte: u8, escaped: bool) -> Result<(), Stop> {
        match (escaped, byte) {
            (false, b'\\') => self.state = State::Long(true),
            (false, b'"') => {
                self.decode()?;
                if !self.waiting.is_empty() {
                    return Err(Stop::NotBase64);
                }
                if let Some(open) = self.open.take() {
                    let name = open.name();
                    self.text.extend_from_slice(name.as_bytes());
                    self.done.push((name, open));
                }
                self.stay(byte, State::Outside);
            }
            (true, b'n' | b'r') => self.state = State::Long(false),
            (true, b'/') | (false, _) if is_base64(byte) => {
                self.state = State::Long(false);
                self.waiting.push(byte);
                if self.waiting.len() >= 64 * 1024 {
                    self.decode()?;
                }
            }
            _ => return Err(Stop::NotBase64),
        }
        Ok(())
    }

    /// Decodes what is there in whole groups of four.
    fn decode(&mut self) -> Result<(), Stop> {
        let whole = self.waiting.len() / 4 * 4;
        if self.padded && whole > 0 {
            return Err(Stop::NotBase64);
        }
        self.padded = self.waiting[..whole].ends_with(b"=");
        let bytes = STANDARD.decode(&self.waiting[..whole]).map_err(|_| Stop::NotBase64)?;
        self.waiting.drain(..whole);
        self.room = self.room.checked_sub(bytes.len() as u64).ok_or(Stop::TooMuch)?;
        match &mut self.open {
            Some(open) => open.write(&bytes).map_err(Stop::NotKept),
            None => Ok(()),
        }
    }

    /// All was read: what stays, and what goes elsewhere by name.
    pub(super) fn end(self) -> (Vec<u8>, Vec<Apart>) {
        (self.text, self.done)
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<Vec<u8>>>>);

    struct Open(Memory, Vec<u8>);

    impl Keep for Memory {
        fn begin(&self) -> Result<Box<dyn Keeping>, String> {
            Ok(Box::new(Open(self.clone(), Vec::new())))
        }
    }

    impl Keeping for Open {
        fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
            self.1.extend_from_slice(bytes);
            Ok(())
        }
        fn name(&self) -> String {
            format!("sha256-{}", self.1.len())
        }
        fn end(self: Box<Self>, _: String) -> Kept {
            self.0.0.lock().unwrap().push(self.1);
            Box::pin(async { Ok(()) })
        }
    }

    /// Skims a text in chunks of every size.
    fn skimmed(text: &str, chunk: usize) -> Result<(String, Vec<Vec<u8>>), Stop> {
        let memory = Memory::default();
        let mut skim = Skim::new(&memory, 10 << 20);
        text.as_bytes().chunks(chunk).try_for_each(|chunk| skim.read(chunk))?;
        let (text, done) = skim.end();
        for (_, open) in done {
            drop(open.end(String::new()));
        }
        let kept = std::mem::take(&mut *memory.0.lock().unwrap());
        Ok((String::from_utf8(text).unwrap(), kept))
    }

    #[test]
    fn only_long_base64_of_data_goes_elsewhere() {
        let bytes: Vec<u8> = (0..1_500_001_u32).map(|at| u8::try_from(at % 253).unwrap()).collect();
        let long = STANDARD.encode(&bytes);
        let name = format!("sha256-{}", bytes.len());
        let text = format!(
            "{{\"resourceType\" : \"Binary\", \"data\" :\n \"{long}\", \"note\": \"a \\\"data\\\": \\\\\", \"list\":[{{\"data\":\"AAAA\"}},{{\"title\":\"{long}\"}}]}}"
        );
        for chunk in [1, 7, 65_536, text.len()] {
            let (left, kept) = skimmed(&text, chunk).unwrap();
            assert_eq!(left, text.replacen(&long, &name, 1));
            assert_eq!(kept, std::slice::from_ref(&bytes));
        }
        // Lines and escaped slashes are ways to write base64.
        let lines: Vec<&str> = long.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let folded = format!("{{\"data\":\"{}\"}}", lines.join("\\r\\n").replace('/', "\\/"));
        assert_eq!(skimmed(&folded, 999).unwrap(), (format!("{{\"data\":\"{name}\"}}"), vec![bytes]));
    }

    #[test]
    fn what_goes_elsewhere_is_bounded_while_it_arrives() {
        let memory = Memory::default();
        let mut skim = Skim::new(&memory, 3 << 20);
        let mut read = 0;
        let stopped =
            std::iter::once("{\"data\":\"".to_owned()).chain(std::iter::repeat_n("AAAA".repeat(1 << 14), 1000));
        let stopped = stopped.map(|chunk| (chunk.len(), skim.read(chunk.as_bytes()))).find(|(length, ended)| {
            read += length;
            ended.is_err()
        });
        assert_eq!(stopped.map(|(_, ended)| ended), Some(Err(Stop::TooMuch)));
        assert!(read < 5 << 20, "{read}");
    }

    #[test]
    fn what_is_no_base64_stays_or_stops() {
        let numbers = format!("{{\"data\":\"{}\"}}", "12 34 E ".repeat(200_000));
        assert_eq!(skimmed(&numbers, 1000).unwrap(), (numbers.clone(), Vec::new()));
        let spoilt = |tail: &str| skimmed(&format!("{{\"data\":\"{}{tail}\"}}", "A".repeat(LONG + 8)), 1000);
        assert_eq!(spoilt(" !").unwrap_err(), Stop::NotBase64);
        assert_eq!(spoilt("AAA").unwrap_err(), Stop::NotBase64);
        assert_eq!(spoilt("\\u0041").unwrap_err(), Stop::NotBase64);
        let cut_off = format!("{{\"data\":\"{}", "A".repeat(LONG + 8));
        assert_eq!(skimmed(&cut_off, 1000).unwrap().1, Vec::<Vec<u8>>::new(), "never whole, never kept");
    }
}
