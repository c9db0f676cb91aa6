//! What the REST semantics ask about FHIR's definitions: which types and search parameters there are, and what a
//! parameter's expression finds in a resource; and the hook that validates writes. Implemented in a room above.

use std::{borrow::Cow, sync::Arc};

use serde_json::Value;

use crate::fhir::outcome::Issue;

/// Types of search parameters (<https://hl7.org/fhir/R4/search.html#ptypes>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Decimal or integer.
    Number,
    /// Date, time, period.
    Date,
    /// Text, by start, without case and accents.
    Text,
    /// Code, identifier, flag.
    Token,
    /// Another resource.
    Reference,
    /// Number with unit.
    Quantity,
    /// URI.
    Uri,
}

impl ParameterKind {
    /// FHIR's code for it; `None` for composite and special ones, which are not supported.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Some(match code {
            "number" => Self::Number,
            "date" => Self::Date,
            "string" => Self::Text,
            "token" => Self::Token,
            "reference" => Self::Reference,
            "quantity" => Self::Quantity,
            "uri" => Self::Uri,
            _ => return None,
        })
    }
}

/// One search parameter of one type.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// As written in a query.
    pub name: String,
    /// How its values are compared.
    pub kind: ParameterKind,
    /// Types that a reference may point at; empty for any.
    pub targets: Vec<String>,
    /// Canonical URL of the definition; empty for built-in ones.
    pub url: String,
    /// FHIRPath expression; the model compiles it.
    pub expression: String,
}

/// The definitions as searching needs them.
pub trait SearchModel: Send + Sync {
    /// Resource types, sorted.
    fn types(&self) -> Vec<String>;
    /// Whether there is such a resource type.
    fn is_type(&self, kind: &str) -> bool;
    /// The type's parameters without the built-in `_id` and `_lastUpdated`.
    fn parameters(&self, kind: &str) -> Arc<[Arc<Parameter>]>;
    /// The elements that the parameter's expression finds in a resource.
    fn values<'r>(&self, parameter: &Parameter, resource: &'r Value) -> Vec<Cow<'r, Value>>;
}

/// Validates what is about to be written, and what `$validate` is asked about.
pub trait Check: Send + Sync {
    /// Everything found, against the base definition, the profiles that the resource claims, and `profiles`.
    fn check(&self, resource: &Value, profiles: &[String]) -> Vec<Issue>;
}

/// A model without definitions: any plausible type name, searchable by `identifier` only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bare;

impl SearchModel for Bare {
    fn types(&self) -> Vec<String> {
        Vec::new()
    }
    fn is_type(&self, kind: &str) -> bool {
        kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.bytes().all(|b| b.is_ascii_alphabetic())
    }
    fn parameters(&self, _kind: &str) -> Arc<[Arc<Parameter>]> {
        Arc::new([Arc::new(Parameter {
            name: "identifier".to_owned(),
            kind: ParameterKind::Token,
            targets: Vec::new(),
            url: String::new(),
            expression: "identifier".to_owned(),
        })])
    }
    fn values<'r>(&self, parameter: &Parameter, resource: &'r Value) -> Vec<Cow<'r, Value>> {
        match resource.get(&parameter.expression) {
            Some(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
            Some(one) => vec![Cow::Borrowed(one)],
            None => Vec::new(),
        }
    }
}
