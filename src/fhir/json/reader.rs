//! The recursive descent over RFC 8259's grammar; stops at the first fault and leaves `at` on it.

use serde_json::{Map, Number, Value};

use super::{Fault, Limits};

/// RFC 8259's grammar of numbers.
fn is_number(text: &[u8]) -> bool {
    fn digits(text: &[u8]) -> usize {
        text.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = &fraction[length..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = if let [b'+' | b'-', tail @ ..] = exponent { tail } else { exponent };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

/// One reading of one text; `marks` collects `(pointer, offset)` where they are asked for.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) depth: usize,
    pub(super) limits: Limits,
    pub(super) marks: Option<Vec<(String, usize)>>,
    pub(super) path: String,
}

type Step<T> = Result<T, Fault>;

impl Reader<'_> {
    pub(super) fn document(&mut self) -> Step<Value> {
        self.space()?;
        self.mark(self.at);
        let value = self.value()?;
        self.space()?;
        if self.at < self.bytes.len() {
            return Err(Fault::Syntax("there is more text after the end of the JSON value"));
        }
        Ok(value)
    }

    fn mark(&mut self, at: usize) {
        if let Some(marks) = &mut self.marks {
            marks.push((self.path.clone(), at));
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) -> Step<()> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'/') if self.limits.comments => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Step<()> {
        let rest = &self.bytes[self.at..];
        let length = if rest.starts_with(b"//") {
            rest.iter().position(|byte| *byte == b'\n')
        } else if rest.starts_with(b"/*") {
            rest.windows(2).skip(2).position(|pair| pair == b"*/").map(|at| at + 4)
        } else {
            return Err(Fault::Syntax("a value was expected here"));
        };
        self.at = length.map_or(self.bytes.len(), |length| self.at + length);
        Ok(())
    }

    fn value(&mut self) -> Step<Value> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(_) => Err(Fault::Syntax("a value was expected here")),
            None => Err(Fault::Syntax("the text ends in the middle of a value")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Step<Value>) -> Step<Value> {
        if self.depth >= self.limits.depth {
            return Err(Fault::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Step<Value> {
        self.space()?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Map::new()));
        }
        let mut members = Map::with_capacity(4);
        loop {
            self.space()?;
            let key_at = self.at;
            if self.peek() != Some(b'"') {
                return Err(Fault::Syntax("a name in quotes was expected here"));
            }
            let key = self.string()?;
            self.space()?;
            if self.peek() != Some(b':') {
                return Err(Fault::Syntax("a colon was expected after the name"));
            }
            self.at += 1;
            self.space()?;
            let parent = self.path.len();
            if self.marks.is_some() {
                self.path.push('/');
                self.path.push_str(&key.replace('~', "~0").replace('/', "~1"));
                self.mark(key_at);
            }
            let value = self.value()?;
            self.path.truncate(parent);
            if members.insert(key, value).is_some() {
                self.at = key_at;
                return Err(Fault::DuplicateKey);
            }
            self.space()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                _ => return Err(Fault::Syntax("a comma or a closing brace was expected here")),
            }
        }
    }

    fn array(&mut self) -> Step<Value> {
        let mut items = Vec::new();
        self.space()?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.space()?;
            let parent = self.path.len();
            if self.marks.is_some() {
                self.path.push_str(&format!("/{}", items.len()));
                self.mark(self.at);
            }
            items.push(self.value()?);
            self.path.truncate(parent);
            self.space()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(Fault::Syntax("a comma or a closing bracket was expected here")),
            }
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Step<Value> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(Fault::Syntax("a value was expected here"))
        }
    }

    fn number(&mut self) -> Step<Value> {
        let start = self.at;
        while let Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        let text = &self.bytes[start..self.at];
        if text.len() > self.limits.number_length {
            self.at = start;
            return Err(Fault::LongNumber);
        }
        if !is_number(text) {
            self.at = start;
            return Err(Fault::Syntax("this is not a JSON number"));
        }
        // `parse` would rewrite `1E5` as `1e+5`; the text was checked just above.
        Ok(Value::Number(Number::from_string_unchecked(String::from_utf8_lossy(text).into_owned())))
    }

    fn string(&mut self) -> Step<String> {
        self.at += 1;
        let start = self.at;
        let plain = self.bytes[start..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
        self.at = plain.map_or(self.bytes.len(), |plain| start + plain);
        match self.peek() {
            Some(b'"') => {
                let text = self.text(start, self.at)?.to_owned();
                self.at += 1;
                Ok(text)
            }
            Some(b'\\') => self.escaped(start),
            Some(_) => Err(Fault::Syntax("a control character stands in a text; write it as an escape")),
            None => Err(Fault::Syntax("the text ends in the middle of a quoted text")),
        }
    }

    fn text(&self, from: usize, to: usize) -> Step<&str> {
        std::str::from_utf8(&self.bytes[from..to]).map_err(|_| Fault::Syntax("the text is not UTF-8"))
    }

    fn escaped(&mut self, start: usize) -> Step<String> {
        let mut out = self.text(start, self.at)?.to_owned();
        let mut plain = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    out.push_str(self.text(plain, self.at)?);
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' => {
                    out.push_str(self.text(plain, self.at)?);
                    self.at += 1;
                    out.push(self.escape()?);
                    plain = self.at;
                }
                0..=0x1F => return Err(Fault::Syntax("a control character stands in a text; write it as an escape")),
                _ => self.at += 1,
            }
        }
        Err(Fault::Syntax("the text ends in the middle of a quoted text"))
    }

    fn escape(&mut self) -> Step<char> {
        let kind = self.peek().ok_or(Fault::Syntax("the text ends in the middle of an escape"))?;
        self.at += 1;
        Ok(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(Fault::Syntax("this escape does not exist in JSON")),
        })
    }

    fn unicode(&mut self) -> Step<char> {
        const LONE: Fault = Fault::Syntax("half of a surrogate pair stands alone");
        let first = self.hex()?;
        let code = match first {
            0 => return Err(Fault::Syntax("the NUL character is not allowed in a text")),
            0xD800..=0xDBFF => {
                if !self.bytes[self.at..].starts_with(b"\\u") {
                    return Err(LONE);
                }
                self.at += 2;
                let second = self.hex()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(LONE);
                }
                0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            other => other,
        };
        char::from_u32(code).ok_or(LONE)
    }

    fn hex(&mut self) -> Step<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or(Fault::Syntax("four hexadecimal digits were expected here"))?;
        self.at += 4;
        Ok(code)
    }
}
