//! StructureDefinition: whether a definition is coherent with what it derives from, and its differential and snapshot
//! with both. Where the base is not at hand, nothing can be said. <https://hl7.org/fhir/R4/structuredefinition.html>

use std::sync::Arc;

use serde_json::Value;

use super::{extension_text, extensions, text};
use crate::{
    definitions::{Kind, Structure},
    profile::{place::Place, say::Say, types::TypePlan, walk::Walk},
};

/// A profile that claims to meet all that another demands.
const COMPLIES_WITH: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-compliesWithProfile";

/// The definition that is looked at.
pub struct Subject<'a> {
    /// The definition of StructureDefinition, as the source of rules.
    pub rules: Arc<Structure>,
    /// The resource.
    pub value: &'a Value,
    /// Canonical.
    pub url: &'a str,
    /// `url|version`.
    pub versioned: String,
    /// `type`, without the URL before a logical model's.
    pub type_name: &'a str,
    /// What it derives from.
    pub base: Arc<Structure>,
    /// Derivation is constraint.
    pub is_profile: bool,
}

impl<'a> Walk<'a> {
    /// A `StructureDefinition`.
    pub fn structure_definition(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        let rules = Arc::clone(&plan.structure);
        self.extension_definition(&rules, value, place);
        let Some(canonical) = text(value, "baseDefinition") else { return };
        if let Some(circle) = self.types.definitions.circle_of(value) {
            let sentence = format!("what this derives from leads back to it: {}", circle.join(" -> "));
            let say = Say::error("business-rule", "profile-circle", sentence);
            return self.raise(&place.plain("baseDefinition", None), Some(&rules), say);
        }
        let Some(base) = self.types.definitions.structure(canonical) else {
            let sentence = "what this derives from is not at hand, so that its elements were not checked";
            let say = Say::warning("not-found", "base-definition", sentence);
            return self.raise(&place.plain("baseDefinition", None), Some(&rules), say);
        };
        let url = text(value, "url").unwrap_or_default();
        let subject = Subject {
            rules,
            value,
            url,
            versioned: format!("{url}|{}", text(value, "version").unwrap_or_default()),
            type_name: text(value, "type").and_then(|of| of.rsplit('/').next()).unwrap_or_default(),
            base,
            is_profile: text(value, "derivation") == Some("constraint"),
        };
        self.coherence(&subject, place);
        if let Some(differential) = value.get("differential") {
            self.differential(&subject, differential, &place.plain("differential", None));
        }
        if let Some(snapshot) = value.get("snapshot") {
            self.snapshot(&subject, snapshot, &place.plain("snapshot", None));
        }
        self.complies(&subject, place);
        self.obligations(&subject, place);
    }

    /// Type, kind and derivation against the base's.
    fn coherence(&mut self, subject: &Subject<'a>, place: &Place<'_>) {
        let (base, kind) = (&subject.base, text(subject.value, "kind").unwrap_or_default());
        let own = text(subject.value, "type").unwrap_or_default();
        let wrong = |walk: &mut Self, name: &str, sentence: String| {
            let say = Say::error("business-rule", "profile-type", sentence);
            walk.raise(&place.plain(name, None), Some(&subject.rules), say);
        };
        let base_kind = match base.kind {
            Kind::Primitive => "primitive-type",
            Kind::Complex => "complex-type",
            Kind::Resource => "resource",
            Kind::Logical => "logical",
        };
        match text(subject.value, "derivation") {
            None => wrong(self, "derivation", "what derives from another must say how: 'derivation' is missing".into()),
            Some("constraint") => {
                if own != base.type_name && !own.is_empty() {
                    let sentence = format!(
                        "a profile of {} must have the type {}, not {own}",
                        crate::domain::a(&base.type_name),
                        base.type_name
                    );
                    wrong(self, "type", sentence);
                }
                if kind != base_kind {
                    wrong(
                        self,
                        "kind",
                        format!("a profile of a {base_kind} must have the kind {base_kind}, not {kind}"),
                    );
                }
            }
            Some(_) => {
                if own == base.type_name {
                    wrong(self, "type", format!("a new type cannot have the type of its base, {own}"));
                }
                if !base.is_abstract && kind != base_kind {
                    wrong(self, "kind", format!("its base is a {base_kind}, so that it cannot be a {kind}"));
                }
            }
        }
    }

