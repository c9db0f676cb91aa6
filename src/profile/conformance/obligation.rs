//! Obligation profiles: they add obligations, cardinalities and bindings that oblige nobody to elements that the base
//! defines, and nothing else; who inherits obligations inherits them from such a profile of the same base.
//! <http://hl7.org/fhir/StructureDefinition/obligation-profile-flag>

use serde_json::Value;

use super::{extensions, list, structure::Subject, text};
use crate::profile::{place::Place, say::Say, suggest, walk::Walk};

const FLAG: &str = "http://hl7.org/fhir/StructureDefinition/obligation-profile-flag";
const INHERITS: &str = "http://hl7.org/fhir/StructureDefinition/inherit-obligations";
const OBLIGATIONS: [&str; 2] =
    ["http://hl7.org/fhir/StructureDefinition/obligation", "http://hl7.org/fhir/tools/StructureDefinition/obligation"];
const ADDITIONAL: &str = "http://hl7.org/fhir/tools/StructureDefinition/additional-binding";
/// What an obligation profile may say of an element, beside its extensions and binding.
const ALLOWED: &[&str] = &["id", "path", "sliceName", "mustSupport", "min", "max"];

impl<'a> Walk<'a> {
    /// An obligation profile, and what a profile inherits from some.
    pub fn obligations(&mut self, subject: &Subject<'a>, place: &Place<'_>) {
        self.inherited_obligations(subject, place);
        if !is_flagged(subject.value) {
            return;
        }
        if !subject.is_profile {
            let sentence = "an obligation profile must be a constraint of what it adds obligations to";
            return self.raise(place, Some(&subject.rules), Say::error("invalid", "obligation-profile", sentence));
        }
        let differential = place.plain("differential", None);
        let elements = subject.value.get("differential").map_or(&[] as &[Value], |it| list(it, "element"));
        for (index, element) in elements.iter().enumerate() {
            let at = differential.plain("element", Some(index));
            let id = text(element, "id").or_else(|| text(element, "path")).unwrap_or_default();
            let mut wrong = |sentence: String| {
                self.raise(&at, Some(&subject.rules), Say::error("invalid", "obligation-profile", sentence));
            };
            let Some(known) = subject.base.element(id) else {
                wrong(format!("an obligation profile cannot add the element {}", suggest::name(id)));
                continue;
            };
            for (name, value) in element.as_object().into_iter().flatten() {
                let name = name.strip_prefix('_').unwrap_or(name);
                match name {
                    "extension" => {
                        let foreign = list(element, name).iter().filter_map(|it| text(it, "url"));
                        foreign.filter(|url| !OBLIGATIONS.contains(url)).for_each(|url| {
                            wrong(format!("an obligation profile cannot add the extension {}", suggest::name(url)));
                        });
                    }
                    "binding" if known.binding.is_none() => {
                        wrong("an obligation profile cannot bind what the base does not bind".to_owned());
                    }
                    "binding" => {
                        if let Some(sentence) = binding(value) {
                            wrong(sentence.to_owned());
                        }
                    }
                    _ if ALLOWED.contains(&name) => {}
                    _ => wrong(format!("an obligation profile cannot say '{}' of an element", suggest::name(name))),
                }
            }
        }
    }

    fn inherited_obligations(&mut self, subject: &Subject<'a>, place: &Place<'_>) {
        for (index, extension) in list(subject.value, "extension").iter().enumerate() {
            let url = text(extension, "valueCanonical").filter(|_| text(extension, "url") == Some(INHERITS));
            // Whether what is at hand is flagged, its pack does not keep; its base it does.
            let Some(other) = url.and_then(|url| self.types.definitions.structure(url)) else { continue };
            if other.base.as_deref() != text(subject.value, "baseDefinition") {
                let sentence = "obligations are inherited only from a profile of the same base";
                let at = place.plain("extension", Some(index));
                self.raise(&at, Some(&subject.rules), Say::error("invalid", "obligation-profile", sentence));
            }
        }
    }
}

fn is_flagged(value: &Value) -> bool {
    extensions(value, FLAG).any(|it| it.get("valueBoolean").is_some_and(|flag| *flag == true))
}

/// What is wrong with a binding of an obligation profile.
fn binding(value: &Value) -> Option<&'static str> {
    if value.as_object()?.keys().any(|name| !matches!(name.as_str(), "extension" | "strength" | "id")) {
        return Some("an obligation profile can only add further bindings to a binding");
    }
    let obliges = list(value, "extension").iter().any(|it| {
        let purpose = extensions(it, "purpose").find_map(|part| text(part, "valueCode"));
        text(it, "url") != Some(ADDITIONAL) || matches!(purpose, Some("maximum" | "required" | "extensible"))
    });
    obliges.then_some("an obligation profile can only add bindings that oblige nobody")
}
