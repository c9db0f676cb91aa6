//! Text to tokens. Owns: comments, escapes, literals of strings, numbers, dates and times, and places for messages.

use rust_decimal::Decimal;

use super::{error::Error, temporal::Temporal};

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Identifier(Box<str>),
    /// In backticks: never a keyword.
    Delimited(Box<str>),
    Text(Box<str>),
    Integer(i64),
    Decimal(Decimal),
    Temporal(Temporal),
    /// `%name`.
    Variable(Box<str>),
    /// `$this`, `$index`, `$total`: the name.
    Dollar(&'static str),
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 22] =
    ["<=", ">=", "!=", "!~", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "&", "|", "<", ">", "=", "~"];

pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    /// All tokens with their byte offsets, the last being `End`.
    pub(super) fn tokens(text: &'t str) -> Result<Vec<(Token, usize)>, Error> {
        let mut lexer = Lexer { text, at: 0 };
        let mut tokens = Vec::new();
        loop {
            lexer.skip_blank()?;
            let start = lexer.at;
            let token = lexer.token()?;
            let end = token == Token::End;
            tokens.push((token, start));
            if end {
                return Ok(tokens);
            }
        }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn error<T>(&self, what: &str) -> Result<T, Error> {
        Err(Error::syntax(self.text, self.at, what))
    }

    fn skip_blank(&mut self) -> Result<(), Error> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n', '\u{a0}', '\u{feff}']);
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                match trimmed.find("*/") {
                    Some(end) => self.at += end + 2,
                    None => return self.error("a comment that never ends"),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token, Error> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        match first {
            'a'..='z' | 'A'..='Z' | '_' => Ok(Token::Identifier(self.identifier().into())),
            '`' => Ok(Token::Delimited(self.quoted('`')?)),
            '\'' | '"' => Ok(Token::Text(self.quoted(first)?)),
            '0'..='9' => self.number(),
            '@' => self.temporal(),
            '%' => {
                self.at += 1;
                match self.rest().chars().next() {
                    Some(quote @ ('`' | '\'' | '"')) => Ok(Token::Variable(self.quoted(quote)?)),
                    Some('a'..='z' | 'A'..='Z' | '_') => Ok(Token::Variable(self.identifier().into())),
                    _ => self.error("a variable's name must follow %"),
                }
            }
            '$' => {
                for name in ["this", "index", "total"] {
                    if rest[1..].starts_with(name) {
                        self.at += 1 + name.len();
                        return Ok(Token::Dollar(name));
                    }
                }
                self.error("$ is followed by this, index or total")
            }
            _ => {
                for symbol in SYMBOLS {
                    if rest.starts_with(symbol) {
                        self.at += symbol.len();
                        return Ok(Token::Symbol(symbol));
                    }
                }
                self.error("a character that has no meaning here")
            }
        }
    }

    fn identifier(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn digits(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn number(&mut self) -> Result<Token, Error> {
        let start = self.at;
        self.digits();
        let rest = self.rest();
        let fraction = rest.starts_with('.') && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if fraction {
            self.at += 1;
            self.digits();
        }
        let text = &self.text[start..self.at];
        if !fraction && let Ok(integer) = text.parse() {
            return Ok(Token::Integer(integer));
        }
        match Decimal::from_str_exact(text) {
            Ok(decimal) => Ok(Token::Decimal(decimal)),
            Err(_) => self.error("a number with more digits than can be held exactly (28)"),
        }
    }

    /// `@2015`, `@2015-02-04T14:34:28.123+10:00`, `@2015T`, `@T14:34`.
    fn temporal(&mut self) -> Result<Token, Error> {
        self.at += 1;
        let bytes = self.rest().as_bytes();
        let mut end = 0;
        let digits =
            |at: usize, count: usize| bytes.get(at..at + count).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
        let time_only = bytes.first() == Some(&b'T');
        if !time_only {
            if !digits(0, 4) {
                return self.error("a date or time must follow @");
            }
            end = 4;
            while end <= 7 && bytes.get(end) == Some(&b'-') && digits(end + 1, 2) {
                end += 3;
            }
        }
        if bytes.get(end) == Some(&b'T') {
            end += 1;
            if digits(end, 2) {
                end += 2;
                for _ in 0..2 {
                    if bytes.get(end) == Some(&b':') && digits(end + 1, 2) {
                        end += 3;
                    }
                }
                if bytes.get(end) == Some(&b'.') && digits(end + 1, 1) {
                    end += 2;
                    while digits(end, 1) {
                        end += 1;
                    }
                }
                if !time_only {
                    match bytes.get(end) {
                        Some(b'Z') => end += 1,
                        Some(b'+' | b'-') if digits(end + 1, 2) && bytes.get(end + 3) == Some(&b':') => end += 6,
                        _ => {}
                    }
                }
            }
        }
        let text = self.rest().get(..end).unwrap_or("");
        let parsed = if let Some(time) = text.strip_prefix('T') {
            Temporal::time(time)
        } else if text.contains('T') {
            Temporal::date_time(text.strip_suffix('T').unwrap_or(text))
        } else {
            Temporal::date(text)
        };
        match parsed {
            Some(temporal) => {
                self.at += end;
                Ok(Token::Temporal(temporal))
            }
            None => {
                self.at -= 1;
                self.error("a date or time that does not exist")
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Box<str>, Error> {
        let start = self.at;
        let mut out = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            if letter == quote {
                self.at = start + at + letter.len_utf8();
                return Ok(out.into());
            }
            if letter != '\\' {
                out.push(letter);
                continue;
            }
            match letters.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 'r')) => out.push('\r'),
                Some((_, 't')) => out.push('\t'),
                Some((_, 'f')) => out.push('\u{c}'),
                Some((_, same @ ('\\' | '/' | '\'' | '"' | '`'))) => out.push(same),
                Some((at, 'u')) => {
                    let code = self.rest().get(at + 1..at + 5).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                    let Some(code) = code.and_then(char::from_u32) else {
                        return self.error("\\u is followed by four hexadecimal digits");
                    };
                    out.push(code);
                    letters.nth(3);
                }
                // Not in the grammar, but profiles in the field write '\d' for '\\d'.
                Some((_, other)) => {
                    out.push('\\');
                    out.push(other);
                }
                None => break,
            }
        }
        self.error("a quoted text that never ends")
    }
}
