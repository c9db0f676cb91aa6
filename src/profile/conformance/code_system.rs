//! CodeSystem: supplements, declared properties and their use (<https://hl7.org/fhir/R4/codesystem.html>).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{list, text};
use crate::{
    definitions::Membership,
    profile::{place::Place, say::Say, types::TypePlan, walk::Walk},
};

const KNOWN: &str = "http://hl7.org/fhir/concept-properties#";

/// The properties that FHIR defines, with their types.
const PROPERTIES: &[(&str, &str)] = &[
    ("status", "code"),
    ("inactive", "boolean"),
    ("effectiveDate", "dateTime"),
    ("deprecated", "dateTime"),
    ("deprecationDate", "dateTime"),
    ("retirementDate", "dateTime"),
    ("notSelectable", "boolean"),
    ("parent", "code"),
    ("child", "code"),
    ("partOf", "code"),
    ("synonym", "code"),
    ("comment", "string"),
    ("itemWeight", "decimal"),
];

impl<'a> Walk<'a> {
    /// A `CodeSystem`.
    pub fn code_system(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        let mut types = HashMap::new();
        self.declared(plan, value, place, &mut types);
        if let Some(supplemented) = text(value, "supplements") {
            if text(value, "content") != Some("supplement") {
                let sentence = "a code system that supplements another must have the content 'supplement'";
                let say = Say::error("business-rule", "supplement", sentence);
                self.raise(&place.plain("content", None), Some(&plan.structure), say);
            }
            self.supplement(plan, supplemented, value, place);
        }
        self.concepts(plan, list(value, "concept"), place, &types, &mut HashSet::new());
    }

    fn declared(
        &mut self,
        plan: &'a TypePlan,
        value: &'a Value,
        place: &Place<'_>,
        types: &mut HashMap<&'a str, &'a str>,
    ) {
        let mut uris = HashSet::new();
        for (index, property) in list(value, "property").iter().enumerate() {
            let at = place.plain("property", Some(index));
            let wrong = |walk: &mut Self, sentence: String| {
                walk.raise(&at, Some(&plan.structure), Say::error("business-rule", "concept-property", sentence));
            };
            let (code, kind) = (text(property, "code").unwrap_or_default(), text(property, "type").unwrap_or_default());
            if types.contains_key(code) {
                wrong(self, "this property's code is declared already".to_owned());
            } else {
                types.insert(code, kind);
            }
            let Some(uri) = text(property, "uri") else { continue };
            if !uris.insert(uri) {
                wrong(self, "this property's URI is declared already".to_owned());
            }
            let Some((name, right)) =
                uri.strip_prefix(KNOWN).and_then(|name| PROPERTIES.iter().find(|known| known.0 == name))
            else {
                continue;
            };
            if kind != *right {
                wrong(self, format!("the property {name} has the type {right}, not {kind}"));
            }
            if code != *name && PROPERTIES.iter().any(|known| known.0 == code) {
                wrong(self, format!("the code '{code}' is that of another known property than the URI"));
            }
        }
    }

    /// Concepts at every depth: codes once each, properties as declared.
    fn concepts(
        &mut self,
        plan: &'a TypePlan,
        concepts: &'a [Value],
        place: &Place<'_>,
        types: &HashMap<&str, &str>,
        seen: &mut HashSet<&'a str>,
    ) {
        for (index, concept) in concepts.iter().enumerate() {
            let at = place.plain("concept", Some(index));
            if text(concept, "code").is_some_and(|code| !seen.insert(code)) {
                let sentence = "this code stands in the code system more than once";
                self.raise(&at, Some(&plan.structure), Say::error("business-rule", "duplicate-code", sentence));
            }
            for (number, property) in list(concept, "property").iter().enumerate() {
                let code = text(property, "code").unwrap_or_default();
                let given = property.as_object().into_iter().flatten().find_map(|(key, _)| key.strip_prefix("value"));
                let declared = types.get(code).copied().or_else(|| implicit(code));
                let place = at.plain("property", Some(number));
                match (declared, given) {
                    (Some(declared), Some(given)) if !declared.eq_ignore_ascii_case(given) => {
                        let sentence = format!(
                            "the property '{}' is declared to be of type {declared}",
                            crate::profile::suggest::name(code)
                        );
                        self.raise(
                            &place,
                            Some(&plan.structure),
                            Say::error("business-rule", "concept-property", sentence),
                        );
                    }
                    (None, _) => {
                        let sentence = "this property is not declared in CodeSystem.property";
                        self.raise(
                            &place,
                            Some(&plan.structure),
                            Say::warning("business-rule", "concept-property", sentence),
                        );
                    }
                    _ => {}
                }
            }
            self.concepts(plan, list(concept, "concept"), &at, types, seen);
        }
    }

    /// Codes of a supplement must exist in what it supplements.
    fn supplement(&mut self, plan: &'a TypePlan, supplemented: &str, value: &'a Value, place: &Place<'_>) {
        let Some(base) = self.types.definitions.code_system(supplemented) else { return };
        for (index, concept) in list(value, "concept").iter().enumerate() {
            if text(concept, "code").is_some_and(|code| base.contains(code) == Membership::No) {
                let sentence = "this code does not exist in the code system that is supplemented";
                let at = place.plain("concept", Some(index));
                self.raise(&at, Some(&plan.structure), Say::error("code-invalid", "supplement", sentence));
            }
        }
    }
}

/// Properties that need no declaration.
fn implicit(code: &str) -> Option<&'static str> {
    PROPERTIES.iter().find(|known| known.0 == code).map(|known| known.1)
}
