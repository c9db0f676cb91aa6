//! The rules of FHIR's primitive types, by hand instead of by regular expression, so that they cost a pass over the
//! bytes (<https://hl7.org/fhir/R4/datatypes.html#primitive>). A fault is a sentence that quotes nothing.

use serde_json::Value;

use super::temporal;

/// FHIR's primitive types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primitive {
    /// `boolean`
    Boolean,
    /// `integer`
    Integer,
    /// `positiveInt`
    PositiveInt,
    /// `unsignedInt`
    UnsignedInt,
    /// `decimal`
    Decimal,
    /// `string`
    Text,
    /// `code`
    Code,
    /// `id`
    Id,
    /// `uri`
    Uri,
    /// `url`
    Url,
    /// `canonical`
    Canonical,
    /// `oid`
    Oid,
    /// `uuid`
    Uuid,
    /// `markdown`
    Markdown,
    /// `base64Binary`
    Base64,
    /// `instant`
    Instant,
    /// `date`
    Date,
    /// `dateTime`
    DateTime,
    /// `time`
    Time,
    /// `xhtml`
    Xhtml,
}

/// What is wrong with a primitive's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A sentence.
    pub sentence: &'static str,
    /// Suspicious rather than wrong.
    pub warning: bool,
    /// The JSON type itself is wrong (a number for a string).
    pub kind: bool,
}

const fn wrong(sentence: &'static str) -> Result<(), Fault> {
    Err(Fault { sentence, warning: false, kind: false })
}

const fn doubtful(sentence: &'static str) -> Result<(), Fault> {
    Err(Fault { sentence, warning: true, kind: false })
}

const fn mistyped(sentence: &'static str) -> Result<(), Fault> {
    Err(Fault { sentence, warning: false, kind: true })
}

impl Primitive {
    /// The primitive type of this name; also FHIRPath's system types, which snapshots use for `id` and `url`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" | "http://hl7.org/fhirpath/System.Boolean" => Self::Boolean,
            "integer" | "http://hl7.org/fhirpath/System.Integer" => Self::Integer,
            "positiveInt" => Self::PositiveInt,
            "unsignedInt" => Self::UnsignedInt,
            "decimal" | "http://hl7.org/fhirpath/System.Decimal" => Self::Decimal,
            "string" | "http://hl7.org/fhirpath/System.String" => Self::Text,
            "code" => Self::Code,
            "id" => Self::Id,
            "uri" => Self::Uri,
            "url" => Self::Url,
            "canonical" => Self::Canonical,
            "oid" => Self::Oid,
            "uuid" => Self::Uuid,
            "markdown" => Self::Markdown,
            "base64Binary" => Self::Base64,
            "instant" => Self::Instant,
            "date" | "http://hl7.org/fhirpath/System.Date" => Self::Date,
            "dateTime" | "http://hl7.org/fhirpath/System.DateTime" => Self::DateTime,
            "time" | "http://hl7.org/fhirpath/System.Time" => Self::Time,
            "xhtml" => Self::Xhtml,
            _ => return None,
        })
    }

    /// Checks a value that is not null.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub fn check(self, value: &Value) -> Result<(), Fault> {
        match self {
            Self::Boolean => match value {
                Value::Bool(_) => Ok(()),
                _ => mistyped("must be true or false, without quotes"),
            },
            Self::Integer | Self::PositiveInt | Self::UnsignedInt | Self::Decimal => match value {
                Value::Number(number) => self.check_number(number.as_str()),
                Value::String(_) => mistyped("must be a number, without quotes"),
                _ => mistyped("must be a number"),
            },
            _ => match value {
                Value::String(text) => self.check_text(text),
                _ => mistyped("must be text in quotes"),
            },
        }
    }

    fn check_number(self, text: &str) -> Result<(), Fault> {
        if matches!(self, Self::Decimal) {
            let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
            let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
            let exponent = text.split(['e', 'E']).nth(1).map_or(Ok(0), str::parse::<i32>);
            return match exponent {
                Ok(exponent) if exponent.abs() <= 400 && digits <= 18 => Ok(()),
                Ok(exponent) if exponent.abs() <= 400 => doubtful("has more digits than systems commonly keep (18)"),
                _ => wrong("is outside the range of decimals"),
            };
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) || text == "-0" {
            return wrong("must be a whole number");
        }
        let Ok(number) = text.parse::<i32>() else { return wrong("is outside the range of 32-bit integers") };
        match self {
            Self::PositiveInt if number < 1 => wrong("must be 1 or more"),
            Self::UnsignedInt if number < 0 => wrong("must be 0 or more"),
            _ => Ok(()),
        }
    }

    /// Checks text.
    ///
    /// # Errors
    /// The first [`Fault`].
    pub fn check_text(self, text: &str) -> Result<(), Fault> {
        if text.is_empty() {
            return wrong("must not be empty; leave the element out instead");
        }
        match self {
            Self::Text | Self::Markdown => check_string(text),
            Self::Code => check_code(text),
            Self::Id => check_id(text),
            Self::Canonical => check_uri(text.split('|').next().unwrap_or(text)),
            Self::Uri | Self::Url => check_uri(text),
            Self::Oid if !text.starts_with("urn:oid:") => wrong("must start with urn:oid:"),
            Self::Oid => check_uri(text),
            Self::Uuid => match text.strip_prefix("urn:uuid:") {
                Some(uuid) if is_uuid(uuid) => Ok(()),
                _ => wrong("must be urn:uuid: and a valid UUID in lower case"),
            },
            Self::Base64 => check_base64(text),
            Self::Instant => temporal::instant(text).map_or_else(wrong, |()| Ok(())),
            Self::Date => temporal::date(text).map_or_else(wrong, |()| Ok(())),
            Self::DateTime => temporal::date_time(text).map_or_else(wrong, |()| Ok(())),
            Self::Time => temporal::time(text).map_or_else(wrong, |()| Ok(())),
            Self::Xhtml | Self::Boolean | Self::Integer | Self::PositiveInt | Self::UnsignedInt | Self::Decimal => {
                Ok(())
            }
        }
    }
}

