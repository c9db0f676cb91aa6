//! Errors of the specification itself: a checked-in list, applied when the core pack is made, and reported.

use std::sync::LazyLock;

use serde::Deserialize;

use super::{
    Error,
    compile::FHIR_TYPE,
    structure::{ContextKind, ExtensionContext},
};
use crate::fhir::Value;

/// What kind of place an erratum mends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The expression of an invariant, by its key.
    Invariant,
    /// The FHIR type of elements, by their base path.
    Type,
    /// The expression of a search parameter, by its URL.
    SearchParameter,
    /// Where an extension may stand, by its URL; `becomes` may name several places. Mended when it is read.
    Context,
}

/// One error of the specification.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erratum {
    /// Short name.
    pub id: String,
    /// What it mends.
    pub kind: Place,
    /// Which.
    pub key: String,
    /// What the specification says.
    pub was: String,
    /// What is meant; without it the erratum is only noted.
    pub becomes: Option<String>,
    /// Why that is certain.
    pub why: String,
    /// How many places had it.
    #[serde(skip)]
    pub places: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    erratum: Vec<Erratum>,
}

/// Reads the list.
///
/// # Errors
/// [`Error::Unreadable`] if it is not as documented at its head.
pub fn read(text: &str) -> Result<Vec<Erratum>, Error> {
    toml::from_str::<List>(text)
        .map(|list| list.erratum)
        .map_err(|error| Error::unreadable("errata.toml", error.message().to_owned()))
}

/// The list of the embedded core pack.
///
/// # Errors
/// As [`read`].
pub fn embedded() -> Result<Vec<Erratum>, Error> {
    let bytes = crate::embedded::find(crate::embedded::PROFILES, "core/errata.toml").unwrap_or_default();
    read(&String::from_utf8_lossy(bytes))
}

/// Applies the errata to one resource and counts the places.
pub fn apply(errata: &mut [Erratum], resource: &mut Value) {
    for erratum in errata {
        match erratum.kind {
            Place::SearchParameter => {
                if resource.get("url").and_then(Value::as_str) == Some(&erratum.key) {
                    replace(erratum, resource.get_mut("expression"));
                }
            }
            Place::Context => {
                let contexts = resource.get("context").and_then(Value::as_array);
                let says = |it: &Value| it.get("expression").and_then(Value::as_str) == Some(&erratum.was);
                let found = contexts.into_iter().flatten().any(says);
                // Only counted: `widen` mends it.
                erratum.places +=
                    usize::from(found && resource.get("url").and_then(Value::as_str) == Some(&erratum.key));
            }
            Place::Invariant => each_element(resource, |element| {
                let constraints = element.get_mut("constraint").and_then(Value::as_array_mut);
                for constraint in constraints.into_iter().flatten() {
                    if constraint.get("key").and_then(Value::as_str) == Some(&erratum.key) {
                        replace(erratum, constraint.get_mut("expression"));
                    }
                }
            }),
            Place::Type => each_element(resource, |element| {
                if element.pointer("/base/path").and_then(Value::as_str) != Some(&erratum.key) {
                    return;
                }
                let types = element.get_mut("type").and_then(Value::as_array_mut).into_iter().flatten();
                for extension in types.filter_map(|of| of.get_mut("extension")?.as_array_mut()).flatten() {
                    if extension.get("url").and_then(Value::as_str) == Some(FHIR_TYPE) {
                        replace(erratum, extension.get_mut("valueUrl"));
                    }
                }
            }),
        }
    }
}

fn each_element(resource: &mut Value, mut work: impl FnMut(&mut Value)) {
    for part in ["snapshot", "differential"] {
        let elements = resource.get_mut(part).and_then(|part| part.get_mut("element")).and_then(Value::as_array_mut);
        elements.into_iter().flatten().for_each(&mut work);
    }
}

/// Where extensions may stand, mended when a definition is read: packages bring definitions of the same extensions, and
/// which of them is meant is decided late.
pub(super) fn widen(url: &str, contexts: &mut Vec<ExtensionContext>) {
    static LIST: LazyLock<Vec<Erratum>> = LazyLock::new(|| {
        let mut list = embedded().unwrap_or_default();
        list.retain(|erratum| erratum.kind == Place::Context);
        list
    });
    for erratum in LIST.iter().filter(|erratum| erratum.key == url) {
        let (Some(becomes), Some(at)) =
            (&erratum.becomes, contexts.iter().position(|context| context.expression == erratum.was))
        else {
            continue;
        };
        let place =
            |expression: &str| ExtensionContext { kind: ContextKind::Element, expression: expression.to_owned() };
        contexts.splice(at..=at, becomes.split_whitespace().map(place));
    }
}

fn replace(erratum: &mut Erratum, text: Option<&mut Value>) {
    if let Some(text) = text.filter(|text| text.as_str() == Some(&erratum.was)) {
        erratum.places += 1;
        if let Some(becomes) = &erratum.becomes {
            *text = Value::String(becomes.clone());
        }
    }
}
