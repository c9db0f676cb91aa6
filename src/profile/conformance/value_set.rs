//! ValueSet: systems, codes and filters of `compose` (<https://hl7.org/fhir/R4/valueset.html>).

use serde_json::Value;

use super::{list, text};
use crate::{
    definitions::Membership,
    profile::{codes::no_such_code, elements::is_absolute, place::Place, say::Say, types::TypePlan, walk::Walk},
};

/// Code systems that FHIR knows by a URL, with the OIDs that others call them by
/// (<https://hl7.org/fhir/R4/terminologies-systems.html>).
const OIDS: &[(&str, &str)] = &[
    ("urn:oid:2.16.840.1.113883.6.1", "http://loinc.org"),
    ("urn:oid:2.16.840.1.113883.6.96", "http://snomed.info/sct"),
    ("urn:oid:2.16.840.1.113883.6.8", "http://unitsofmeasure.org"),
    ("urn:oid:2.16.840.1.113883.6.88", "http://www.nlm.nih.gov/research/umls/rxnorm"),
];

impl<'a> Walk<'a> {
    /// A `ValueSet`.
    pub fn value_set(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        let Some(compose) = value.get("compose") else { return };
        let at = place.plain("compose", None);
        for name in ["include", "exclude"] {
            for (index, include) in list(compose, name).iter().enumerate() {
                self.include(plan, include, text(value, "status") == Some("retired"), &at.plain(name, Some(index)));
            }
        }
    }

    fn include(&mut self, plan: &'a TypePlan, include: &'a Value, retired: bool, place: &Place<'_>) {
        let Some(system) = text(include, "system") else { return };
        let structure = Some(&*plan.structure);
        let (system, version) = match system.split_once('|') {
            Some((system, version)) => (system, Some(version).filter(|version| !version.is_empty())),
            None => (system, None),
        };
        if version.is_some() {
            let sentence = "a version does not belong into the system; give it in 'version'";
            let at = place.plain("system", None);
            self.raise(&at, structure, Say::error("business-rule", "value-set-system", sentence));
        }
        if !is_absolute(system) {
            let sentence = "the system must be an absolute URI; a contained code system is meant by its own URL";
            return self.raise(place, structure, Say::error("invalid", "value-set-system", sentence));
        }
        for (index, filter) in list(include, "filter").iter().enumerate() {
            self.filter(plan, system, filter, &place.plain("filter", Some(index)));
        }
        let definitions = &self.types.definitions;
        let own_version = text(include, "version").map(|version| format!("{system}|{version}"));
        let Some(known) = definitions.code_system(own_version.as_deref().unwrap_or(system)) else {
            let meant = definitions.has(system, "CodeSystem").then(|| definitions.resource(system)).flatten();
            if meant.is_some_and(|meant| text(&meant, "content") == Some("supplement")) {
                let sentence = "the system is a supplement; name the code system that it supplements";
                let at = place.plain("system", None);
                return self.raise(&at, structure, Say::error("invalid", "value-set-system", sentence));
            }
            if let Some(url) = OIDS.iter().find(|known| system == known.0).map(|known| known.1) {
                let sentence = format!("the codes of this system are {url} in FHIR; its OID is not to be used");
                let at = place.plain("system", None);
                return self.raise(&at, structure, Say::error("invalid", "value-set-system", sentence));
            }
            if definitions.has(system, "ValueSet") {
                let sentence = "the system is the URL of a value set; import that with 'valueSet' instead";
                self.raise(
                    &place.plain("system", None),
                    structure,
                    Say::error("invalid", "value-set-system", sentence),
                );
            }
            return;
        };
        for (index, concept) in list(include, "concept").iter().enumerate() {
            if text(concept, "code").is_some_and(|code| known.contains(code) == Membership::No) {
                let surely = !retired && !known.may_have_more;
                self.raise(
                    &place.plain("concept", Some(index)),
                    structure,
                    Say::error_if(surely, "code-invalid", "value-set-code", no_such_code(&known)),
                );
            } else if let (Some(code), Some(display)) = (text(concept, "code"), text(concept, "display"))
                && known.concept(code).is_some_and(|known| !known.is_called(display))
            {
                let sentence = format!("the code system {system} calls this code otherwise");
                let at = place.plain("concept", Some(index));
                self.raise(
                    &at.plain("display", None),
                    structure,
                    Say::information("informational", "display", sentence),
                );
            }
        }
    }
}
