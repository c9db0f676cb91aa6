//! From the files of the mappings folder to plans: reading, checking, compiling. Every mistake an author can make is
//! told with file, line, column and a hint; all of them at once.

mod answers;
mod between;
mod checks;
mod compile;
mod concepts;
mod examples;
mod files;
mod head;
mod identity;
mod kinds;
mod limits;
mod merging;
mod never;
mod object;
mod overlay;
mod path;
mod schema;
mod shape;
mod slips;
mod standing;
mod target;
pub(crate) mod yaml;

pub use answers::{Answers, Meaning};
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

/// The dialects of `dialects.yaml`, by name.
pub(crate) type Dialects = BTreeMap<String, Dialect>;

/// What holds for a dialect in all objects.
#[derive(Debug, Default)]
pub(crate) struct Dialect {
    /// For people.
    pub(crate) title: String,
    /// The dialect whose overlays hold where it has none of its own.
    pub(crate) extends: Option<String>,
    /// Elements that are never written, and why.
    pub(crate) never: Vec<(String, String)>,
    /// Words in the name of the software that such EHRs state, in small letters.
    pub(crate) software: Vec<String>,
}

/// What the files come to.
pub(crate) struct All {
    pub(crate) loaded: Vec<Loaded>,
    pub(crate) dialects: Dialects,
    pub(crate) answers: BTreeMap<String, Answers>,
}

/// Compiles everything; mistakes are sorted by file and line.
///
/// With `drafts` it is no mistake that an example has no other side yet, or that there is none: for the tools that make one.
pub(crate) fn all(files: &Files, definitions: &Arc<Definitions>, drafts: bool) -> Result<All, Vec<Mistake>> {
    let mut mistakes = Mistakes::default();
    let mut mappings = BTreeMap::new();
    for name in files.objects() {
        let path = format!("{name}/mapping.yaml");
        if let Some(node) = Node::read(&path.as_str().into(), &files.0[&path], &mut mistakes) {
            mappings.insert(name, node);
        }
    }
    folders(files, &mappings, &mut mistakes);
    let mut shared = shared(files, &mappings, definitions, &mut mistakes);
    shared.drafts = drafts;
    let common = common(files, &mut mistakes);
    let mut loaded = Vec::new();
    for (name, node) in &mappings {
        loaded.extend(object::load(name, node, files, &shared, &common, &mut mistakes));
    }
    plurals(&loaded, &mappings, &mut mistakes);
    never::check(&loaded, &shared.dialects, &mut mistakes);
    let answers = answers::read(files, &shared.dialects, &mut mistakes);
    if mistakes.0.is_empty() {
        return Ok(All { loaded, dialects: shared.dialects, answers });
    }
    mistakes.0.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Err(mistakes.0)
}

