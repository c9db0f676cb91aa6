//! Where an extension says that it may stand: elements that exist, expressions that can be read, and none of it on what is
//! no extension. <https://hl7.org/fhir/R4/defining-extensions.html#context>

use std::sync::Arc;

use serde_json::Value;

use super::{extension_text, extensions, found::Found, list, structure::has_json_name, text};
use crate::{
    definitions::Structure,
    fhirpath::Expression,
    profile::{place::Place, say::Say, suggest, walk::Walk},
};

/// Names that R5 gives to families of types; published extensions for R4 use them too.
const FAMILIES: &[&str] =
    &["Base", "DataType", "BackboneType", "PrimitiveType", "CanonicalResource", "MetadataResource", "Element", "*"];
/// A context that is meant for other versions of FHIR.
const OTHER_VERSIONS: &str = "http://hl7.org/fhir/StructureDefinition/version-specific-use";

impl<'a> Walk<'a> {
    /// `context` and `contextInvariant`.
    pub fn contexts(&mut self, rules: &Arc<Structure>, value: &'a Value, place: &Place<'_>) {
        let is_extension = text(value, "type") == Some("Extension");
        for name in ["context", "contextInvariant"] {
            if is_extension || list(value, name).is_empty() || (name == "context" && has_json_name(value)) {
                continue;
            }
            let sentence = format!("'{name}' says where an extension may stand, and this defines none");
            let say = Say::error("invalid", "extension-context", sentence);
            self.raise(&place.plain(name, Some(0)), Some(rules), say);
        }
        if !is_extension {
            return;
        }
        for (index, context) in list(value, "context").iter().enumerate() {
            let Some(expression) = text(context, "expression") else { continue };
            let wrong = match text(context, "type") {
                Some("element") => self.is_nowhere(context, expression).then(|| {
                    format!("there is no element {} for the extension to stand on", suggest::name(expression))
                }),
                Some("fhirpath") => Expression::parse(expression)
                    .err()
                    .map(|error| format!("the context cannot be read as FHIRPath: {error}")),
                _ => None,
            };
            if let Some(sentence) = wrong {
                let at = place.plain("context", Some(index));
                self.raise(&at, Some(rules), Say::error("invalid", "extension-context", sentence));
            }
        }
        for (index, invariant) in list(value, "contextInvariant").iter().enumerate() {
            let Some(Err(error)) = invariant.as_str().map(Expression::parse) else { continue };
            let sentence = format!("the context invariant cannot be read as FHIRPath: {error}");
            let at = place.plain("contextInvariant", Some(index));
            self.raise(&at, Some(rules), Say::error("invalid", "extension-context", sentence));
        }
    }

    fn is_nowhere(&self, context: &Value, path: &str) -> bool {
        // An element of some profile, which need not be at hand.
        let elsewhere = path.contains(['/', '#']) || extension_text(context, OTHER_VERSIONS).is_some();
        let other_versions = extensions(context, OTHER_VERSIONS).next().is_some();
        !elsewhere && !other_versions && !FAMILIES.contains(&path) && Found::path(self.types, path).is_none()
    }
}