    /// Profiles that this one claims to comply with must be for the same type and must not demand what this contradicts.
    fn complies(&mut self, subject: &Subject<'a>, place: &Place<'_>) {
        if extensions(subject.value, COMPLIES_WITH).next().is_none() {
            return;
        }
        let derived = self.types.definitions.derive(subject.value);
        let Some(own) = self.types.definitions.structure_of(subject.value, &derived.elements) else { return };
        for claim in extensions(subject.value, COMPLIES_WITH) {
            let Some(canonical) = claim
                .as_object()
                .into_iter()
                .flatten()
                .find_map(|(name, value)| name.starts_with("value").then(|| value.as_str())?)
            else {
                continue;
            };
            let say = match self.types.definitions.structure(canonical) {
                None => {
                    let sentence = format!("the profile {canonical} that this claims to comply with is not at hand");
                    Say::error("not-found", "complies-with", sentence)
                }
                Some(other) => match contradiction(subject, &own, &other) {
                    Some(sentence) => Say::error("business-rule", "complies-with", sentence),
                    None => continue,
                },
            };
            self.raise(place, Some(&subject.rules), say);
        }
    }

    /// What a definition of an extension needs, and what none but extensions may have.
    fn extension_definition(&mut self, rules: &Arc<Structure>, value: &'a Value, place: &Place<'_>) {
        self.contexts(rules, value, place);
        if text(value, "type") != Some("Extension")
            || text(value, "baseDefinition") != Some("http://hl7.org/fhir/StructureDefinition/Extension")
        {
            return;
        }
        let Some(url) = text(value, "url") else { return };
        let elements = value.pointer("/differential/element").and_then(Value::as_array).into_iter().flatten();
        let stated =
            elements.filter(|it| text(it, "path") == Some("Extension.url")).find_map(|it| text(it, "fixedUri"));
        let sentence = match stated {
            Some(stated) if stated == url => return,
            Some(_) => "the URL that the extension fixes at Extension.url is not its own",
            None => "an extension must fix its own URL at Extension.url in the differential",
        };
        self.raise(place, Some(rules), Say::error("invalid", "extension-definition-url", sentence));
    }
}

/// The first demand of `other` that the subject's elements plainly do not make.
fn contradiction(subject: &Subject<'_>, own: &Structure, other: &Structure) -> Option<String> {
    if other.type_name != subject.type_name {
        return Some(format!("it claims to comply with {}, which is for {}", other.url, other.type_name));
    }
    let differs = |demand: &crate::definitions::Element| {
        let own = own.element(&demand.id)?;
        let too_many = match (own.max, demand.max) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(own), Some(max)) => own > max,
        };
        let fixed = |one: &crate::definitions::Element| one.fixed.clone().or_else(|| one.pattern.clone());
        let types = !demand.types.is_empty()
            && own.types.iter().any(|ty| !demand.types.iter().any(|other| other.code == ty.code));
        let what = if own.min < demand.min || too_many {
            "its cardinality is wider"
        } else if types {
            "it allows more types"
        } else if fixed(demand).is_some() && fixed(own).is_none() && own.slicing.is_none() {
            "it leaves out a fixed value"
        } else {
            return None;
        };
        Some(format!("it claims to comply with {}, but at {} {what}", other.url, demand.id))
    };
    other.elements.iter().find_map(differs)
}

/// Whether a definition is a logical model that stands in JSON under a name of its own.
pub fn has_json_name(value: &Value) -> bool {
    const NAMES: [&str; 2] = [
        "http://hl7.org/fhir/tools/StructureDefinition/json-name",
        "http://hl7.org/fhir/tools/StructureDefinition/elementdefinition-json-name",
    ];
    let root = value.pointer("/snapshot/element/0").or_else(|| value.pointer("/differential/element/0"));
    root.is_some_and(|root| NAMES.iter().any(|name| extension_text(root, name).is_some()))
}