/// A folder that is no object's, since its `mapping.yaml` is missing.
fn folders(files: &Files, mappings: &BTreeMap<String, Node>, mistakes: &mut Mistakes) {
    let mut known: Vec<&str> = vec!["concepts", "fragments", "built-in"];
    known.extend(mappings.keys().map(String::as_str));
    let mut told = "";
    for path in files.0.keys() {
        let Some((folder, _)) = path.split_once('/').filter(|(folder, _)| !known.contains(folder)) else { continue };
        if folder != told && !files.0.contains_key(&format!("{folder}/mapping.yaml")) {
            let hint = match yaml::nearest(folder, mappings.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`? A folder of a new object needs a mapping.yaml"),
                None => "the folder of a new object needs a mapping.yaml".to_owned(),
            };
            let at = Place::start_of(&path.as_str().into());
            mistakes.add(&at, format!("there is no object `{folder}`: {folder}/mapping.yaml is missing"), hint);
            told = folder;
        }
    }
}

/// Two objects cannot answer under one name in routes.
fn plurals(loaded: &[Loaded], mappings: &BTreeMap<String, Node>, mistakes: &mut Mistakes) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for Loaded { object, .. } in loaded {
        if let Some(other) = taken.insert(object.plural(), object.name()) {
            let node = mappings.get(object.name());
            let at = node.map(|node| node.get("plural").map_or(&node.at, |plural| &plural.at));
            let what = format!("`{other}` has the plural `{}` already", object.plural());
            at.into_iter().for_each(|at| mistakes.add(at, what.as_str(), "choose another `plural`"));
        }
    }
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
        }
    }
    for (path, text) in files.lists("concepts/systems.yaml") {
        systems.extend(concepts::systems(path, text, mistakes));
    }
    let mut fragments = BTreeMap::new();
    let mut defaults: BTreeMap<String, String> = BTreeMap::new();
    for (path, name, text) in files.within("fragments") {
        let Some(stem) = name.strip_suffix(".yaml") else { continue };
        let Some(node) = Node::read(&path.into(), text, mistakes) else { continue };
        node.only(&["fragment", "type", "default", "key", "rules", "checks", "why"], mistakes);
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
        let (type_name, rules) = (type_name.to_owned(), rules.clone());
        let (key, checks) = (node.get("key").cloned(), node.get("checks").cloned());
        fragments.insert(stem.to_owned(), Fragment { type_name, rules, key, checks });
    }
    let dialects = dialects(files, mistakes);
    // What is a Quantity by another name is written like one.
    if let Some(name) = defaults.get("Quantity").cloned() {
        for kind in ["Age", "Count", "Distance", "Duration", "SimpleQuantity"] {
            defaults.entry(kind.to_owned()).or_insert_with(|| name.clone());
        }
    }
    let definitions = Arc::clone(definitions);
    Shared { definitions, dialects, fragments, defaults, concepts, systems, objects: Arc::new(objects), drafts: false }
}

/// The dialects by name; one may extend another.
fn dialects(files: &Files, mistakes: &mut Mistakes) -> Dialects {
    let generic = Dialect { title: "This system".to_owned(), ..Dialect::default() };
    let mut dialects = Dialects::from([("generic".to_owned(), generic)]);
    let lists: Vec<Node> =
        files.lists("dialects.yaml").filter_map(|(path, text)| Node::read(&path.into(), text, mistakes)).collect();
    for (name, node) in lists.iter().flat_map(Node::members) {
        dialects.insert(name.text.clone(), dialect(&name.text, node, mistakes));
    }
    for (name, node) in lists.iter().flat_map(Node::members) {
        circle(&name.text, node, &dialects, mistakes);
    }
    dialects
}

fn dialect(name: &str, node: &Node, mistakes: &mut Mistakes) -> Dialect {
    node.only(&["title", "why", "extends", "never", "elsewhere", "software"], mistakes);
    let title = node.text_at("title", mistakes).unwrap_or(name).to_owned();
    let extends = node.text_at("extends", mistakes).map(str::to_owned);
    let mut never = Vec::new();
    for (element, why) in node.get("never").map_or(&[][..], Node::members) {
        match why.text() {
            Some(why) => never.push((element.text.clone(), why.to_owned())),
            None => mistakes.add(&why.at, "what is never written must say why", "ELEMENT: why, in a sentence"),
        }
    }
    let words = node.get("software").map(|words| (words, words.texts()));
    if let Some((words, None)) = &words {
        mistakes.add(&words.at, "`software` is a list of words", "software: [epic]");
    }
    let software = words.and_then(|(_, words)| words).unwrap_or_default();
    Dialect { title, extends, never, software: software.iter().map(|word| word.to_lowercase()).collect() }
}

/// Tells where `extends` leads nowhere or runs in a circle.
fn circle(name: &str, node: &Node, dialects: &Dialects, mistakes: &mut Mistakes) {
    let mut way = vec![name];
    let at = node.get("extends").map_or(&node.at, |extends| &extends.at);
    let base_of = |name: &str| dialects.get(name).and_then(|dialect| dialect.extends.as_deref());
    let mut next = base_of(name);
    while let Some(base) = next {
        if way.contains(&base) {
            let what = format!("the dialects run in a circle: {} → {base}", way.join(" → "));
            mistakes.add(at, what, "remove one `extends`");
            return;
        }
        if !dialects.contains_key(base) {
            let hint = match yaml::nearest(base, dialects.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "name it in dialects.yaml".to_owned(),
            };
            mistakes.add(at, format!("there is no dialect `{base}`"), hint);
            return;
        }
        way.push(base);
        next = base_of(base);
    }
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
