//! Whether one element fits one asked value, by the parameter's type (<https://hl7.org/fhir/R4/search.html#ptypes>).

use std::str::FromStr;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::Value;

use super::date::{Prefix, Range};
use crate::{fhir::Reference, rest::ParameterKind};

/// A modifier, `name:modifier`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Modifier {
    /// The whole text, case and accents included.
    Exact,
    /// Anywhere in the text.
    Contains,
    /// None of the values.
    Not,
    /// Absent (true) or present (false).
    Missing,
    /// A reference's own identifier.
    Identifier,
    /// The text of a coded value.
    Text,
    /// A reference to this type.
    Type(String),
}

/// One asked value; those separated by commas are alternatives.
#[derive(Clone, Debug)]
pub enum Test {
    /// `:missing`.
    Missing(bool),
    /// Text to find.
    Text(String, TextMatch),
    /// System (`None`: any, empty: none) and code (`None`: any).
    Token(Option<String>, Option<String>),
    /// Type (if said), id or URL.
    Reference(Option<String>, String),
    /// Dates.
    Date(Prefix, Range),
    /// Number with half of its last digit's worth, then system and unit.
    Quantity(Prefix, Decimal, Decimal, Option<String>, Option<String>),
    /// URI.
    Uri(String),
}

/// How text is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextMatch {
    /// At the start.
    Start,
    /// Anywhere.
    Anywhere,
    /// The whole, as written.
    Exact,
}

impl Test {
    /// Reads a value; `base` is our own absolute URL, taken off references.
    pub fn read(kind: ParameterKind, modifier: Option<&Modifier>, text: &str, base: &str) -> Option<Self> {
        if modifier == Some(&Modifier::Missing) {
            return Some(Self::Missing(text.parse().ok()?));
        }
        Some(match (kind, modifier) {
            (_, Some(Modifier::Text)) => Self::Text(fold(text), TextMatch::Start),
            (ParameterKind::Token, _) | (_, Some(Modifier::Identifier)) => token(text),
            (ParameterKind::Text, Some(Modifier::Exact)) => Self::Text(text.to_owned(), TextMatch::Exact),
            (ParameterKind::Text, Some(Modifier::Contains)) => Self::Text(fold(text), TextMatch::Anywhere),
            (ParameterKind::Text, _) => Self::Text(fold(text), TextMatch::Start),
            (ParameterKind::Reference, modifier) => reference(text, modifier, base),
            (ParameterKind::Date, _) => {
                let (prefix, text) = Prefix::split(text);
                Self::Date(prefix, Range::parse(text)?)
            }
            (ParameterKind::Number | ParameterKind::Quantity, _) => quantity(text)?,
            (ParameterKind::Uri, _) => Self::Uri(text.to_owned()),
        })
    }

    /// Whether an element that the parameter found fits. `:missing` is decided by the caller.
    pub fn fits(&self, element: &Value, base: &str, now: Timestamp) -> bool {
        match self {
            Self::Missing(_) => false,
            Self::Text(text, how) => texts(element).any(|found| match how {
                TextMatch::Exact => found == text,
                TextMatch::Start => fold(found).starts_with(text.as_str()),
                TextMatch::Anywhere => fold(found).contains(text.as_str()),
            }),
            Self::Token(system, code) => tokens(element).any(|(found_system, found)| {
                let system = system.as_deref().is_none_or(|system| found_system.unwrap_or_default() == system);
                system && code.as_deref().is_none_or(|code| found.as_deref() == Some(code))
            }),
            Self::Reference(kind, id) => {
                let Some(text) = reference_text(element) else { return false };
                match local(text, base) {
                    Some((found_kind, found)) => found == id && kind.as_deref().is_none_or(|kind| kind == found_kind),
                    None => text == id,
                }
            }
            Self::Date(prefix, range) => Range::of(element).is_some_and(|found| prefix.holds(found, *range, now)),
            Self::Quantity(prefix, value, slack, system, unit) => {
                amount(element).is_some_and(|found| compare(*prefix, found, *value, *slack))
                    && says(element, "system", system.as_deref())
                    && (says(element, "code", unit.as_deref()) || says(element, "unit", unit.as_deref()))
            }
            Self::Uri(uri) => element.as_str() == Some(uri),
        }
    }
}

