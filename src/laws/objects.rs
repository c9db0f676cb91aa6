//! Internal objects by chance: from the object's JSON Schema, and from its worked examples with fields changed. Only
//! objects that the schema allows are used.

use fastrand::Rng;
use serde_json::{Map, Number, Value};

use super::words;
use crate::mapping::{ObjectType, Plan};

/// Makes objects of one kind.
pub(super) struct Objects<'a> {
    object: &'a ObjectType,
    plan: &'a Plan,
    examples: Vec<&'a Value>,
}

const TEXTS: &[&str] =
    &["Ann", "Müller-Łukasz", "عائشة", "12 High Street", "a < b & c > d", "“quoted”", "née O'Neill", "x", "Two words"];

impl<'a> Objects<'a> {
    pub(super) fn new(object: &'a ObjectType, plan: &'a Plan) -> Self {
        Self { object, plan, examples: object.examples().iter().map(|example| &example.internal).collect() }
    }

    /// A valid object; none where chance failed often (the schema is then too narrow for the generator).
    pub(super) fn make(&self, rng: &mut Rng) -> Option<Value> {
        for _ in 0..40 {
            let mut made = if self.examples.is_empty() || rng.u8(..3) == 0 {
                self.value(self.object.schema(), rng, 0)
            } else {
                self.changed(rng)
            };
            if let Some(members) = made.as_object_mut() {
                members.shift_remove("version");
            }
            self.plan.point_references(&mut made, &mut |count| rng.usize(..count.max(1)));
            if self.object.is_valid(&made) {
                return Some(made);
            }
        }
        None
    }

    /// A worked example with some fields left out, taken from another one, or made anew.
    fn changed(&self, rng: &mut Rng) -> Value {
        let mut made = self.examples[rng.usize(..self.examples.len())].clone();
        let Some(properties) = self.object.schema().get("properties").and_then(Value::as_object) else { return made };
        let names: Vec<&String> = properties.keys().collect();
        let Some(members) = made.as_object_mut() else { return made };
        for _ in 0..rng.usize(..6) {
            let name = names[rng.usize(..names.len())];
            match rng.u8(..4) {
                0 => {
                    members.shift_remove(name);
                }
                1 => {
                    let other = self.examples[rng.usize(..self.examples.len())];
                    if let Some(value) = other.get(name) {
                        members.insert(name.clone(), value.clone());
                    }
                }
                _ => {
                    members.insert(name.clone(), self.value(&properties[name], rng, 1));
                }
            }
        }
        made
    }

    fn value(&self, schema: &Value, rng: &mut Rng, depth: usize) -> Value {
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let found = target.strip_prefix('#').and_then(|pointer| self.object.schema().pointer(pointer));
            return found.map_or(Value::Null, |found| self.value(found, rng, depth));
        }
        if let Some(fixed) = schema.get("const") {
            return fixed.clone();
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array).filter(|words| !words.is_empty()) {
            return words[rng.usize(..words.len())].clone();
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("string") => Value::String(text(schema, rng)),
            Some("boolean") => Value::Bool(rng.bool()),
            Some("integer") => Value::Number(integer(schema, rng).into()),
            Some("number") => number(rng),
            Some("array") => self.array(schema, rng, depth),
            _ => match ["oneOf", "anyOf"].iter().find_map(|key| schema.get(*key)?.as_array()) {
                Some(forms) if schema.get("properties").is_none() => {
                    self.value(&forms[rng.usize(..forms.len())], rng, depth)
                }
                _ => self.object(schema, rng, depth),
            },
        }
    }

    fn array(&self, schema: &Value, rng: &mut Rng, depth: usize) -> Value {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0) as usize;
        let most = schema.get("maxItems").and_then(Value::as_u64).map_or(least + 3, |most| most as usize);
        let count = rng.usize(least..=most.max(least).min(least + 3));
        let Some(items) = schema.get("items") else { return Value::Array(Vec::new()) };
        (0..count).map(|_| self.value(items, rng, depth + 1)).collect()
    }

    fn object(&self, schema: &Value, rng: &mut Rng, depth: usize) -> Value {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let mut required: Vec<&str> = texts(schema.get("required"));
        // Of exclusive forms one is taken: its fields are required, those it forbids are left out.
        let mut barred: Vec<&str> = Vec::new();
        for key in ["oneOf", "anyOf"] {
            if let Some(forms) = schema.get(key).and_then(Value::as_array).filter(|forms| !forms.is_empty()) {
                let form = &forms[rng.usize(..forms.len())];
                required.extend(texts(form.get("required")));
                let forbidden = form.get("properties").and_then(Value::as_object).into_iter().flatten();
                barred.extend(
                    forbidden.filter(|(_, schema)| **schema == Value::Bool(false)).map(|(name, _)| name.as_str()),
                );
            }
        }
        let share = if depth > 2 { 60 } else { 130 };
        let mut members = Map::new();
        for (name, schema) in properties {
            let wanted = required.contains(&name.as_str()) || (rng.u8(..) < share && !barred.contains(&name.as_str()));
            if wanted && schema != &Value::Bool(false) {
                members.insert(name.clone(), self.value(schema, rng, depth + 1));
            }
        }
        Value::Object(members)
    }
}

fn texts(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn text(schema: &Value, rng: &mut Rng) -> String {
    if let Some(format) = schema.get("format").and_then(Value::as_str) {
        return words::time(format, rng);
    }
    if schema.get("contentEncoding").is_some() {
        return ["aGVsbG8=", "JVBERi0xLjQ=", "AA=="][rng.usize(..3)].to_owned();
    }
    match schema.get("pattern").and_then(Value::as_str) {
        Some(r"\S") | None => TEXTS[rng.usize(..TEXTS.len())].to_owned(),
        Some(pattern) => words::matching(pattern, rng).unwrap_or_else(|| "x".to_owned()),
    }
}

fn integer(schema: &Value, rng: &mut Rng) -> i64 {
    let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
    let least = bound("minimum").unwrap_or(0);
    rng.i64(least..=bound("maximum").unwrap_or(least + 500).min(least + 500).max(least))
}

/// Decimals whose text matters: 1.10 is not 1.1.
fn number(rng: &mut Rng) -> Value {
    let text = match rng.u8(..4) {
        0 => format!("{}", rng.u32(..1000)),
        1 => format!("{}.{}0", rng.u32(..100), rng.u32(..10)),
        2 => format!("-{}.{:03}", rng.u32(..50), rng.u32(..1000)),
        _ => "0.000001".to_owned(),
    };
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}
