//! CodeSystem: supplements, declared properties and their use (<https://hl7.org/fhir/R4/codesystem.html>).

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{list, number, text};
use crate::{
    definitions::{CodeSystem, Membership},
    profile::{elements::is_absolute, place::Place, say::Say, types::TypePlan, walk::Walk},
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

/// What a code system has and declares.
struct Known<'k, 'a> {
    codes: &'k HashSet<&'a str>,
    /// URIs of properties, by their codes.
    uris: HashMap<&'a str, &'a str>,
}

impl<'a> Walk<'a> {
    /// A `CodeSystem`.
    pub fn code_system(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        let mut types = HashMap::new();
        self.declared(plan, value, place, &mut types);
        let supplemented = text(value, "supplements");
        self.content(plan, value, supplemented.is_some(), place);
        if let Some(supplemented) = supplemented
            && let Some(base) = self.types.definitions.code_system(supplemented)
        {
            self.supplement(plan, &base, list(value, "concept"), place);
        }
        let mut codes = HashSet::new();
        self.concepts(plan, list(value, "concept"), place, &types, &mut codes);
        if supplemented.is_none() && text(value, "content") == Some("complete") {
            let declared = list(value, "property").iter();
            let uris = declared.filter_map(|it| Some((text(it, "code")?, text(it, "uri")?))).collect();
            self.internal(plan, list(value, "concept"), place, &Known { codes: &codes, uris });
            let stated = number(value.get("count"));
            let counted = u64::try_from(count(list(value, "concept"))).unwrap_or(u64::MAX);
            if let Some(stated) = stated.filter(|stated| *stated != counted) {
                let sentence = format!("'count' says {stated}, and {counted} concepts are here");
                let say = Say::error("invalid", "code-system-count", sentence);
                self.raise(&place.plain("count", None), Some(&plan.structure), say);
            }
        }
        self.whole_value_set(plan, value, place);
    }

    /// `content` against what is there.
    fn content(&mut self, plan: &'a TypePlan, value: &'a Value, supplements: bool, place: &Place<'_>) {
        let mut wrong = |name: &str, rule: &'static str, sentence: &str| {
            let at = place.plain(name, None);
            self.raise(&at, Some(&plan.structure), Say::error("business-rule", rule, sentence));
        };
        let content = text(value, "content");
        if supplements {
            if content != Some("supplement") {
                let sentence = "a code system that supplements another must have the content 'supplement'";
                wrong("content", "supplement", sentence);
            }
            if value.get("caseSensitive").is_some() {
                let sentence = "this is for the supplemented code system to say, not for a supplement";
                wrong("caseSensitive", "supplement", sentence);
            }
        } else if content == Some("supplement") {
            wrong("content", "supplement", "a supplement must say in 'supplements' what it supplements");
        } else if content == Some("not-present") && !list(value, "concept").is_empty() {
            wrong("concept", "code-system-content", "the content is 'not-present', so that there can be no concepts");
        }
    }

    /// The value set of all codes: of this system, and nothing but the whole of it.
    fn whole_value_set(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        let (Some(canonical), Some(url)) = (text(value, "valueSet"), text(value, "url")) else { return };
        let definitions = &self.types.definitions;
        let Some(set) = definitions.has(canonical, "ValueSet").then(|| definitions.resource(canonical)).flatten()
        else {
            return;
        };
        let includes = set.get("compose").map_or(&[] as &[Value], |compose| list(compose, "include"));
        let sentence = match includes {
            [include] if text(include, "system") != Some(url) => {
                "the value set of all codes is one of another code system"
            }
            [include] if ["concept", "filter", "valueSet"].iter().any(|name| include.get(*name).is_some()) => {
                "the value set of all codes has only a part of them"
            }
            [_] => return,
            _ => "the value set of all codes must include this code system and nothing else",
        };
        let say = Say::error("business-rule", "code-system-value-set", sentence);
        self.raise(&place.plain("valueSet", None), Some(&plan.structure), say);
    }

    /// Properties that name other concepts of this code system: surely if FHIR defines them so, by URI.
    fn internal(&mut self, plan: &'a TypePlan, concepts: &'a [Value], place: &Place<'_>, known: &Known<'_, 'a>) {
        for (index, concept) in concepts.iter().enumerate() {
            let at = place.plain("concept", Some(index));
            for (number, property) in list(concept, "property").iter().enumerate() {
                let (Some(name), Some(code)) = (text(property, "code"), text(property, "valueCode")) else { continue };
                let uri = known.uris.get(name).and_then(|uri| uri.strip_prefix(KNOWN));
                let certain = matches!(uri, Some("parent" | "child" | "partOf" | "synonym"));
                let likely = matches!(name, "parent" | "child" | "partOf" | "synonym");
                if (certain || likely) && !known.codes.contains(code) {
                    let sentence = format!(
                        "the property '{}' names a code that this code system does not have",
                        crate::profile::suggest::name(name)
                    );
                    let say = Say::error_if(certain, "code-invalid", "concept-property", sentence);
                    self.raise(&at.plain("property", Some(number)), Some(&plan.structure), say);
                }
            }
            self.internal(plan, list(concept, "concept"), &at, known);
        }
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
            if !is_absolute(uri) {
                wrong(self, "the URI of a property must be absolute".to_owned());
            }
            let own = text(value, "url").unwrap_or_default();
            let of_fhir = own.strip_prefix("http://hl7.org/fhir/").is_some_and(|name| !name.contains('/'));
            let known = uri.strip_prefix(KNOWN).is_some_and(|name| PROPERTIES.iter().any(|known| known.0 == name));
            let its_own = !own.is_empty() && uri.starts_with(own);
            if uri.contains("://hl7.org/fhir") && !known && !of_fhir && !its_own {
                wrong(self, "FHIR defines no property with this URI".to_owned());
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
                let declared = types.get(code).copied();
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
                    (None, _) if implicit(code).is_none() => {
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
    fn supplement(&mut self, plan: &'a TypePlan, base: &CodeSystem, concepts: &'a [Value], place: &Place<'_>) {
        for (index, concept) in concepts.iter().enumerate() {
            let at = place.plain("concept", Some(index));
            if text(concept, "code").is_some_and(|code| base.contains(code) == Membership::No) {
                let sentence = "this code does not exist in the code system that is supplemented";
                let say = Say::error_if(!base.may_have_more, "code-invalid", "supplement", sentence);
                self.raise(&at, Some(&plan.structure), say);
            }
            self.supplement(plan, base, list(concept, "concept"), &at);
        }
    }
}

fn count(concepts: &[Value]) -> usize {
    concepts.iter().map(|concept| 1 + count(list(concept, "concept"))).sum()
}

/// Properties that need no declaration.
fn implicit(code: &str) -> Option<&'static str> {
    PROPERTIES.iter().find(|known| known.0 == code).map(|known| known.1)
}
