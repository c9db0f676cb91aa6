//! The JSON Schema of an object while its mapping is compiled: shared shapes merged in, core fields added, unknown
//! fields refused by default; and a cursor that finds a field's schema. <https://json-schema.org/draft/2020-12>

use serde_json::{Map, Value, json};

use super::compile::Compiler;
use crate::mapping::{fit::Fit, plan::Kind};

/// The keyword for fields that never leave the house.
pub(crate) const INTERNAL_ONLY: &str = "x-internal-only";

const COMMON: &str = "common.schema.json#/$defs/";

/// The self-contained schema of an object.
pub(super) fn complete(schema: &Value, common: &Value, identifiers: bool) -> Value {
    let mut schema = schema.clone();
    let defs = common["$defs"].as_object().cloned().unwrap_or_default();
    localise(&mut schema);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let mut core = Map::new();
        let mut names = vec!["id", "version"];
        if identifiers {
            names.push("identifiers");
        }
        for name in names {
            core.insert(name.to_owned(), json!({ "$ref": format!("#/$defs/{name}") }));
        }
        core.extend(std::mem::take(properties));
        *properties = core;
    }
    let mut own = schema.get_mut("$defs").and_then(Value::as_object_mut).map(std::mem::take).unwrap_or_default();
    for (name, shape) in defs {
        own.entry(name).or_insert(shape);
    }
    own.entry("id").or_insert(json!({ "type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$" }));
    own.entry("version").or_insert(json!({ "type": "integer", "minimum": 1 }));
    own.entry("identifiers").or_insert(json!({ "type": "array", "items": { "$ref": "#/$defs/identifier" } }));
    let mut own = Value::Object(own);
    localise(&mut own);
    keep_used(&schema, &mut own);
    if let Some(members) = schema.as_object_mut() {
        members.insert("$defs".to_owned(), own);
    }
    close(&mut schema);
    schema
}

/// References to the common file become references to the own `$defs`.
fn localise(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                for prefix in [COMMON, "../common.schema.json#/$defs/"] {
                    if let Some(name) = reference.strip_prefix(prefix) {
                        *reference = format!("#/$defs/{name}");
                        break;
                    }
                }
            }
            members.values_mut().for_each(localise);
        }
        Value::Array(items) => items.iter_mut().for_each(localise),
        _ => {}
    }
}

/// Only what is used, directly or through others, stays among the shared shapes.
fn keep_used(schema: &Value, defs: &mut Value) {
    fn uses(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(members) => {
                if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/$defs/"))
                {
                    found.push(name.to_owned());
                }
                members.values().for_each(|inner| uses(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| uses(inner, found)),
            _ => {}
        }
    }
    let mut wanted = Vec::new();
    uses(schema, &mut wanted);
    let mut known: Vec<String> = Vec::new();
    while let Some(name) = wanted.pop() {
        if !known.contains(&name) {
            uses(&defs[&name], &mut wanted);
            known.push(name);
        }
    }
    if let Some(members) = defs.as_object_mut() {
        members.retain(|name, _| known.contains(name));
    }
}

/// An object that lists its fields takes no others, unless it says so itself.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let typed = members.get("type").is_some_and(|kind| kind == "object");
            if typed && members.contains_key("properties") && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// A place in a schema; `$ref` is followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'s> {
    root: &'s Value,
    at: &'s Value,
    /// As it is written in its place: what stands beside a `$ref` included.
    written: &'s Value,
}

impl<'s> Cursor<'s> {
    pub(crate) fn root(schema: &'s Value) -> Self {
        Self { root: schema, at: schema, written: schema }.followed()
    }

    fn followed(mut self) -> Self {
        for _ in 0..16 {
            let Some(reference) = self.at.get("$ref").and_then(Value::as_str) else { break };
            match reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) {
                Some(found) => self.at = found,
                None => break,
            }
        }
        self
    }

    pub(crate) fn field(self, name: &str) -> Option<Self> {
        let at = self.at.get("properties")?.get(name)?;
        Some(Self { at, written: at, ..self }.followed())
    }

    pub(crate) fn items(self) -> Option<Self> {
        let at = self.at.get("items")?;
        Some(Self { at, written: at, ..self }.followed())
    }

    pub(crate) const fn written(self) -> &'s Value {
        self.written
    }

    /// The names of the fields.
    pub(crate) fn fields(self) -> Vec<&'s str> {
        let properties = self.at.get("properties").and_then(Value::as_object);
        properties.map(|members| members.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    pub(crate) fn kind(self) -> Option<&'s str> {
        self.at.get("type")?.as_str()
    }

    pub(crate) fn is_array(self) -> bool {
        self.kind() == Some("array")
    }

    /// Whether a list takes no item twice.
    pub(crate) fn is_once(self) -> bool {
        self.at.get("uniqueItems") == Some(&Value::Bool(true))
    }

    pub(crate) fn is_internal_only(self, name: &str) -> bool {
        self.at.get("properties").and_then(|all| all.get(name)).and_then(|field| field.get(INTERNAL_ONLY))
            == Some(&Value::Bool(true))
    }

    /// The words of an enumeration.
    pub(crate) fn words(self) -> Option<&'s Vec<Value>> {
        self.at.get("enum")?.as_array()
    }
}

impl Compiler<'_> {
    /// What a value must be for the object to say it; nested rules ask by themselves.
    pub(super) fn fit(&self, kind: &Kind, item: Option<Cursor<'_>>, field: Option<Cursor<'_>>) -> Option<Fit> {
        let leaf = matches!(kind, Kind::Leaf(_) | Kind::Values(_));
        let once = field.is_some_and(Cursor::is_once);
        item.filter(|_| leaf).map(|item| Fit::new(item.written(), once, &self.schema))
    }
}
