//! What a dialect does not take of a field, though FHIR would (`forbid:` with a test).

use serde_json::Value;

use super::Name;
use crate::{domain::Time, fhir::canonically_equal};

/// A field and what of it is refused.
#[derive(Debug)]
pub(crate) struct Limit {
    /// From the object down; lists on the way are gone through.
    pub(crate) path: Vec<Name>,
    pub(crate) test: Refuse,
    pub(crate) why: Name,
}

/// What is refused.
#[derive(Debug)]
pub(crate) enum Refuse {
    /// These values.
    Values(Vec<Value>),
    /// Any but these.
    OtherThan(Vec<Value>),
    /// Any media type but these; parameters like a charset are not looked at.
    MediaTypes(Vec<String>),
    /// A text of more characters.
    LongerThan(usize),
    /// A list of more items.
    MoreThan(usize),
    /// A date without a time.
    WithoutTime,
    /// A new object that lacks the field.
    Missing,
}

impl Refuse {
    /// Whether the test is about a whole field, and not about each item where the field is a list.
    pub(crate) const fn is_of_whole(&self) -> bool {
        matches!(self, Self::MoreThan(_) | Self::Missing)
    }

    /// Whether a value that is there is refused.
    pub(crate) fn catches(&self, value: &Value) -> bool {
        let among = |values: &[Value]| values.iter().any(|own| canonically_equal(own, value));
        match self {
            Self::Values(values) => among(values),
            Self::OtherThan(values) => !among(values),
            Self::MediaTypes(types) => value.as_str().is_some_and(|text| {
                let bare = text.split(';').next().unwrap_or(text).trim();
                !types.iter().any(|own| own.eq_ignore_ascii_case(bare))
            }),
            Self::LongerThan(most) => value.as_str().is_some_and(|text| text.chars().count() > *most),
            Self::MoreThan(most) => value.as_array().is_some_and(|items| items.len() > *most),
            Self::WithoutTime => {
                value.as_str().and_then(|text| Time::parse(text).ok()).is_some_and(|time| time.is_date())
            }
            Self::Missing => false,
        }
    }

    /// What the caller can do.
    pub(crate) fn remedy(&self) -> String {
        let all = |values: &[Value]| {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            values.iter().map(text).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Values(_) => "choose another value".to_owned(),
            Self::OtherThan(values) => format!("use one of: {}", all(values)),
            Self::MediaTypes(types) => format!("send it in one of these forms: {}", types.join(", ")),
            Self::LongerThan(most) => format!("shorten it to {most} characters"),
            Self::MoreThan(most) => format!("keep at most {most}"),
            Self::WithoutTime => "add the time of day, or leave the field out".to_owned(),
            Self::Missing => "add it".to_owned(),
        }
    }
}

/// What to tell of a value and its pointer.
type Hear<'h, 'v> = &'h mut dyn FnMut(String, &'v Value);

/// The values at a path with their pointers; a list at the end is one value if `whole`, else each of its items is one.
pub(crate) fn found<'v>(value: &'v Value, path: &[Name], pointer: &str, whole: bool, hear: Hear<'_, 'v>) {
    match (path.split_first(), value) {
        (None, Value::Array(items)) if !whole => {
            items.iter().enumerate().for_each(|(at, item)| hear(format!("{pointer}/{at}"), item));
        }
        (None, value) => hear(pointer.to_owned(), value),
        (Some(_), Value::Array(items)) => {
            items.iter().enumerate().for_each(|(at, item)| found(item, path, &format!("{pointer}/{at}"), whole, hear));
        }
        (Some((name, rest)), Value::Object(members)) => {
            if let Some(inner) = members.get(&**name) {
                found(inner, rest, &format!("{pointer}/{name}"), whole, hear);
            }
        }
        _ => {}
    }
}
