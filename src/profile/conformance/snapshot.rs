//! The elements of a snapshot that comes with a definition: complete, of the right types, its rules readable.
//! <https://hl7.org/fhir/R4/structuredefinition.html#snapshot>, <https://hl7.org/fhir/R4/elementdefinition.html#interpretation>

use serde_json::Value;

use super::{choice, list, structure::Subject, text, types::codes};
use crate::{
    definitions::Kind,
    profile::{place::Place, say::Say, walk::Walk},
};

/// What the root of a snapshot never says; FHIR's table of interpretation.
const NOT_ON_ROOTS: &[&str] = &[
    "sliceName",
    "slicing",
    "requirements",
    "defaultValue",
    "fixed",
    "pattern",
    "example",
    "minValue",
    "maxValue",
    "maxLength",
];
/// What the elements of a new type never say.
const NOT_IN_TYPES: &[&str] = &["sliceName", "fixed", "pattern", "minValue", "maxValue", "maxLength"];

impl<'a> Walk<'a> {
    /// `snapshot`.
    pub fn snapshot(&mut self, subject: &Subject<'a>, snapshot: &'a Value, place: &Place<'_>) {
        let mut keys = super::constraints::Keys::default();
        for (index, element) in list(snapshot, "element").iter().enumerate() {
            let at = place.plain("element", Some(index));
            let path = text(element, "path").unwrap_or_default();
            if path.split('.').next() != Some(subject.type_name) && !subject.type_name.is_empty() {
                let sentence = format!("the element's path must start with {}", subject.type_name);
                self.raise(&at, Some(&subject.rules), Say::error("invalid", "element-path", sentence));
                continue;
            }
            if path.contains('.') && codes(element).is_empty() && text(element, "contentReference").is_none() {
                let sentence = format!("{path} has neither a type nor a reference to the content that it shares");
                self.raise(&at, Some(&subject.rules), Say::error("required", "element-type", sentence));
            }
            self.type_definitions(subject, element, &at);
            self.characteristics(subject, element, None, &at);
            self.snapshot_constraints(subject, element, &mut keys, &at);
            self.prohibited(subject, element, path, &at);
        }
    }

    /// What does not belong on a root, or into a new type.
    fn prohibited(&mut self, subject: &Subject<'a>, element: &'a Value, path: &str, at: &Place<'_>) {
        let Some(members) = element.as_object() else { return };
        // Of a primitive, the value is what the type is; FHIR's own say its bounds there.
        if subject.base.kind != Kind::Resource && path.ends_with(".value") {
            return;
        }
        let names = match (path.contains('.'), subject.is_profile) {
            (false, _) => NOT_ON_ROOTS,
            (true, false) => NOT_IN_TYPES,
            (true, true) => return,
        };
        for name in names {
            if members.contains_key(*name) || choice(members, name).is_some() {
                let sentence = format!("'{name}' does not belong on {path} of a snapshot");
                self.raise(at, Some(&subject.rules), Say::error("business-rule", "snapshot", sentence));
            }
        }
        if path.contains('.') && !subject.is_profile {
            for name in ["min", "max"].into_iter().filter(|name| !members.contains_key(*name)) {
                let sentence = format!("{path} of a snapshot must say its '{name}'");
                self.raise(at, Some(&subject.rules), Say::error("required", "snapshot", sentence));
            }
        }
    }
}
