//! Filters of a value set: operators and values that suit the property that is filtered by. Systems that are not at hand
//! have the properties that every code system has, and LOINC its own.
//! <https://hl7.org/fhir/R4/codesystem.html#properties>, <https://hl7.org/fhir/R4/loinc.html>

use regex::RegexBuilder;
use serde_json::Value;

use super::{ecl, list, text};
use crate::{
    definitions::{Definitions, Membership},
    profile::{Primitive, place::Place, say::Say, suggest, types::TypePlan, walk::Walk},
};

const LOINC: &str = "http://loinc.org";
const SNOMED: &str = "http://snomed.info/sct";
/// What the hierarchy and the codes themselves can be asked for.
const OF_CONCEPTS: &[&str] = &["=", "in", "is-a", "descendent-of", "is-not-a", "generalizes", "not-in"];
const OF_CODES: &[&str] = &["regex", "=", "in", "is-a", "descendent-of", "is-not-a", "generalizes", "not-in"];
const OF_LOINC_CONCEPTS: &[&str] = &["=", "is-a", "is-not-a"];
const OF_LOINC_PROPERTIES: &[&str] = &["=", "exists", "regex", "in", "not-in"];
/// Prefixes of values that are compared, as searches have them.
const COMPARATORS: [&str; 9] = ["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];

/// What the values of a property are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    /// Codes of the same system; whether a foreign one is an error.
    Code(bool),
    Coding,
    DateTime,
    Decimal,
    Integer,
    Any,
}

/// The kind of a property, and the operators that suit it (none: all).
fn rules(system: &str, resource: Option<&Value>, property: &str) -> (Kind, &'static [&'static str]) {
    let declared = resource.and_then(|it| list(it, "property").iter().find(|it| text(it, "code") == Some(property)));
    let kind = match declared.and_then(|declared| text(declared, "type")) {
        Some("boolean") => Kind::Boolean,
        // Many systems have codes from lists of their own there.
        Some("code") if !matches!(property, "parent" | "child" | "partOf") => Kind::Code(false),
        Some("Coding") => Kind::Coding,
        Some("dateTime") => Kind::DateTime,
        Some("decimal") => Kind::Decimal,
        Some("integer") => Kind::Integer,
        Some("string") => Kind::Any,
        _ => {
            return match (property, system) {
                ("concept" | "code", LOINC) => (Kind::Any, OF_LOINC_CONCEPTS),
                (_, LOINC) => (Kind::Any, OF_LOINC_PROPERTIES),
                ("concept", _) => (Kind::Code(true), OF_CONCEPTS),
                ("code", _) => (Kind::Code(true), OF_CODES),
                ("inactive" | "notSelectable", _) => (Kind::Boolean, &[]),
                ("effectiveDate" | "deprecationDate" | "retirementDate", _) => (Kind::DateTime, &[]),
                ("parent" | "child" | "partOf", _) => (Kind::Code(true), &[]),
                ("itemWeight", _) => (Kind::Decimal, &[]),
                _ => (Kind::Any, &[]),
            };
        }
    };
    (kind, &[])
}

impl<'a> Walk<'a> {
    /// One filter.
    pub fn filter(&mut self, plan: &'a TypePlan, system: &str, filter: &'a Value, place: &Place<'_>) {
        let (Some(property), Some(op), Some(wanted)) =
            (text(filter, "property"), text(filter, "op"), text(filter, "value"))
        else {
            return;
        };
        if system == SNOMED {
            if property == "constraint"
                && let Err(why) = ecl::check(wanted)
            {
                let sentence = format!("the value of the filter is no expression constraint (ECL): {why}");
                self.raise(place, Some(&plan.structure), Say::error("invalid", "value-set-filter", sentence));
            }
            return;
        }
        let definitions = &self.types.definitions;
        let resource = definitions.has(system, "CodeSystem").then(|| definitions.resource(system)).flatten();
        let (kind, ops) = rules(system, resource.as_deref(), property);
        let say = if op == "regex" && property == "concept" {
            Say::error("invalid", "value-set-filter", "the hierarchy cannot be filtered by a regular expression")
        } else if !ops.is_empty() && !ops.contains(&op) {
            let sentence = format!(
                "'{}' is no way to filter by '{}'; use {}",
                suggest::name(op),
                suggest::name(property),
                ops.join(", ")
            );
            Say::error("invalid", "value-set-filter", sentence)
        } else {
            let (kind, values): (Kind, Vec<&str>) = match op {
                "exists" => (Kind::Boolean, vec![wanted]),
                "regex" if RegexBuilder::new(wanted).size_limit(1 << 20).build().is_ok() => return,
                "regex" => {
                    let say =
                        Say::error("invalid", "value-set-filter", "the value of the filter is no regular expression");
                    return self.raise(place, Some(&plan.structure), say);
                }
                "in" | "not-in" => (kind, wanted.split(',').collect()),
                _ => (kind, vec![wanted]),
            };
            let Some(wrong) = values.iter().find_map(|value| wrong(definitions, system, kind, value)) else { return };
            let sentence = format!("the value of a filter on the property '{}' {wrong}", suggest::name(property));
            let may_be_newer = matches!(kind, Kind::Code(_))
                && definitions.code_system(system).is_some_and(|known| known.may_have_more);
            let surely = kind != Kind::Code(false) && !may_be_newer;
            Say::error_if(surely, "code-invalid", "value-set-filter", sentence)
        };
        self.raise(place, Some(&plan.structure), say);
    }
}

/// What is wrong with a value.
fn wrong(definitions: &Definitions, system: &str, kind: Kind, value: &str) -> Option<String> {
    let compared = || COMPARATORS.iter().find_map(|prefix| value.strip_prefix(prefix)).unwrap_or(value);
    let (fits, what) = match kind {
        Kind::Any => return None,
        Kind::Boolean => (matches!(value, "true" | "false"), "must be true or false".to_owned()),
        Kind::Code(_) => {
            let known = definitions.is_code(system, value.trim()) != Membership::No;
            (known, format!("must be a code of {system}"))
        }
        Kind::Coding => match value.split_once('|').or_else(|| value.rsplit_once('#')) {
            None => (false, "must be a system, '|' and a code".to_owned()),
            Some((system, code)) => (
                definitions.is_code(system, code) != Membership::No,
                format!("must be a code of {}", suggest::name(system)),
            ),
        },
        Kind::Integer => (compared().parse::<i64>().is_ok(), "must be a whole number".to_owned()),
        Kind::Decimal => (compared().parse::<rust_decimal::Decimal>().is_ok(), "must be a number".to_owned()),
        Kind::DateTime => (Primitive::DateTime.check_text(compared()).is_ok(), "must be a date or time".to_owned()),
    };
    (!fits).then_some(what)
}