fn token(text: &str) -> Test {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match text.split_once('|') {
        Some((system, code)) => Test::Token(Some(system.to_owned()), filled(code)),
        None => Test::Token(None, Some(text.to_owned())),
    }
}

fn reference(text: &str, modifier: Option<&Modifier>, base: &str) -> Test {
    if let Some((kind, id)) = local(text, base) {
        return Test::Reference(Some(kind.to_owned()), id.to_owned());
    }
    let kind = if let Some(Modifier::Type(kind)) = modifier { Some(kind.clone()) } else { None };
    Test::Reference(kind, text.to_owned())
}

/// Type and id of a reference that points here.
pub fn local<'t>(text: &'t str, base: &str) -> Option<(&'t str, &'t str)> {
    match Reference::parse(text) {
        Reference::Literal { base: own, kind, id, .. } if own.is_empty() || own == base => Some((kind, id)),
        _ => None,
    }
}

/// The text of a Reference, canonical or URI element.
pub fn reference_text(element: &Value) -> Option<&str> {
    element.as_str().or_else(|| element.get("reference")?.as_str())
}

/// Number with the slack of its written precision: 100 is 100 ± 0.5, 100.00 is 100 ± 0.005.
fn quantity(text: &str) -> Option<Test> {
    let (prefix, rest) = Prefix::split(text);
    let mut parts = rest.splitn(3, '|');
    let value = parts.next()?;
    let number = Decimal::from_str(value).or_else(|_| Decimal::from_scientific(value)).ok()?;
    let slack = Decimal::new(5, number.scale().saturating_add(1).min(28));
    let filled = |part: Option<&str>| part.filter(|part| !part.is_empty()).map(str::to_owned);
    let (system, unit) = (filled(parts.next()), filled(parts.next()));
    Some(Test::Quantity(prefix, number, slack, system, unit))
}

fn amount(element: &Value) -> Option<Decimal> {
    let number = if element.is_number() { element } else { element.get("value")? };
    let text = number.as_number()?.as_str();
    Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

fn compare(prefix: Prefix, found: Decimal, asked: Decimal, slack: Decimal) -> bool {
    let near = |slack: Decimal| {
        let (low, high) = (asked.saturating_sub(slack), asked.saturating_add(slack));
        low <= found && found < high
    };
    match prefix {
        Prefix::Eq => near(slack),
        Prefix::Ne => !near(slack),
        Prefix::Gt | Prefix::Sa => found > asked,
        Prefix::Lt | Prefix::Eb => found < asked,
        Prefix::Ge => found >= asked,
        Prefix::Le => found <= asked,
        Prefix::Ap => near((asked.abs() / Decimal::TEN).max(slack)),
    }
}

fn says(element: &Value, name: &str, asked: Option<&str>) -> bool {
    asked.is_none_or(|asked| element.get(name).and_then(Value::as_str) == Some(asked))
}

/// System and code of whatever a token parameter finds: code, flag, Coding, CodeableConcept, Identifier, ContactPoint.
pub fn tokens(element: &Value) -> Box<dyn Iterator<Item = (Option<&str>, Option<String>)> + '_> {
    let text = |name: &str| element.get(name).and_then(Value::as_str);
    match element {
        Value::String(code) => Box::new(std::iter::once((None, Some(code.clone())))),
        Value::Bool(flag) => Box::new(std::iter::once((None, Some(flag.to_string())))),
        Value::Object(members) => {
            if let Some(Value::Array(codings)) = members.get("coding") {
                return Box::new(codings.iter().flat_map(|coding| tokens(coding)));
            }
            let code = text("code").or_else(|| text("value")).map(str::to_owned);
            Box::new(std::iter::once((text("system"), code)))
        }
        _ => Box::new(std::iter::empty()),
    }
}

/// The texts that a string parameter finds: itself, or the parts of a name, an address, a coded value.
fn texts(element: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    const NOT_TEXT: [&str; 6] = ["use", "system", "period", "extension", "id", "code"];
    match element {
        Value::String(text) => Box::new(std::iter::once(text.as_str())),
        Value::Array(items) => Box::new(items.iter().flat_map(texts)),
        Value::Object(members) => Box::new(
            members
                .iter()
                .filter(|(name, _)| !NOT_TEXT.contains(&name.as_str()) && !name.starts_with('_'))
                .flat_map(|(_, value)| texts(value)),
        ),
        _ => Box::new(std::iter::empty()),
    }
}

