//! Lays one differential element upon the element it constrains.

use serde_json::{Map, Value, json};

use crate::definitions::compile::{FHIR_TYPE, REGEX};

type Element = Map<String, Value>;

const REPLACED: [&str; 10] = [
    "short",
    "min",
    "max",
    "maxLength",
    "mustSupport",
    "isModifier",
    "isSummary",
    "sliceIsConstraining",
    "contentReference",
    "sliceName",
];
const VALUES: [&str; 4] = ["fixed", "pattern", "minValue", "maxValue"];

/// Merges `from` (a differential's element) into `into`; `profile` is named as the source of new invariants.
pub(super) fn merge(into: &mut Element, from: &Element, profile: &str) {
    for (name, value) in from {
        match name.as_str() {
            "type" => merge_types(into, value),
            "constraint" => merge_constraints(into, value, profile),
            "slicing" => merge_slicing(into, value),
            "binding" => merge_binding(into, value),
            "extension" => merge_extensions(into, value),
            _ if REPLACED.contains(&name.as_str()) => {
                into.insert(name.clone(), value.clone());
            }
            _ => {
                let plain = name.strip_prefix('_').unwrap_or(name);
                if let Some(prefix) = VALUES.iter().find(|prefix| is_choice(plain, prefix)) {
                    into.retain(|known, _| !is_choice(known, prefix) || known.starts_with('_'));
                    into.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

/// `fixedUri` is a choice of `fixed`; `minValueDate` of `minValue`.
fn is_choice(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// Bounds that extensions state: those of the differential count.
fn merge_extensions(into: &mut Element, added: &Value) {
    let list = into.entry("extension").or_insert_with(|| json!([]));
    let (Some(list), Some(added)) = (list.as_array_mut(), added.as_array()) else { return };
    list.retain(|known| !added.iter().any(|one| one.get("url") == known.get("url")));
    list.extend(added.iter().cloned());
}

/// The differential's types count; what the base says of the same type for machines is kept.
fn merge_types(into: &mut Element, types: &Value) {
    let known: Vec<Value> = into.get("type").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut types = types.clone();
    for of in types.as_array_mut().into_iter().flatten() {
        let same = known.iter().find(|known| known.get("code") == of.get("code"));
        let machine = |extension: &&Value| {
            let url = extension.get("url").and_then(Value::as_str);
            url == Some(FHIR_TYPE) || url == Some(REGEX)
        };
        let list = same.and_then(|same| same.get("extension")).and_then(Value::as_array);
        let kept: Vec<Value> = list.into_iter().flatten().filter(machine).cloned().collect();
        if let (Some(of), false) = (of.as_object_mut(), kept.is_empty()) {
            of.entry("extension").or_insert(Value::Array(kept));
        }
    }
    into.insert("type".to_owned(), types);
}

fn merge_constraints(into: &mut Element, added: &Value, profile: &str) {
    let list = into.entry("constraint").or_insert_with(|| json!([]));
    let Some(list) = list.as_array_mut() else { return };
    for constraint in added.as_array().into_iter().flatten() {
        let mut constraint = constraint.clone();
        if let Some(members) = constraint.as_object_mut() {
            members.entry("source").or_insert_with(|| Value::from(profile));
        }
        match list.iter_mut().find(|known| known.get("key") == constraint.get("key")) {
            Some(known) if known.get("expression") == constraint.get("expression") => *known = constraint,
            _ => list.push(constraint),
        }
    }
}

/// The differential's binding counts; one that only changes the strength means the base's value set.
fn merge_binding(into: &mut Element, binding: &Value) {
    let known = into.get("binding").and_then(|known| known.get("valueSet")).cloned();
    let mut binding = binding.clone();
    if let (Some(members), Some(known)) = (binding.as_object_mut(), known) {
        members.entry("valueSet").or_insert(known);
    }
    into.insert("binding".to_owned(), binding);
}

fn merge_slicing(into: &mut Element, slicing: &Value) {
    let known = into.get("slicing").cloned().unwrap_or_else(|| json!({}));
    let mut merged = known.as_object().cloned().unwrap_or_default();
    for (name, value) in slicing.as_object().into_iter().flatten() {
        merged.insert(name.clone(), value.clone());
    }
    into.insert("slicing".to_owned(), Value::Object(merged));
}

/// The element as the start of a slice of itself: what holds for the list as a whole is left out.
pub(super) fn slice_of(element: &Element, name: &str) -> Element {
    let mut slice = element.clone();
    slice.shift_remove("slicing");
    slice.insert("sliceName".to_owned(), Value::from(name));
    slice.insert("min".to_owned(), Value::from(0));
    slice
}

/// Codes of the element's types.
pub(super) fn type_codes(element: &Element) -> Vec<String> {
    let types = element.get("type").and_then(Value::as_array).into_iter().flatten();
    types.filter_map(|of| of.get("code").and_then(Value::as_str).map(str::to_owned)).collect()
}

/// Leaves only the types with this code.
pub(super) fn only_type(element: &mut Element, code: &str) {
    if let Some(types) = element.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|of| of.get("code").and_then(Value::as_str) == Some(code));
    }
}
