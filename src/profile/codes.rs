//! Codings, units and identifiers by themselves, bound or not: their system, whether the code exists there, and the
//! display they state. <https://hl7.org/fhir/R4/terminologies.html>

use std::sync::Arc;

use serde_json::Value;

use super::{
    elements::is_absolute,
    place::Place,
    primitive::{is_oid, is_uuid},
    say::Say,
    walk::Walk,
};
use crate::{
    definitions::{CodeSystem, Membership},
    fhir::inner,
};

/// Systems whose names are often mistaken for something longer.
const WELL_KNOWN: &[&str] = &[
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://unitsofmeasure.org",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
];
const UCUM: &str = "http://unitsofmeasure.org";
const URIS: &str = "urn:ietf:rfc:3986";
const UUIDS: &str = "https://tools.ietf.org/html/rfc4122";

/// Whether a URI can name a system.
fn names_system(text: &str) -> bool {
    ["http:", "https:", "urn:"].iter().any(|scheme| text.starts_with(scheme))
}

impl<'a> Walk<'a> {
    /// A `Coding`.
    pub fn coding(&mut self, value: &'a Value, place: &Place<'_>) {
        let Some(system) = inner(value, "system").and_then(Value::as_str) else { return };
        let at = place.plain("system", None);
        if !names_system(system) {
            let text = "Coding.system must be an absolute URI";
            return self.raise(&at, None, Say::error("invalid", "coding-system", text));
        }
        self.example_url(system, &at);
        let code = inner(value, "code").and_then(Value::as_str);
        if let Some(known) = self.code_system_of(system) {
            if let Some(code) = code {
                self.code_of(&known, code, value, place);
            }
            return;
        }
        if code.is_some_and(|code| self.is_misformed(system, code)) {
            let text = format!("this code does not exist in the code system {system}");
            return self.raise(&place.plain("code", None), None, Say::error("code-invalid", "code", text));
        }
        // Of several codings one may be from a system that nobody knows here
        let alone = place.parent().is_none_or(|parent| parent.what().code != "CodeableConcept");
        self.no_code_system(system, alone && code.is_some(), &at);
    }

    fn code_system_of(&mut self, system: &'a str) -> Option<Arc<CodeSystem>> {
        let definitions = &self.types.definitions;
        self.systems.entry(system).or_insert_with(|| definitions.code_system(system)).clone()
    }

    /// Whether a code is surely none of its system, which is not at hand: by the grammar of such systems, or as a
    /// terminology server has it, where one may be asked.
    fn is_misformed(&self, system: &str, code: &str) -> bool {
        self.types.definitions.is_code(system, code) == Membership::No
    }

    /// A `Quantity`: its unit is a code like any other.
    pub fn quantity(&mut self, value: &'a Value, place: &Place<'_>) {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let (Some(system), Some(code)) = (text("system"), text("code")) else { return };
        let at = place.plain("system", None);
        if !names_system(system) {
            let text = "the system of a unit must be an absolute URI";
            return self.raise(&at, None, Say::error("invalid", "coding-system", text));
        }
        // A unit is a code like any other: what its system surely does not have is an error
        let unknown = match self.code_system_of(system) {
            Some(known) => (known.contains(code) == Membership::No).then_some(!known.may_have_more),
            // Blanks within braces mean as little as the rest there
            None => self.is_misformed(system, code).then(|| self.is_misformed(system, &without_blanks(code))),
        };
        if let Some(surely) = unknown {
            let text = format!("this unit does not exist in {system}");
            self.raise(&place.plain("code", None), None, Say::error_if(surely, "code-invalid", "code", text));
        } else {
            self.no_code_system(system, false, &at);
        }
        if system == UCUM {
            self.annotation(code, text("unit"), place);
        }
    }