/// The text that a result is sorted by; numbers are filled up so that they sort as numbers.
pub fn first_text(element: &Value) -> Option<String> {
    if let Some(amount) = amount(element) {
        let shifted = amount.saturating_add(Decimal::from(1_000_000_000_000_u64));
        return Some(format!("{shifted:0>30.10}"));
    }
    texts(element).next().map(str::to_owned)
}

/// Without case, and without the accents of Latin letters.
pub fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            'à'..='å' | 'ā' | 'ă' | 'ą' => 'a',
            'ç' | 'ć' | 'č' => 'c',
            'ď' | 'đ' => 'd',
            'è'..='ë' | 'ē' | 'ę' | 'ě' => 'e',
            'ğ' => 'g',
            'ì'..='ï' | 'ī' | 'ı' => 'i',
            'ł' => 'l',
            'ñ' | 'ń' | 'ň' => 'n',
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => 'o',
            'ř' => 'r',
            'ś' | 'š' | 'ş' | 'ș' => 's',
            'ť' | 'ţ' | 'ț' => 't',
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => 'u',
            'ý' | 'ÿ' => 'y',
            'ź' | 'ż' | 'ž' => 'z',
            other => other,
        })
        // Combining marks, and the dot that lower-casing İ leaves behind.
        .filter(|letter| !('\u{300}'..='\u{36f}').contains(letter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::read_str;

    const BASE: &str = "http://here/fhir";

    fn fits(kind: ParameterKind, modifier: Option<Modifier>, asked: &str, element: &str) -> bool {
        let test = Test::read(kind, modifier.as_ref(), asked, BASE).unwrap();
        test.fits(&read_str(element).unwrap(), BASE, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn tokens_and_references() {
        use ParameterKind::{Reference, Token};
        let identifier = r#"{"system":"urn:x","value":"7"}"#;
        assert!(fits(Token, None, "urn:x|7", identifier));
        assert!(fits(Token, None, "7", identifier));
        assert!(fits(Token, None, "urn:x|", identifier));
        assert!(!fits(Token, None, "|7", identifier));
        assert!(!fits(Token, None, "urn:y|7", identifier));
        assert!(fits(Token, None, "|7", r#"{"value":"7"}"#));
        assert!(fits(Token, None, "s|b", r#"{"coding":[{"system":"s","code":"a"},{"system":"s","code":"b"}]}"#));
        assert!(fits(Token, None, "true", "true"));
        assert!(fits(Reference, None, "Patient/1", r#"{"reference":"Patient/1"}"#));
        assert!(fits(Reference, None, "http://here/fhir/Patient/1", r#"{"reference":"Patient/1/_history/3"}"#));
        assert!(fits(Reference, None, "1", r#"{"reference":"http://here/fhir/Patient/1"}"#));
        assert!(!fits(Reference, None, "Group/1", r#"{"reference":"Patient/1"}"#));
        assert!(!fits(Reference, Some(Modifier::Type("Group".into())), "1", r#"{"reference":"Patient/1"}"#));
        assert!(!fits(Reference, None, "Patient/1", r#"{"reference":"http://there/fhir/Patient/1"}"#));
    }

    #[test]
    fn texts_and_numbers() {
        use ParameterKind::{Quantity, Text};
        let name = r#"{"use":"official","family":"Núñez","given":["José"]}"#;
        assert!(fits(Text, None, "nunez", name));
        assert!(fits(Text, None, "JOSE", name));
        assert!(!fits(Text, None, "official", name));
        assert!(!fits(Text, Some(Modifier::Exact), "nunez", name));
        assert!(fits(Text, Some(Modifier::Contains), "une", name));
        let weight = r#"{"value":5.40,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}"#;
        assert!(fits(Quantity, None, "5.4", weight));
        assert!(fits(Quantity, None, "5.4|http://unitsofmeasure.org|mg", weight));
        assert!(!fits(Quantity, None, "5.4||kg", weight));
        assert!(fits(Quantity, None, "lt5.5", weight) && !fits(Quantity, None, "gt5.4", weight));
        assert!(fits(Quantity, None, "ap5", weight));
    }
}
