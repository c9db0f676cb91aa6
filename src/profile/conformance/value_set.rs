//! ValueSet: systems, codes and filters of `compose` (<https://hl7.org/fhir/R4/valueset.html>).

use serde_json::Value;

use super::{list, text};
use crate::{
    definitions::Membership,
    profile::{elements::is_absolute, place::Place, say::Say, types::TypePlan, walk::Walk},
};

impl<'a> Walk<'a> {
    /// A `ValueSet`.
    pub fn value_set(&mut self, plan: &'a TypePlan, value: &'a Value, place: &Place<'_>) {
        let Some(compose) = value.get("compose") else { return };
        let at = place.plain("compose", None);
        for name in ["include", "exclude"] {
            for (index, include) in list(compose, name).iter().enumerate() {
                self.include(plan, include, &at.plain(name, Some(index)));
            }
        }
    }

    fn include(&mut self, plan: &'a TypePlan, include: &'a Value, place: &Place<'_>) {
        let Some(system) = text(include, "system") else { return };
        let structure = Some(&*plan.structure);
        let definitions = &self.types.definitions;
        if !is_absolute(system) {
            let sentence = "the system must be an absolute URI; a contained code system is meant by its own URL";
            return self.raise(place, structure, Say::error("invalid", "value-set-system", sentence));
        }
        let Some(known) = definitions.code_system(system) else {
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
                let sentence = format!("this code does not exist in the code system {system}");
                self.raise(
                    &place.plain("concept", Some(index)),
                    structure,
                    Say::warning("code-invalid", "value-set-code", sentence),
                );
            }
        }
        for (index, filter) in list(include, "filter").iter().enumerate() {
            self.filter(plan, system, filter, &place.plain("filter", Some(index)));
        }
    }

    fn filter(&mut self, plan: &'a TypePlan, system: &str, filter: &'a Value, place: &Place<'_>) {
        let (Some(property), Some(op), Some(wanted)) =
            (text(filter, "property"), text(filter, "op"), text(filter, "value"))
        else {
            return;
        };
        let definitions = &self.types.definitions;
        let Some(resource) = definitions.resource(system) else { return };
        let structure = Some(&*plan.structure);
        if matches!(op, "is-a" | "descendent-of" | "is-not-a" | "generalizes") && property == "concept" {
            if definitions.is_code(system, wanted) == Membership::No {
                let sentence = format!("the filter's value is not a code of {system}");
                self.raise(place, structure, Say::error("code-invalid", "value-set-filter", sentence));
            }
            return;
        }
        let declared = list(&resource, "property").iter().find(|it| text(it, "code") == Some(property));
        let kind = declared.and_then(|declared| text(declared, "type"));
        let wrong = match (op, kind) {
            ("exists", _) => (!matches!(wanted, "true" | "false")).then(|| "must be true or false".to_owned()),
            ("=" | "in" | "not-in", Some("boolean")) => (!wanted.split(',').all(|one| matches!(one, "true" | "false")))
                .then(|| "must be true or false".to_owned()),
            ("=", Some("code")) => (definitions.is_code(system, wanted) == Membership::No)
                .then(|| "must be a code of the same code system".to_owned()),
            ("=", Some("Coding")) => coding(wanted).and_then(|(system, code)| {
                (definitions.is_code(system, code) == Membership::No).then(|| format!("must be a code of {system}"))
            }),
            ("=", Some("integer")) => wanted.parse::<i64>().is_err().then(|| "must be a whole number".to_owned()),
            ("=", Some("decimal")) => {
                wanted.parse::<rust_decimal::Decimal>().is_err().then(|| "must be a number".to_owned())
            }
            ("=", Some("dateTime")) => crate::profile::Primitive::DateTime
                .check_text(wanted)
                .is_err()
                .then(|| "must be a date or time".to_owned()),
            _ => None,
        };
        if let Some(wrong) = wrong {
            let sentence = format!("the value of a filter on the property '{property}' {wrong}");
            self.raise(place, structure, Say::error("code-invalid", "value-set-filter", sentence));
        }
    }
}

/// `system|code` or `system#code`.
fn coding(text: &str) -> Option<(&str, &str)> {
    text.split_once('|').or_else(|| text.rsplit_once('#'))
}
