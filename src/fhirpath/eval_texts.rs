//! Functions of texts.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose};

use super::{
    ast::Call,
    error::Error,
    eval::{Flow, GO_ON, Run, STOP, Sink, Source},
    functions::Function,
    item::Item,
};

/// Texts that an expression makes may not grow beyond this (`replace` of each letter by a long text, again and again).
const LONGEST: usize = 8 << 20;

impl<'a> Run<'_, 'a> {
    pub(super) fn text_function(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        use Function as F;
        if call.function == F::Join {
            return self.join(call, source, sink);
        }
        let Some(text) = self.source_text(source)? else { return GO_ON };
        self.pay(text.len() as u64 / 64)?;
        if call.args.is_empty() {
            return match call.function {
                F::Length => sink(Item::Integer(i64::try_from(text.chars().count()).unwrap_or(i64::MAX))),
                F::Upper => sink(Item::String(Cow::Owned(text.to_uppercase()))),
                F::Lower => sink(Item::String(Cow::Owned(text.to_lowercase()))),
                F::Trim => sink(Item::String(match text {
                    Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                    Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
                })),
                F::ToChars => {
                    for letter in text.chars() {
                        self.step()?;
                        if sink(Item::String(Cow::Owned(letter.to_string())))?.is_break() {
                            return STOP;
                        }
                    }
                    GO_ON
                }
                other => Err(Error::evaluation(format!("{}() is not a function of texts", other.name()))),
            };
        }
        match call.function {
            F::Substring => self.substring(call, source, &text)?.map_or(GO_ON, |part| sink(Item::String(part))),
            F::ReplaceMatches => {
                let Some(by) = self.arg_text(call.args.get(1), source)? else { return GO_ON };
                if self.arg_text(call.args.first(), source)?.as_deref() == Some("") {
                    return sink(Item::String(text));
                }
                let replaced = self.with_regex(call, source, |regex| regex.replace_all(&text, &*by).into_owned())?;
                replaced.map_or(GO_ON, |replaced| self.made(replaced, sink))
            }
            function => {
                let Some(arg) = self.arg_text(call.args.first(), source)? else { return GO_ON };
                match function {
                    F::IndexOf | F::LastIndexOf => {
                        let at = if function == F::IndexOf { text.find(&*arg) } else { text.rfind(&*arg) };
                        let at = at.map_or(-1, |at| i64::try_from(text[..at].chars().count()).unwrap_or(i64::MAX));
                        sink(Item::Integer(at))
                    }
                    F::Replace => {
                        let Some(by) = self.arg_text(call.args.get(1), source)? else { return GO_ON };
                        let grown = (text.len() + 1).saturating_mul(by.len() + 1);
                        if grown > LONGEST * 4 && text.matches(&*arg).count().saturating_mul(by.len()) > LONGEST {
                            return Err(Error::evaluation("the text would grow too long"));
                        }
                        self.made(text.replace(&*arg, &by), sink)
                    }
                    F::Split => {
                        let parts: Vec<String> = if arg.is_empty() {
                            text.chars().map(String::from).collect()
                        } else {
                            text.split(&*arg).map(str::to_owned).collect()
                        };
                        for part in parts {
                            self.step()?;
                            if sink(Item::String(Cow::Owned(part)))?.is_break() {
                                return STOP;
                            }
                        }
                        GO_ON
                    }
                    F::Encode | F::Decode | F::Escape | F::Unescape => {
                        let made = match function {
                            F::Encode => encode(&text, &arg),
                            F::Decode => decode(&text, &arg),
                            F::Escape => escape(&text, &arg),
                            _ => unescape(&text, &arg),
                        };
                        made.map_or(GO_ON, |made| self.made(made, sink))
                    }
                    other => Err(Error::evaluation(format!("{}() is not a function of texts", other.name()))),
                }
            }
        }
    }

    fn made(&self, text: String, sink: Sink<'_, 'a>) -> Flow {
        self.pay_text(text.len())?;
        sink(Item::String(Cow::Owned(text)))
    }

    /// Pays for a text of this many bytes, if it may be made.
    pub(super) fn pay_text(&self, bytes: usize) -> Result<(), Error> {
        if bytes > LONGEST {
            return Err(Error::evaluation("the text would grow too long"));
        }
        self.pay(bytes as u64 / 64)
    }

    fn join(&self, call: &'a Call, source: Source<'_, 'a>, sink: Sink<'_, 'a>) -> Flow {
        let separator = self.arg_text(call.args.first(), source)?.unwrap_or_default();
        let mut joined: Option<String> = None;
        let _ = self.source(source, &mut |item| {
            let text = item.into_text().ok_or_else(|| Error::evaluation("a String is expected"))?;
            match &mut joined {
                Some(joined) => {
                    joined.push_str(&separator);
                    joined.push_str(&text);
                    if joined.len() > LONGEST {
                        return Err(Error::evaluation("the text would grow too long"));
                    }
                }
                None => joined = Some(text.into_owned()),
            }
            GO_ON
        })?;
        joined.map_or(GO_ON, |joined| self.made(joined, sink))
    }

    /// From a start, for a length; by characters.
    fn substring(&self, call: &'a Call, source: Source<'_, 'a>, text: &str) -> Result<Option<Cow<'a, str>>, Error> {
        let Some(start) = self.arg_integer(call.args.first(), source)? else { return Ok(None) };
        let Ok(start) = usize::try_from(start) else { return Ok(None) };
        let length = match call.args.get(1) {
            Some(_) => match self.arg_integer(call.args.get(1), source)? {
                Some(length) => usize::try_from(length).unwrap_or(0),
                None => usize::MAX,
            },
            None => usize::MAX,
        };
        let Some((from, _)) = text.char_indices().nth(start) else { return Ok(None) };
        let rest = &text[from..];
        let end = rest.char_indices().nth(length).map_or(rest.len(), |(end, _)| end);
        Ok(Some(Cow::Owned(rest[..end].to_owned())))
    }
}

