//! Which elements of a resource type a mapping maps, which it preserves untouched, which it loses; which fields have no
//! rule. <https://hl7.org/fhir/R4/resource.html>

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Loss, ObjectType, Plan, Profiled, RulePath, load::Shape, support};
use crate::definitions::Definitions;

/// One element and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// Path from the resource type down.
    pub element: String,
    /// What becomes of it.
    pub state: State,
    /// Field, `file:line` of the rule.
    pub rules: Vec<(String, String)>,
    /// A profile of the mapping demands support for it.
    pub must_support: bool,
}

/// What becomes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A rule reads and writes it, or what is in it.
    Mapped,
    /// No rule; stays as it is when the resource is written into.
    Preserved,
}

/// The coverage of a plan.
#[derive(Clone, Debug)]
pub struct Coverage {
    /// By element, in FHIR's order.
    pub elements: Vec<Covered>,
    /// Fields that never leave the house.
    pub without_rule: Vec<String>,
    /// What is declared lost, and why.
    pub lost: Vec<Loss>,
    /// The profiles that the mapping names, and what becomes of their must-support elements.
    pub profiles: Vec<Profiled>,
}

impl Plan {
    /// What the plan covers of its parts' types, and of its profiles' as far as `definitions` know them.
    #[must_use]
    pub fn coverage(&self, object: &ObjectType, definitions: &Arc<Definitions>) -> Coverage {
        let paths = self.rule_paths();
        let of_main: Vec<&RulePath> = paths.iter().filter(|path| path.part == 0).collect();
        let profiles = support::profiled(object, &of_main, definitions);
        let supported: Vec<String> = profiles
            .iter()
            .flat_map(|profile| &profile.elements)
            .map(|supported| supported.element.split('.').map(|step| step.split(':').next().unwrap_or(step)))
            .map(|steps| steps.collect::<Vec<_>>().join("."))
            .collect();
        let mut elements = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            let Some(root) = Shape::of_type(definitions, &part.resource) else { continue };
            let own: Vec<&RulePath> = paths.iter().filter(|path| path.part == index).collect();
            let supported = if index == 0 { supported.as_slice() } else { &[] };
            for name in root.children() {
                cover(&root, &part.resource, &name, &own, supported, 0, &mut elements);
            }
        }
        let fields = object.schema().get("properties").and_then(Value::as_object);
        let named = |name: &str| paths.iter().any(|path| path.field.split('.').next() == Some(name));
        let without_rule =
            fields.into_iter().flatten().map(|(name, _)| name.clone()).filter(|name| !named(name)).collect();
        Coverage { elements, without_rule, lost: self.losses(), profiles }
    }
}

fn cover(
    shape: &Shape,
    prefix: &str,
    name: &str,
    paths: &[&RulePath],
    supported: &[String],
    depth: usize,
    found: &mut Vec<Covered>,
) {
    let element = format!("{prefix}.{name}");
    let below: String = element.split('.').skip(1).collect::<Vec<_>>().join(".");
    let inside = |own: &str| own == below || own.starts_with(&format!("{below}."));
    let rules: Vec<(String, String)> = paths
        .iter()
        .filter(|path| inside(&path.path) && !path.rule.is_empty())
        .map(|path| (path.field.clone(), path.rule.clone()))
        .collect();
    let mapped = !rules.is_empty();
    let deeper = paths.iter().any(|path| path.path.starts_with(&format!("{below}.")));
    let state = if mapped { State::Mapped } else { State::Preserved };
    let must_support = supported.iter().any(|path| *path == element || choice_of(path, &element));
    found.push(Covered { element: element.clone(), state, rules, must_support });
    // Into backbone elements that rules look into, to show what they pass over.
    if deeper
        && depth < 4
        && let Some(child) = shape.child(name).filter(|child| child.type_name == "BackboneElement")
    {
        for inner in
            child.children().iter().filter(|inner| !matches!(inner.as_str(), "id" | "extension" | "modifierExtension"))
        {
            cover(&child, &element, inner, paths, supported, depth + 1, found);
        }
    }
}

/// Whether `Observation.value[x]` means `Observation.valueQuantity`.
fn choice_of(path: &str, element: &str) -> bool {
    path.strip_suffix("[x]").is_some_and(|stem| {
        element.strip_prefix(stem).is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_uppercase()))
    })
}

impl Coverage {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let of = |state: State| -> Vec<Value> {
            let some = self.elements.iter().filter(|covered| covered.state == state);
            some.map(|covered| {
                let rules: Vec<Value> =
                    covered.rules.iter().map(|(field, rule)| json!({ "field": field, "rule": rule })).collect();
                json!({ "element": covered.element, "must_support": covered.must_support, "rules": rules })
            })
            .collect()
        };
        let lost: Vec<Value> = self.lost.iter().map(|loss| json!({ "field": loss.field, "why": loss.why })).collect();
        json!({
            "mapped": of(State::Mapped),
            "preserved": of(State::Preserved),
            "lost": lost,
            "fields_without_rule": self.without_rule,
            "profiles": self.profiles.iter().map(Profiled::json).collect::<Vec<_>>(),
        })
    }
}