/// A string's greatest length.
const MOST_CHARACTERS: usize = 1024 * 1024;

fn check_string(text: &str) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    if bytes.len() > MOST_CHARACTERS && text.chars().count() > MOST_CHARACTERS {
        return wrong("is longer than the 1,048,576 characters that FHIR allows");
    }
    // FHIR's expression for strings takes the others for letters, so that they are odd rather than wrong
    if bytes.iter().any(|byte| matches!(byte, 0x0b | 0x0c)) {
        return wrong("holds a vertical tab or form feed");
    }
    if bytes.iter().any(|byte| *byte < 0x20 && !matches!(byte, b'\t' | b'\r' | b'\n')) {
        return doubtful("holds a control character, which XML cannot carry");
    }
    let space = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    if space(bytes.first()) || space(bytes.last()) {
        if text.trim().is_empty() {
            return doubtful("holds only white space");
        }
        return Ok(());
    }
    Ok(())
}

fn check_code(text: &str) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let space = u8::is_ascii_whitespace;
    if space(&bytes[0]) || space(&bytes[bytes.len() - 1]) {
        return wrong("must not start or end with white space");
    }
    if bytes.iter().any(|byte| *byte < 0x20) || bytes.windows(2).any(|pair| pair == b"  ") {
        return wrong("may hold single spaces only");
    }
    Ok(())
}

fn check_id(text: &str) -> Result<(), Fault> {
    if text.len() > 64 {
        return wrong("is longer than the 64 characters that an id may have");
    }
    if !crate::fhir::reference::is_id(text) {
        return wrong("may hold only letters, digits, '-' and '.'");
    }
    Ok(())
}

fn check_uri(text: &str) -> Result<(), Fault> {
    if text.bytes().any(|byte| byte <= b' ') {
        return wrong("is a URI and must not hold white space");
    }
    if text.starts_with("oid:") || text.starts_with("uuid:") {
        return wrong("must start with 'urn:' (urn:oid: or urn:uuid:)");
    }
    if let Some(oid) = text.strip_prefix("urn:oid:") {
        if !is_oid(oid) {
            return wrong("must be a valid OID after urn:oid:");
        }
    } else if let Some(uuid) = text.strip_prefix("urn:uuid:")
        && !is_uuid(uuid.split(['|', '#']).next().unwrap_or(uuid))
    {
        return wrong("must be a valid UUID in lower case after urn:uuid:");
    }
    Ok(())
}

