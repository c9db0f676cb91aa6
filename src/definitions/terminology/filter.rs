//! `ValueSet.compose.include.filter`, computed over a code system that is wholly at hand.
//! <https://hl7.org/fhir/R4/valueset-filter-operator.html>

use regex::RegexBuilder;

use super::{CodeSystem, Why, code_system::Concept};
use crate::{definitions::compile::text, fhir::Value};

/// For every concept, whether it passes.
pub(super) fn passing(system: &CodeSystem, filter: &Value) -> Result<Vec<bool>, Why> {
    let part = |name: &str| text(filter, name).unwrap_or_default();
    let (property, op, value) = (part("property"), part("op"), part("value"));
    let cannot = || Why::Filter(format!("{property} {op} {value}"));
    let all = |wanted: bool| vec![wanted; system.concepts.len()];
    let at = |code: &str| system.index_of(code);
    match op.as_str() {
        "is-a" => Ok(at(&value).map_or_else(|| all(false), |top| system.below(top))),
        "is-not-a" => Ok(at(&value).map_or_else(|| all(true), |top| not(system.below(top)))),
        "descendent-of" => Ok(at(&value).map_or_else(|| all(false), |top| without(system.below(top), top))),
        "generalizes" => Ok(at(&value).map_or_else(|| all(false), |bottom| system.above(bottom))),
        "=" => each(system, &property, |found| found == value).ok_or_else(cannot),
        "in" | "not-in" => {
            let wanted: Vec<&str> = value.split(',').map(str::trim).collect();
            let passing = each(system, &property, |found| wanted.contains(&found)).ok_or_else(cannot)?;
            Ok(if op == "in" { passing } else { not(passing) })
        }
        "exists" => {
            let passing = each(system, &property, |_| true).ok_or_else(cannot)?;
            Ok(if value == "false" { not(passing) } else { passing })
        }
        "regex" => {
            let whole = RegexBuilder::new(&format!("^(?:{value})$")).size_limit(1 << 20).build();
            let whole = whole.map_err(|_| cannot())?;
            each(system, &property, |found| whole.is_match(found)).ok_or_else(cannot)
        }
        _ => Err(cannot()),
    }
}

fn not(passing: Vec<bool>) -> Vec<bool> {
    passing.into_iter().map(|passes| !passes).collect()
}

fn without(mut passing: Vec<bool>, at: usize) -> Vec<bool> {
    passing[at] = false;
    passing
}

/// Tests a property's values; `None` if the code system has no such property.
fn each(system: &CodeSystem, property: &str, test: impl Fn(&str) -> bool) -> Option<Vec<bool>> {
    let code_of = |at: &usize| system.concepts[*at].code.as_str();
    let pass = |check: &dyn Fn(&Concept) -> bool| system.concepts.iter().map(check).collect();
    Some(match property {
        "code" | "concept" => pass(&|concept| test(&concept.code)),
        "display" => pass(&|concept| concept.display.as_deref().is_some_and(&test)),
        "designation" => pass(&|concept| concept.designations.iter().any(|name| test(&name.value))),
        "parent" => pass(&|concept| concept.parents.iter().any(|at| test(code_of(at)))),
        "child" => {
            let mut passing = vec![false; system.concepts.len()];
            for concept in system.concepts.iter().filter(|concept| test(&concept.code)) {
                concept.parents.iter().for_each(|at| passing[*at] = true);
            }
            passing
        }
        // Said of every concept, if only by default.
        "inactive" => pass(&|concept| test(if concept.is_inactive { "true" } else { "false" })),
        "notSelectable" | "abstract" => pass(&|concept| test(if concept.is_abstract { "true" } else { "false" })),
        _ if system.properties.contains(property) => {
            pass(&|concept| concept.properties.iter().any(|(name, value)| name == property && test(value)))
        }
        _ => return None,
    })
}
