//! FHIR resources by chance: what a mapping makes of another object, or an example as an EHR might send it, with all that
//! no mapping knows added: unknown elements, extensions, contained resources, further list items, shuffled lists, codes
//! and references of others.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::mapping::{Context, Example, ObjectType, Part, Plan};

/// Makes resources of one kind.
pub(super) struct Resources<'a> {
    plan: &'a Plan,
    context: &'a Context,
    examples: Vec<&'a Example>,
}

impl<'a> Resources<'a> {
    pub(super) fn new(object: &'a ObjectType, plan: &'a Plan, context: &'a Context) -> Self {
        Self { plan, context, examples: object.examples().iter().collect() }
    }

    /// The parts of an object at an EHR; none if this object cannot be sent.
    pub(super) fn make(&self, internal: &Value, rng: &mut Rng) -> Option<Vec<Part>> {
        let mut parts = if !self.examples.is_empty() && rng.u8(..4) == 0 {
            self.plan.parts(&self.examples[rng.usize(..self.examples.len())].fhir)
        } else {
            self.plan.as_held(internal, self.context).ok()?
        };
        if parts.is_empty() {
            return None;
        }
        // An EHR often has only the main resource.
        if rng.u8(..6) == 0 {
            parts.truncate(1);
        }
        for part in &mut parts {
            if let Some(members) = part.resource.as_object_mut() {
                members.entry("id").or_insert_with(|| format!("ehr-{}", rng.u16(..)).into());
            }
            let mut next = 0;
            disturb(&mut part.resource, rng, 0, &mut next);
            surround(&mut part.resource, rng);
        }
        Some(parts)
    }
}

/// Unknown things inside, at any depth. Every list item gets an id, by which the laws recognise it.
fn disturb(value: &mut Value, rng: &mut Rng, depth: usize, next: &mut usize) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members.iter_mut() {
                if name != "extension" && name != "_div" {
                    disturb(inner, rng, depth + 1, next);
                }
            }
            if depth > 0 && rng.u8(..5) == 0 {
                let url = format!("http://example.org/fhir/extension-{}", rng.u8(..4));
                let extension = json!({ "url": url, "valueString": "kept" });
                if let Value::Array(list) = members.entry("extension").or_insert_with(|| Value::Array(Vec::new())) {
                    list.push(extension);
                }
            }
            if depth > 0 && rng.u8(..12) == 0 {
                members.insert("x-unknown".to_owned(), json!({ "any": ["thing", 1.10] }));
            }
            if rng.u8(..8) == 0 {
                primitive(members, rng);
            }
        }
        Value::Array(items) => {
            if !items.is_empty() && items.iter().all(Value::is_object) {
                if rng.u8(..4) == 0 {
                    // A further item, much like another one.
                    let mut twin = items[rng.usize(..items.len())].clone();
                    vary(&mut twin, rng);
                    items.push(twin);
                }
                if rng.u8(..4) == 0 {
                    rng.shuffle(items);
                }
                for item in items.iter_mut().filter_map(Value::as_object_mut) {
                    *next += 1;
                    item.insert("id".to_owned(), format!("i{next}").into());
                }
            }
            for item in items.iter_mut() {
                disturb(item, rng, depth + 1, next);
            }
        }
        _ => {}
    }
}

/// An extension beside a primitive.
fn primitive(members: &mut Map<String, Value>, rng: &mut Rng) {
    let plain: Vec<String> = members
        .iter()
        .filter(|(name, value)| value.is_string() && !["resourceType", "id", "url", "div"].contains(&name.as_str()))
        .map(|(name, _)| format!("_{name}"))
        .filter(|beside| !members.contains_key(beside))
        .collect();
    if !plain.is_empty() {
        let beside = plain[rng.usize(..plain.len())].clone();
        let extension = json!({ "extension": [{ "url": "http://example.org/fhir/beside", "valueBoolean": true }] });
        members.insert(beside, extension);
    }
}

/// Other codes, other targets, something missing.
fn vary(value: &mut Value, rng: &mut Rng) {
    let Some(members) = value.as_object_mut() else { return };
    if rng.bool()
        && let Some(code) = members.get_mut("code").filter(|code| code.is_string())
    {
        *code = format!("local-{}", rng.u8(..)).into();
    }
    if rng.bool()
        && let Some(system) = members.get_mut("system").filter(|system| system.is_string())
    {
        *system = "http://example.org/local".into();
    }
    if members.len() > 1 && rng.u8(..3) == 0 {
        let at = rng.usize(..members.len());
        let name = members.keys().nth(at).cloned();
        if let Some(name) = name.filter(|name| name != "url") {
            members.shift_remove(&name);
        }
    }
    for inner in members.values_mut() {
        match inner {
            Value::Array(items) => items.iter_mut().for_each(|item| vary(item, rng)),
            inner => vary(inner, rng),
        }
    }
}

/// What stands around: metadata, narrative, contained resources, elements no mapping knows.
fn surround(resource: &mut Value, rng: &mut Rng) {
    let Some(members) = resource.as_object_mut() else { return };
    if rng.bool() {
        members.insert(
            "meta".to_owned(),
            json!({ "versionId": "3", "lastUpdated": "2026-05-04T09:30:00.123Z", "tag": [{ "code": "x" }] }),
        );
    }
    if rng.u8(..3) == 0 {
        let status = if rng.bool() { "generated" } else { "additional" };
        let text = json!({ "status": status, "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">as it was</div>" });
        members.insert("text".to_owned(), text);
    }
    if rng.u8(..3) == 0 {
        let contained = json!({ "resourceType": "Basic", "id": "c1", "code": { "text": "contained" } });
        if let Value::Array(list) = members.entry("contained").or_insert_with(|| Value::Array(Vec::new())) {
            list.push(contained);
        }
    }
    if rng.u8(..4) == 0 {
        members.insert("language".to_owned(), "en-GB".into());
        members.insert("implicitRules".to_owned(), "http://example.org/rules".into());
    }
    if rng.u8(..4) == 0 {
        members.insert("x-unknown".to_owned(), json!([{ "a": 1.10 }, { "a": "2" }]));
    }
    // Members in another order mean the same.
    if rng.u8(..3) == 0 {
        let mut all: Vec<(String, Value)> = std::mem::take(members).into_iter().collect();
        rng.shuffle(&mut all);
        members.extend(all);
    }
}