/// Whether the text is an OID: arcs of digits without leading zeros, the first 0, 1 or 2.
#[must_use]
pub fn is_oid(text: &str) -> bool {
    let mut arcs = text.split('.');
    matches!(arcs.next(), Some("0" | "1" | "2"))
        && text.contains('.')
        && arcs.all(|arc| {
            !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()) && (arc == "0" || !arc.starts_with('0'))
        })
}

/// Whether the text is a UUID in lower case.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

fn check_base64(text: &str) -> Result<(), Fault> {
    match base64_length(text) {
        None => wrong("is not valid base64"),
        Some(_) if text.bytes().any(|byte| byte.is_ascii_whitespace()) => {
            doubtful("holds white space, which RFC 4648 does not allow in base64")
        }
        Some(_) => Ok(()),
    }
}

/// The number of bytes that base64 text stands for, white space ignored; none where it is not base64.
#[must_use]
pub fn base64_length(text: &str) -> Option<usize> {
    let (mut symbols, mut padding) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => symbols += 1,
            b'=' => padding += 1,
            b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => return None,
        }
    }
    ((symbols + padding).is_multiple_of(4) && padding <= 2 && symbols > 0).then_some(symbols * 3 / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::read_str;

    fn ok(kind: &str, json: &str) -> bool {
        Primitive::named(kind).unwrap().check(&read_str(json).unwrap()).is_ok_and(|()| true)
    }

    #[test]
    fn formats() {
        for (kind, good) in [
            ("boolean", "true"),
            ("integer", "-2147483648"),
            ("positiveInt", "1"),
            ("unsignedInt", "0"),
            ("decimal", "1.10"),
            ("decimal", "1E5"),
            ("string", "\"a\\nb\""),
            ("code", "\"a b\""),
            ("id", "\"A-1.b\""),
            ("uri", "\"urn:oid:1.2.840.1\""),
            ("uri", "\"urn:uuid:c757873d-ec9a-4326-a141-556f43239520\""),
            ("oid", "\"urn:oid:2.16.840\""),
            ("uri", "\"urn:oid:1.3.6\""),
            ("uri", "\"urn:oid:1.2.3\""),
            ("oid", "\"urn:oid:1.2\""),
            ("oid", "\"urn:oid:0.0\""),
            ("canonical", "\"urn:oid:2.5\""),
            ("canonical", "\"urn:oid:2.16.840.1|2\""),
            ("string", "\"a\\u00a0b\""),
            ("base64Binary", "\"aGk=\""),
        ] {
            assert!(ok(kind, good), "{kind} {good}");
        }
        for (kind, bad) in [
            ("boolean", "\"true\""),
            ("integer", "2147483648"),
            ("integer", "1.0"),
            ("integer", "\"1\""),
            ("positiveInt", "0"),
            ("unsignedInt", "-1"),
            ("decimal", "\"1.1\""),
            ("decimal", "1e99999"),
            ("string", "1"),
            ("string", "\"\""),
            ("string", "\"a\\u0007\""),
            ("string", "\"a\\u000b\""),
            ("integer", "-0"),
            ("uri", "\"oid:1.2.840.1\""),
            ("url", "\"uuid:c757873d-ec9a-4326-a141-556f43239520\""),
            ("code", "\" a\""),
            ("code", "\"a  b\""),
            ("id", "\"a_b\""),
            ("uri", "\"a b\""),
            ("uri", "\"urn:oid:3.1\""),
            ("uri", "\"urn:uuid:C757873D-EC9A-4326-A141-556F43239520\""),
            ("oid", "\"1.2.3\""),
            ("uuid", "\"urn:uuid:1\""),
            ("base64Binary", "\"aGk\""),
            ("base64Binary", "\"a=k=\""),
        ] {
            assert!(!ok(kind, bad), "{kind} {bad}");
        }
    }
}
