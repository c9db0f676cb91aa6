//! The types that an element definition names: allowed by the base, their profiles and target profiles of the right type.
//! <https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.type>

use serde_json::{Map, Value};

use super::{
    characteristics::{Has, has},
    extension_text,
    found::derives,
    list,
    structure::Subject,
    text,
};
use crate::{
    definitions::{Kind, Structure},
    profile::{place::Place, say::Say, suggest, walk::Walk},
};

const FHIR_TYPE: &str = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type";

/// The FHIR type that a `type` means.
pub fn code_of(ty: &Value) -> Option<&str> {
    extension_text(ty, FHIR_TYPE).or_else(|| text(ty, "code"))
}

/// The codes of the types that an element definition names.
pub fn codes(element: &Value) -> Vec<&str> {
    list(element, "type").iter().filter_map(code_of).collect()
}

impl<'a> Walk<'a> {
    /// `type` of an element definition, by itself.
    pub fn type_definitions(&mut self, subject: &Subject<'a>, element: &'a Value, at: &Place<'_>) {
        let path = text(element, "path").unwrap_or_default();
        for (index, ty) in list(element, "type").iter().enumerate() {
            let Some(code) = code_of(ty) else { continue };
            let place = at.plain("type", Some(index));
            for (number, url) in list(ty, "profile").iter().enumerate() {
                let Some(url) = url.as_str() else { continue };
                let at = place.plain("profile", Some(number));
                self.type_profile(subject, code, url, path, &at);
            }
            for (number, url) in list(ty, "targetProfile").iter().enumerate() {
                let Some(url) = url.as_str() else { continue };
                let at = place.plain("targetProfile", Some(number));
                self.target_profile(subject, code, url, &at);
            }
        }
    }

    fn profile_at_hand(
        &mut self,
        subject: &Subject<'a>,
        url: &str,
        at: &Place<'_>,
    ) -> Option<std::sync::Arc<Structure>> {
        let found = self.types.definitions.structure(url);
        if found.is_none() && url != subject.url {
            let sentence = format!("the profile {} is not at hand", suggest::name(url));
            self.raise(at, Some(&subject.rules), Say::warning("not-found", "type-profile", sentence));
        }
        found
    }

    fn type_profile(&mut self, subject: &Subject<'a>, code: &str, url: &str, path: &str, at: &Place<'_>) {
        let Some(profile) = self.profile_at_hand(subject, url, at) else { return };
        let definitions = &self.types.definitions;
        let wrong = if !is_instance(definitions, &profile, code) {
            Some(format!("{} is a profile of {}, not of {code}", suggest::name(url), profile.type_name))
        } else if profile.type_name == "Extension" {
            let modifies = profile.elements.first().is_some_and(|root| root.is_modifier);
            match (modifies, path.ends_with(".modifierExtension")) {
                (true, false) => {
                    Some("this extension modifies, so that it belongs into 'modifierExtension'".to_owned())
                }
                (false, true) => Some("this extension does not modify, so that it belongs into 'extension'".to_owned()),
                _ => None,
            }
        } else {
            None
        };
        if let Some(sentence) = wrong {
            self.raise(at, Some(&subject.rules), Say::error("business-rule", "type-profile", sentence));
        }
    }

    fn target_profile(&mut self, subject: &Subject<'a>, code: &str, url: &str, at: &Place<'_>) {
        let wrong = if has(code, Has::Target) == Some(true) {
            let Some(profile) = self.profile_at_hand(subject, url, at) else { return };
            let kind = profile.type_name.as_str();
            let canonical = || kind == "Resource" || self.types.by_name(kind).is_some_and(|plan| plan.is_canonical);
            let fits = match code {
                "canonical" => canonical(),
                _ => profile.kind == Kind::Resource || profile.kind == Kind::Logical,
            };
            (!fits).then(|| format!("{} is a profile of {kind}, to which no {code} can lead", suggest::name(url)))
        } else {
            Some(format!("{} has no target, so that it cannot have target profiles", crate::domain::a(code)))
        };
        if let Some(sentence) = wrong {
            self.raise(at, Some(&subject.rules), Say::error("business-rule", "target-profile", sentence));
        }
    }

    /// `type` of a differential's element against what it inherits.
    pub fn narrower_types(
        &mut self,
        subject: &Subject<'a>,
        element: &'a Value,
        inherited: &Map<String, Value>,
        at: &Place<'_>,
    ) {
        let known = inherited.get("type").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
        let any = |code: &str| matches!(code, "*" | "Element" | "Resource" | "DomainResource" | "BackboneElement");
        if known.is_empty() || known.iter().filter_map(code_of).any(any) {
            return;
        }
        for (index, own) in list(element, "type").iter().enumerate() {
            let Some(code) = code_of(own).filter(|code| !code.contains('/')) else { continue };
            let place = at.plain("type", Some(index));
            let same = |known: &&Value| code_of(known).is_some_and(|base| derives(&self.types.definitions, code, base));
            let Some(same) = known.iter().find(same) else {
                let sentence = format!("the type {code} is not one that the base allows here");
                self.raise(&place, Some(&subject.rules), Say::error("business-rule", "element-type", sentence));
                continue;
            };
            let allowed: Vec<&str> = list(same, "targetProfile").iter().filter_map(Value::as_str).collect();
            for (number, url) in list(own, "targetProfile").iter().enumerate() {
                let Some(url) = url.as_str().filter(|_| !allowed.is_empty()) else { continue };
                if !self.is_narrower_target(url, &allowed) {
                    let sentence = format!("{} is none of the targets that the base allows", suggest::name(url));
                    let say = Say::error("business-rule", "target-profile", sentence);
                    self.raise(&place.plain("targetProfile", Some(number)), Some(&subject.rules), say);
                }
            }
        }
    }

    /// Whether a target profile is one of those allowed, or derives from one. What is not at hand is believed.
    fn is_narrower_target(&self, url: &str, allowed: &[&str]) -> bool {
        let plain = |url: &str| url.split('|').next().unwrap_or(url).to_owned();
        let definitions = &self.types.definitions;
        let mut next = Some(url.to_owned());
        for _ in 0..32 {
            let Some(url) = next.take() else { return false };
            if allowed
                .iter()
                .any(|allowed| plain(allowed) == plain(&url) || allowed.ends_with("/StructureDefinition/Resource"))
            {
                return true;
            }
            let Some(structure) = definitions.structure(&url) else { return true };
            next.clone_from(&structure.base);
        }
        false
    }
}

/// Whether a profile's type is `code`, or of an abstract type that `code` names.
fn is_instance(definitions: &crate::definitions::Definitions, profile: &Structure, code: &str) -> bool {
    profile.type_name == code
        || profile.url == code
        || profile.kind == Kind::Logical
        || (definitions.base_type(code).is_none_or(|base| base.is_abstract)
            && derives(definitions, &profile.type_name, code))
}
