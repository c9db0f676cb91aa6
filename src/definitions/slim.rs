//! What is kept of a definition in a pack: all that constrains, none of the prose. Keeps `short` of elements and
//! `human` of invariants, since sentences for people are made of them.

use serde_json::{Map, Value};

use super::compile::{
    ADDITIONAL_BINDINGS, BEST_PRACTICE, FHIR_TYPE, IMPOSE_PROFILE, MAX_DECIMALS, MAX_SIZE, MAX_VALUE_SET, MIN_LENGTH,
    REGEX,
};

const MIN_VALUE_SET: &str = "http://hl7.org/fhir/StructureDefinition/elementdefinition-minValueSet";

const HEADER: [&str; 7] = ["resourceType", "url", "version", "name", "title", "status", "experimental"];

/// The resource without what does not constrain.
#[must_use]
pub fn slim(resource: &Value) -> Value {
    match resource.get("resourceType").and_then(Value::as_str) {
        Some("StructureDefinition") => structure(resource),
        Some("ValueSet") => {
            let mut kept = keep(resource, &["compose", "expansion", "contained"]);
            if let Some(compose) = kept.get_mut("compose") {
                prune(compose, &["extension"]);
            }
            if let Some(expansion) = kept.get_mut("expansion") {
                prune(expansion, &["identifier"]);
            }
            kept
        }
        Some("CodeSystem") => {
            let rest =
                ["caseSensitive", "valueSet", "hierarchyMeaning", "content", "supplements", "property", "concept"];
            let mut kept = keep(resource, &rest);
            for part in ["property", "concept"] {
                if let Some(part) = kept.get_mut(part) {
                    prune(part, &["extension", "definition", "description"]);
                }
            }
            kept
        }
        Some("SearchParameter") => {
            let rest =
                ["code", "base", "type", "expression", "target", "multipleOr", "comparator", "modifier", "component"];
            keep(resource, &rest)
        }
        Some("OperationDefinition") => {
            let rest = ["kind", "affectsState", "code", "resource", "system", "type", "instance", "parameter"];
            let mut kept = keep(resource, &rest);
            if let Some(parameter) = kept.get_mut("parameter") {
                prune(parameter, &["documentation"]);
            }
            kept
        }
        Some("CompartmentDefinition") => {
            let mut kept = keep(resource, &["code", "search", "resource"]);
            if let Some(resource) = kept.get_mut("resource") {
                prune(resource, &["documentation"]);
            }
            kept
        }
        // Questionnaires and whatever else is asked for raw: whole, but for the narrative.
        _ => {
            let mut kept = resource.clone();
            if let Some(kept) = kept.as_object_mut() {
                kept.shift_remove("text");
            }
            kept
        }
    }
}

fn keep(resource: &Value, names: &[&str]) -> Value {
    let Some(members) = resource.as_object() else { return Value::Null };
    let wanted = |name: &str| HEADER.contains(&name) || names.contains(&name);
    Value::Object(members.iter().filter(|(name, _)| wanted(name)).map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// Removes these members (and `_name` companions) at every depth.
fn prune(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !names.contains(&name.strip_prefix('_').unwrap_or(name)));
            members.values_mut().for_each(|value| prune(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prune(item, names)),
        _ => {}
    }
}

fn structure(resource: &Value) -> Value {
    let rest = [
        "kind",
        "abstract",
        "type",
        "baseDefinition",
        "derivation",
        "context",
        "contextInvariant",
        "snapshot",
        "differential",
    ];
    let mut kept = keep(resource, &rest);
    let has_snapshot = kept.pointer("/snapshot/element/0").is_some();
    let Some(members) = kept.as_object_mut() else { return kept };
    // With a snapshot the differential says nothing more.
    members.shift_remove(if has_snapshot { "differential" } else { "snapshot" });
    if let Some(extensions) = extensions(resource, &[IMPOSE_PROFILE]) {
        members.insert("extension".to_owned(), extensions);
    }
    for part in ["snapshot", "differential"] {
        let list = members.get_mut(part).and_then(|part| part.get_mut("element")).and_then(Value::as_array_mut);
        for element in list.into_iter().flatten() {
            *element = slim_element(element, part == "snapshot");
        }
    }
    kept
}

fn extensions(of: &Value, urls: &[&str]) -> Option<Value> {
    let list = of.get("extension")?.as_array()?;
    let wanted =
        |extension: &&Value| extension.get("url").and_then(Value::as_str).is_some_and(|url| urls.contains(&url));
    let kept: Vec<Value> = list.iter().filter(wanted).cloned().collect();
    (!kept.is_empty()).then_some(Value::Array(kept))
}

/// In a snapshot what is false is left out; in a differential it may change a base's true.
fn slim_element(element: &Value, in_snapshot: bool) -> Value {
    const NAMES: [&str; 18] = [
        "id",
        "path",
        "sliceName",
        "sliceIsConstraining",
        "short",
        "min",
        "max",
        "base",
        "slicing",
        "type",
        "contentReference",
        "maxLength",
        "condition",
        "constraint",
        "mustSupport",
        "isModifier",
        "isSummary",
        "binding",
    ];
    const VALUES: [&str; 4] = ["fixed", "pattern", "minValue", "maxValue"];
    let mut kept = Map::new();
    for (name, value) in element.as_object().into_iter().flatten() {
        let typed = |prefix: &&str| {
            let name = name.strip_prefix('_').unwrap_or(name);
            name.strip_prefix(*prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
        };
        let keep = NAMES.contains(&name.as_str()) || VALUES.iter().any(typed);
        let said_by_default = in_snapshot && value == &Value::Bool(false);
        if keep && !(said_by_default && ["mustSupport", "isModifier", "isSummary"].contains(&name.as_str())) {
            kept.insert(name.clone(), slim_part(name, value));
        }
    }
    if let Some(extensions) = extensions(element, &[MIN_LENGTH, REGEX, MAX_DECIMALS, MAX_SIZE]) {
        kept.insert("extension".to_owned(), extensions);
    }
    Value::Object(kept)
}

fn slim_part(name: &str, value: &Value) -> Value {
    let each = |slim: &dyn Fn(&Value) -> Value| match value {
        Value::Array(items) => Value::Array(items.iter().map(slim).collect()),
        other => slim(other),
    };
    match name {
        "constraint" => {
            each(&|item| part(item, &["key", "severity", "human", "expression", "source"], &[BEST_PRACTICE]))
        }
        "type" => each(&|item| {
            part(item, &["code", "profile", "targetProfile", "aggregation", "versioning"], &[FHIR_TYPE, REGEX])
        }),
        "binding" => {
            let [tools, r5] = ADDITIONAL_BINDINGS;
            each(&|item| part(item, &["strength", "valueSet"], &[MAX_VALUE_SET, MIN_VALUE_SET, tools, r5]))
        }
        "slicing" => each(&|item| part(item, &["discriminator", "ordered", "rules"], &[])),
        _ => value.clone(),
    }
}

fn part(item: &Value, names: &[&str], urls: &[&str]) -> Value {
    let members = item.as_object().into_iter().flatten();
    let mut kept: Map<String, Value> =
        members.filter(|(name, _)| names.contains(&name.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect();
    if let Some(extensions) = extensions(item, urls) {
        kept.insert("extension".to_owned(), extensions);
    }
    Value::Object(kept)
}
