//! From the files of the mappings folder to plans: reading, checking, compiling. Every mistake an author can make is
//! told with file, line, column and a hint; all of them at once.

mod checks;
mod compile;
mod concepts;
mod files;
mod head;
mod identity;
mod kinds;
mod object;
mod overlay;
mod path;
mod schema;
mod shape;
mod target;
pub(crate) mod yaml;

pub use files::Files;
pub(crate) use path::parse as parse_path;
pub(crate) use shape::Shape;

use std::{collections::BTreeMap, sync::Arc};

use self::{
    compile::{Fragment, Shared},
    yaml::{Mistakes, Node, Place},
};
use super::{
    Mistake,
    plan::{Name, ObjectTable},
    set::Loaded,
};
use crate::{definitions::Definitions, fhir::Value};

/// Dialect → the dialect it extends (`dialects.yaml`).
pub(crate) type Dialects = BTreeMap<String, Option<String>>;

/// Compiles everything; mistakes are sorted by file and line.
pub(crate) fn all(files: &Files, definitions: &Arc<Definitions>) -> Result<(Vec<Loaded>, Dialects), Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let mut mappings = BTreeMap::new();
    for name in files.objects() {
        let path = format!("{name}/mapping.yaml");
        if let Some(node) = Node::read(&path.as_str().into(), &files.0[&path], &mut mistakes) {
            mappings.insert(name, node);
        }
    }
    let shared = shared(files, &mappings, definitions, &mut mistakes);
    let common = common(files, &mut mistakes);
    let mut loaded = Vec::new();
    for (name, node) in &mappings {
        loaded.extend(object::load(name, node, files, &shared, &common, &mut mistakes));
    }
    if mistakes.0.is_empty() {
        return Ok((loaded, shared.dialects));
    }
    mistakes.0.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Err(mistakes.0)
}

fn shared(
    files: &Files,
    mappings: &BTreeMap<String, Node>,
    definitions: &Arc<Definitions>,
    mistakes: &mut Mistakes,
) -> Shared {
    let mut objects = ObjectTable::default();
    for (name, node) in mappings {
        if let Some(kind) = node.get("resource").and_then(Node::text) {
            let (name, kind) = (Name::from(name.as_str()), Name::from(kind));
            objects.type_of.insert(Arc::clone(&name), Arc::clone(&kind));
            objects.of_type.entry(kind).or_default().push(name);
        }
    }
    let mut concepts = BTreeMap::new();
    let mut systems = BTreeMap::new();
    for (path, name, text) in files.within("concepts") {
        if let Some(stem) = name.strip_suffix(".json") {
            concepts.extend(concepts::concept_map(path, text, mistakes).map(|codes| (stem.to_owned(), codes)));
        } else if name == "systems.yaml" {
            systems = concepts::systems(path, text, mistakes);
        }
    }
    let mut fragments = BTreeMap::new();
    let mut defaults: BTreeMap<String, String> = BTreeMap::new();
    for (path, name, text) in files.within("fragments") {
        let Some(stem) = name.strip_suffix(".yaml") else { continue };
        let Some(node) = Node::read(&path.into(), text, mistakes) else { continue };
        node.only(&["fragment", "type", "default", "rules", "why"], mistakes);
        if node.text_at("fragment", mistakes) != Some(stem) {
            mistakes.add(&node.at, "`fragment` must be the file's name", format!("write `fragment: {stem}`"));
        }
        let (Some(type_name), Some(rules)) = (node.text_at("type", mistakes), node.get("rules")) else {
            mistakes.add(&node.at, "a fragment needs `type` and `rules`", "");
            continue;
        };
        if Shape::of_type(definitions, type_name).is_none() {
            mistakes.add(&node.at, format!("`{type_name}` is no FHIR type"), "for instance `Address`");
        }
        if node.get("default").is_some_and(|default| default.json() == Value::Bool(true))
            && let Some(other) = defaults.insert(type_name.to_owned(), stem.to_owned())
        {
            let what = format!("two fragments are the default for {type_name} (the other one: {other})");
            mistakes.add(&node.at, what, "let only one say `default: true`");
        }
        fragments.insert(stem.to_owned(), Fragment { type_name: type_name.to_owned(), rules: rules.clone() });
    }
    let dialects = dialects(files, mistakes);
    // What is a Quantity by another name is written like one.
    if let Some(name) = defaults.get("Quantity").cloned() {
        for kind in ["Age", "Count", "Distance", "Duration", "SimpleQuantity"] {
            defaults.entry(kind.to_owned()).or_insert_with(|| name.clone());
        }
    }
    let definitions = Arc::clone(definitions);
    Shared { definitions, dialects, fragments, defaults, concepts, systems, objects: Arc::new(objects) }
}

/// The dialects by name; one may extend another.
fn dialects(files: &Files, mistakes: &mut Mistakes) -> Dialects {
    let path = "dialects.yaml";
    let node = files.0.get(path).and_then(|text| Node::read(&path.into(), text, mistakes));
    let mut dialects = Dialects::from([("generic".to_owned(), None)]);
    let Some(node) = node else { return dialects };
    for (name, dialect) in node.members() {
        dialect.only(&["title", "why", "extends"], mistakes);
        dialects.insert(name.text.clone(), dialect.text_at("extends", mistakes).map(str::to_owned));
    }
    for (name, dialect) in node.members() {
        let mut way = vec![name.text.as_str()];
        let mut next = dialects.get(&name.text).cloned().flatten();
        let at = dialect.get("extends").map_or(&dialect.at, |extends| &extends.at);
        while let Some(base) = next {
            if way.contains(&base.as_str()) {
                mistakes.add(
                    at,
                    format!("the dialects run in a circle: {} → {base}", way.join(" → ")),
                    "remove one `extends`",
                );
                break;
            }
            next = match dialects.get_key_value(&base) {
                Some((known, next)) => {
                    way.push(known);
                    next.clone()
                }
                None => {
                    mistakes.add(at, format!("there is no dialect `{base}`"), "name it in dialects.yaml");
                    None
                }
            };
        }
    }
    dialects
}

fn common(files: &Files, mistakes: &mut Mistakes) -> Value {
    let path = "common.schema.json";
    files.0.get(path).and_then(|text| json(path, text, mistakes)).unwrap_or_default()
}

/// A JSON file.
fn json(path: &str, text: &str, mistakes: &mut Mistakes) -> Option<Value> {
    match crate::fhir::read_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let at = Place { file: path.into(), line: error.line, column: error.column };
            mistakes.add(&at, format!("this is not JSON: {}", error.sentence()), "");
            None
        }
    }
}