    /// What stands in braces in a unit means nothing to machines.
    fn annotation(&mut self, code: &str, unit: Option<&str>, place: &Place<'_>) {
        let Some(severity) = self.options.best_practice.severity() else { return };
        let inner = code.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(inner, _)| inner);
        let Some(inner) = inner else { return };
        let text = if unit.is_some_and(|unit| unit.to_lowercase().contains(&inner.to_lowercase())) {
            "the unit's code has an annotation in braces, which machines do not read"
        } else {
            "the unit's code has an annotation in braces that the unit for human readers does not show"
        };
        let say = Say { severity, ..Say::warning("business-rule", "unit-annotation", text) };
        self.raise(&place.plain("code", None), None, say);
    }

    /// An `Identifier`.
    pub fn identifier(&mut self, value: &'a Value, place: &Place<'_>) {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let Some(system) = text("system") else { return };
        let at = place.plain("system", None);
        if !names_system(system) && !system.starts_with("ldap:") {
            let text = "Identifier.system must be an absolute URI";
            return self.raise(&at, None, Say::error("invalid", "identifier-system", text));
        }
        let Some(value) = text("value") else { return };
        let at = place.plain("value", None);
        let say = match system {
            URIS if is_oid(value) => {
                Say::error("invalid", "identifier-value", "an OID is a URI only with 'urn:oid:' before it")
            }
            URIS if !is_absolute(value) => {
                Say::error("invalid", "identifier-value", "the system says that the value is a URI, and it is none")
            }
            UUIDS if value.starts_with("urn:uuid:") || is_uuid(value) => {
                let text = "UUIDs are written urn:uuid:… under the system urn:ietf:rfc:3986";
                Say::warning("invalid", "identifier-value", text)
            }
            UUIDS => {
                Say::error("invalid", "identifier-value", "the system says that the value is a UUID, and it is none")
            }
            _ => return,
        };
        self.raise(&at, None, say);
    }

    /// A system that is no code system at hand: something else by that name is an error, an unknown one is not unless
    /// its name says that it should be known. `alone`: no other coding stands beside.
    fn no_code_system(&mut self, system: &str, alone: bool, at: &Place<'_>) {
        let definitions = &self.types.definitions;
        let text = if definitions.has(system, "ValueSet") {
            "Coding.system names a value set; it must name a code system".to_owned()
        } else if definitions.has(system, "CodeSystem")
            && definitions.resource(system).is_some_and(|it| it.get("supplements").is_some())
        {
            "Coding.system names a supplement; it must name the code system that this supplements".to_owned()
        } else if alone && let Some(text) = self.mistaken(system) {
            text
        } else {
            return;
        };
        self.raise(at, None, Say::error("invalid", "coding-system", text));
    }

    /// What is wrong with the name of a system that is not at hand.
    fn mistaken(&self, system: &str) -> Option<String> {
        let known = |name: &str| WELL_KNOWN.contains(&name) || self.types.definitions.has(name, "CodeSystem");
        if let Some(rest) = system.strip_prefix("https://")
            && known(&format!("http://{rest}"))
        {
            return Some(format!("the code system is http://{rest}, not https"));
        }
        let plain = system.strip_prefix("https:").or_else(|| system.strip_prefix("http:"))?;
        if plain.starts_with("//build.fhir.org") {
            return Some("this is the address of a page, not the URL of a code system".to_owned());
        }
        if let Some(longer) = WELL_KNOWN.iter().find(|name| system != **name && system.starts_with(**name)) {
            return Some(format!("there is no such code system; perhaps {longer} is meant"));
        }
        // HL7's own are all at hand; deeper names belong to guides
        let own = plain.trim_start_matches("//").trim_start_matches("www.").strip_prefix("hl7.org/fhir/")?;
        (!own.contains('/') || own.ends_with(".html")).then(|| "FHIR R4 has no such code system".to_owned())
    }

    fn code_of(&mut self, system: &CodeSystem, code: &str, coding: &Value, place: &Place<'_>) {
        let text = |name: &str| inner(coding, name).and_then(Value::as_str);
        let Some(concept) = system.concept(code) else {
            if system.is_complete {
                let of_this_version = text("version").is_some_and(|version| system.version.as_deref() == Some(version));
                let surely = !system.may_have_more || of_this_version;
                let say = Say::error_if(surely, "code-invalid", "code", no_such_code(system));
                self.raise(&place.plain("code", None), None, say);
            }
            return;
        };
        let (Some(display), Some(right)) = (text("display"), &concept.display) else { return };
        if !concept.is_called_in(display, self.options.language.as_deref()) {
            let text = format!("the display is not that of the code in {}; it is '{right}'", system.url);
            let fix = Some(format!("write \"display\": \"{right}\""));
            let say = Say::warning("invalid", "display", text);
            self.raise_with_fix(&place.plain("display", None), None, say, fix);
        }
    }
}

/// The code without the blanks of what stands in braces.
fn without_blanks(code: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::with_capacity(code.len());
    for c in code.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ' ' if depth > 0 => continue,
            _ => {}
        }
        kept.push(c);
    }
    kept
}

/// That a system at hand has no such code.
pub fn no_such_code(system: &CodeSystem) -> String {
    if system.may_have_more {
        return format!(
            "this code does not exist in FHIR R4's copy of the code system {}; a newer version may have it (load the \
             package hl7.terminology to have it checked)",
            system.url
        );
    }
    format!("this code does not exist in the code system {}", system.url)
}