fn encode(text: &str, how: &str) -> Option<String> {
    Some(match how {
        "hex" => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        "base64" => general_purpose::STANDARD.encode(text),
        "urlbase64" => general_purpose::URL_SAFE.encode(text),
        _ => return None,
    })
}

fn decode(text: &str, how: &str) -> Option<String> {
    let bytes = match how {
        "hex" => {
            let digits = text.as_bytes();
            if !digits.len().is_multiple_of(2) {
                return None;
            }
            let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            digits.chunks(2).map(pair).collect::<Option<Vec<u8>>>()?
        }
        "base64" => general_purpose::STANDARD.decode(text).ok()?,
        "urlbase64" => general_purpose::URL_SAFE.decode(text).ok()?,
        _ => return None,
    };
    String::from_utf8(bytes).ok()
}

const HTML: [(char, &str); 5] = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];

fn escape(text: &str, how: &str) -> Option<String> {
    match how {
        "html" => {
            let mut out = String::with_capacity(text.len());
            for letter in text.chars() {
                match HTML.iter().find(|(plain, _)| *plain == letter) {
                    Some((_, escaped)) => out.push_str(escaped),
                    None => out.push(letter),
                }
            }
            Some(out)
        }
        "json" => {
            let quoted = serde_json::to_string(text).ok()?;
            Some(quoted[1..quoted.len() - 1].to_owned())
        }
        _ => None,
    }
}

fn unescape(text: &str, how: &str) -> Option<String> {
    match how {
        "html" => Some(
            HTML.iter()
                .rev()
                .fold(text.to_owned(), |text, (plain, escaped)| text.replace(escaped, plain.encode_utf8(&mut [0; 4]))),
        ),
        "json" => unescape_json(text),
        _ => None,
    }
}

/// JSON's escapes; quotes need none, since the text is the inside of a JSON string. Nothing if an escape is none.
fn unescape_json(text: &str) -> Option<String> {
    let mut escaped = String::with_capacity(text.len() + 2);
    escaped.push('"');
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                escaped.push('\\');
                escaped.push(letters.next()?);
            }
            '"' => escaped.push_str("\\\""),
            control if control < ' ' => escaped.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => escaped.push(other),
        }
    }
    escaped.push('"');
    serde_json::from_str(&escaped).ok()
}
