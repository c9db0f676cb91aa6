//! Generates the snapshot of a profile that comes with a differential only: the base's snapshot as a tree, each
//! differential element laid upon the place it names, types unfolded where the differential goes below them.
//! What has no place is a problem that is reported, never skipped silently.
//! <https://hl7.org/fhir/R4/profiling.html#snapshot>, <https://hl7.org/fhir/R4/elementdefinition.html#id>

mod laid;
mod merge;
mod tree;

pub use laid::{Derived, Laid, Problem, Step};

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::compile::whole;
use merge::{merge, only_type, slice_of, type_codes};
use tree::Node;

/// Marks, while a snapshot is being made, a choice's slicing that no differential states: true if its types are still
/// the base's.
const IMPLIED: &str = " implied";

/// Where bases and types come from: the elements of a structure's snapshot (generated, if need be).
pub(super) trait Bases {
    /// By canonical or type name; `None` if it is not at hand or being generated just now.
    fn snapshot(&mut self, canonical: &str) -> Option<Vec<Value>>;
    /// Whether it is being generated just now.
    fn is_open(&self, canonical: &str) -> bool;
}

/// Levels of a path, and of slices within slices. Real ones have a dozen.
const DEEPEST: usize = 60;
/// Elements that one differential may unfold. Real ones unfold a few hundred.
const MOST_UNFOLDED: usize = 20_000;

/// One part of an element's id: a name, and the slice (`outer/inner` for re-slices).
#[derive(Clone, Debug)]
struct Part {
    name: String,
    slice: Option<String>,
}

/// Generates the snapshot of `resource` (a StructureDefinition with a differential). `laid` is kept only if `watch`.
pub(super) fn generate(resource: &Value, bases: &mut dyn Bases, watch: bool) -> Derived {
    let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default();
    let type_name = text("type").rsplit('/').next().unwrap_or_default().to_owned();
    let differential = resource.pointer("/differential/element").and_then(Value::as_array);
    let differential: Vec<&Map<String, Value>> =
        differential.into_iter().flatten().filter_map(Value::as_object).collect();
    let mut problems = Vec::new();
    let base = text("baseDefinition");
    let mut elements = if base.is_empty() { None } else { bases.snapshot(base) };
    if elements.is_none() && !base.is_empty() {
        let text = if bases.is_open(base) {
            format!("it derives from itself by way of its base {base}, so that what that demands is not checked")
        } else {
            format!("its base {base} is not at hand, so that what that demands is not checked")
        };
        problems.push(Problem { at: None, text });
        elements = bases.snapshot(&type_name);
    }
    let mut root = elements.as_deref().and_then(Node::of).unwrap_or_default();
    root.name = type_name;
    let base = root.clone();
    let specializes = text("derivation") != "constraint" || elements.is_none();
    let mut work = Work {
        bases,
        base,
        specializes,
        profile: text("url"),
        problems,
        at: None,
        now: Laid::default(),
        watch,
        left: MOST_UNFOLDED,
    };
    let mut laid = Vec::new();
    let mut last: HashMap<String, Vec<Part>> = HashMap::new();
    for (at, element) in differential.into_iter().enumerate() {
        work.at = Some(at);
        work.now = Laid::default();
        work.place(&mut root, element, &mut last);
        if watch {
            laid.push(std::mem::take(&mut work.now));
        }
    }
    settle(&mut root);
    Derived { elements: root.flatten(), problems: work.problems, laid }
}

/// Where an element belongs: by its id if that agrees with the path, else by the elements before it.
fn parts(element: &Map<String, Value>, path: &str, last: &HashMap<String, Vec<Part>>) -> Option<Vec<Part>> {
    let slice = element.get("sliceName").and_then(Value::as_str);
    let part = |text: &str| {
        let (name, slice) = text.split_once(':').map_or((text, None), |(name, slice)| (name, Some(slice.to_owned())));
        Part { name: name.to_owned(), slice }
    };
    let id = element.get("id").and_then(Value::as_str).unwrap_or_default();
    let mut parts: Vec<Part> = id.split('.').map(part).collect();
    let names: Vec<&str> = path.split('.').collect();
    let agree = |(part, name): (&Part, &&str)| {
        part.name == **name
            || part.name.strip_suffix("[x]").is_some_and(|stem| name.starts_with(stem))
            || name.strip_suffix("[x]").is_some_and(|stem| part.name.starts_with(stem))
    };
    if parts.len() != names.len() || !parts.iter().zip(&names).all(agree) {
        let (before, name) = path.rsplit_once('.').unwrap_or(("", path));
        let known = last.get(before).cloned();
        parts = match known {
            Some(known) => known,
            // Elements may be left out on the way.
            None => before.split('.').filter(|name| !name.is_empty()).map(part).collect(),
        };
        parts.push(Part { name: name.to_owned(), slice: None });
    }
    let end = parts.last_mut()?;
    if let Some(slice) = slice
        && !(end.name.ends_with(char::is_alphanumeric) && end.slice.is_none() && end.name == slice)
    {
        end.slice = Some(slice.to_owned());
    }
    Some(parts)
}

struct Work<'a> {
    bases: &'a mut dyn Bases,
    /// The base's tree, for content references.
    base: Node,
    /// New elements may be added.
    specializes: bool,
    profile: &'a str,
    problems: Vec<Problem>,
    /// The differential's element that is being laid.
    at: Option<usize>,
    /// What happens to it.
    now: Laid,
    watch: bool,
    /// How many more elements may be unfolded.
    left: usize,
}

impl Work<'_> {
    fn problem(&mut self, text: String) {
        self.problems.push(Problem { at: self.at, text });
    }

    /// Lays one element of the differential where it belongs. `last` is where the paths before it led.
    fn place(&mut self, root: &mut Node, element: &Map<String, Value>, last: &mut HashMap<String, Vec<Part>>) {
        let Some(path) = element.get("path").and_then(Value::as_str) else {
            return self.problem("an element of its differential has no path".to_owned());
        };
        let slices = element.get("sliceName").and_then(Value::as_str).unwrap_or_default();
        if path.split('.').count() > DEEPEST || slices.split('/').count() > DEEPEST {
            return self.problem("an element of its differential is nested too deeply".to_owned());
        }
        let Some(parts) = parts(element, path, last) else {
            return self.problem(format!("{path}: nothing in its differential leads there"));
        };
        last.retain(|known, _| !known.starts_with(&format!("{path}.")));
        last.insert(path.to_owned(), parts.clone());
        match self.locate(root, &parts) {
            Ok(node) => {
                if self.watch {
                    self.now.inherited = Some(node.element.clone());
                }
                self.lay(node, element);
            }
            Err(problem) => self.problem(problem),
        }
    }

    /// Goes to the place, unfolding types and making slices on the way.
    fn locate<'n>(&mut self, root: &'n mut Node, parts: &[Part]) -> Result<&'n mut Node, String> {
        let mut node = root;
        let mut in_slice = false;
        let mut shown = node.name.clone();
        self.now.id.clone_from(&shown);
        for part in parts.iter().skip(1) {
            if node.children.is_empty() {
                self.unfold(node);
            }
            shown = format!("{shown}.{}", part.name);
            let (at, renamed) = match child(node, &part.name) {
                Some(found) => found,
                None if self.specializes => {
                    node.children.push(Node { name: part.name.clone(), ..Node::default() });
                    (node.children.len() - 1, None)
                }
                None => return Err(format!("{shown}: there is no such element in what it derives from")),
            };
            self.now.route.push(Step::Child(at));
            node = &mut node.children[at];
            shown.truncate(shown.len() - part.name.len());
            shown.push_str(&node.name);
            self.now.id = format!("{}.{}", self.now.id, node.name);
            let mut slice = part.slice.clone();
            if let Some(code) = renamed {
                let has_slice = node.slices.iter().any(|slice| slice.slice_name() == Some(&part.name));
                if !has_slice && (in_slice || type_codes(&node.element).len() == 1) {
                    only_type(&mut node.element, &code);
                } else {
                    slice = Some(part.name.clone());
                }
            }
            if let Some(slice) = slice {
                self.now.id = format!("{}:{slice}", self.now.id);
                node = self.slice(node, &shown, &slice);
                in_slice = true;
            }
        }
        Ok(node)
    }

    /// The slice of `node` with this name, made if it is new: from what the base says of the element (`id`, without
    /// slices), since what the differential says of the list as a whole is said of all its items there.
    fn slice<'n>(&mut self, node: &'n mut Node, id: &str, name: &str) -> &'n mut Node {
        if let Some(at) = node.slices.iter().position(|slice| slice.slice_name() == Some(name)) {
            self.now.route.push(Step::Slice(at));
            return &mut node.slices[at];
        }
        if let Some(at) = name.rsplit_once('/').and_then(|(outer, _)| {
            node.slices.iter().position(|slice| {
                slice.slice_name().is_some_and(|known| outer == known || outer.starts_with(&format!("{known}/")))
            })
        }) {
            self.now.route.push(Step::Slice(at));
            return self.slice(&mut node.slices[at], id, name);
        }
        let original = if node.slice_name().is_none() { self.base.find(id) } else { None };
        let implied = node.name.ends_with("[x]") || matches!(node.name.as_str(), "extension" | "modifierExtension");
        self.now.is_unsliced |= !implied && node.slice_name().is_none() && !node.element.contains_key("slicing");
        self.now.is_closed |=
            original.and_then(|base| base.element.get("slicing")?.get("rules")).is_some_and(|rules| rules == "closed");
        let (element, children) =
            original.map_or((&node.element, &node.children), |base| (&base.element, &base.children));
        let mut made = Node {
            name: node.name.clone(),
            element: slice_of(element, name),
            children: children.clone(),
            slices: Vec::new(),
        };
        let codes = type_codes(&node.element);
        let as_in_base = original.is_none_or(|base| type_codes(&base.element).len() == codes.len());
        if let Some(stem) = node.name.strip_suffix("[x]") {
            node.element.entry("slicing").or_insert_with(
                || json!({"discriminator": [{"type": "type", "path": "$this"}], "ordered": false, "rules": "open", IMPLIED: as_in_base}),
            );
            if let Some(code) = codes.iter().find(|code| name == format!("{stem}{}", capital(code))) {
                only_type(&mut made.element, code);
                made.children.clear();
            }
        } else if codes.iter().any(|code| code == "Extension") {
            node.element.entry("slicing").or_insert_with(
                || json!({"discriminator": [{"type": "value", "path": "url"}], "ordered": false, "rules": "open"}),
            );
        }
        self.spend(&mut made);
        node.slices.push(made);
        let at = node.slices.len() - 1;
        self.now.route.push(Step::Slice(at));
        &mut node.slices[at]
    }

    /// Gives `node` the children of its type, profile or content reference.
    fn unfold(&mut self, node: &mut Node) {
        self.unfolded(node);
        self.spend(node);
    }

    /// Keeps within what may be unfolded.
    fn spend(&mut self, node: &mut Node) {
        let size = node.children.iter().map(Node::size).sum();
        match self.left.checked_sub(size) {
            Some(left) => self.left = left,
            None => node.children.clear(),
        }
    }

    fn unfolded(&mut self, node: &mut Node) {
        if let Some(reference) = node.element.get("contentReference").and_then(Value::as_str) {
            let id = reference.rsplit_once('#').map_or(reference, |(_, id)| id);
            if let Some(meant) = self.base.find(id).cloned() {
                node.children = meant.children;
                node.element.shift_remove("contentReference");
                if let Some(types) = meant.element.get("type") {
                    node.element.insert("type".to_owned(), types.clone());
                }
            }
            return;
        }
        let types: Vec<&Value> = node.element.get("type").and_then(Value::as_array).into_iter().flatten().collect();
        let code = |of: &Value| of.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(first) = types.first().map(|of| code(of)) else { return };
        let profiles: Vec<&str> = types
            .iter()
            .flat_map(|of| of.get("profile").and_then(Value::as_array).into_iter().flatten())
            .filter_map(Value::as_str)
            .collect();
        let profile = if let ([one], [_]) = (profiles.as_slice(), types.as_slice()) { Some(*one) } else { None };
        let same = types.iter().all(|of| code(of) == first);
        let name = if same { first } else { "Element".to_owned() };
        let elements = profile.and_then(|profile| self.bases.snapshot(profile)).or_else(|| self.bases.snapshot(&name));
        if let Some(unfolded) = elements.as_deref().and_then(Node::of) {
            node.children = unfolded.children;
        }
    }

    fn lay(&mut self, node: &mut Node, element: &Map<String, Value>) {
        let mut element = element.clone();
        if let Some(known) = node.slice_name() {
            // The place was found by name; a choice's slice is named in the id only.
            element.insert("sliceName".to_owned(), Value::from(known.to_owned()));
        } else {
            element.shift_remove("sliceName");
        }
        let before = type_codes(&node.element);
        merge(&mut node.element, &element, self.profile);
        self.modifier(node);
        if element.contains_key("type") && before != type_codes(&node.element) && before.len() != 1 {
            // What was unfolded for several types together does not serve the one.
            node.children.clear();
        }
        let number = |name: &str| node.element.get(name).map(|value| value.to_string().trim_matches('"').to_owned());
        let min: u64 = number("min").and_then(|min| whole(&min)).unwrap_or(0);
        let max: Option<u64> = number("max").and_then(|max| whole(&max));
        if max.is_some_and(|max| max < min) && node.slices.is_empty() {
            self.problem(format!("{}: its min is more than its max", node.name));
        }
    }

    /// A slice for an extension is a modifier if the extension's definition says so.
    fn modifier(&mut self, node: &mut Node) {
        let profile = match node.element.get("type").and_then(Value::as_array).map(Vec::as_slice) {
            Some([of]) if of.get("code").is_some_and(|code| code == "Extension") => of.pointer("/profile/0"),
            _ => None,
        };
        let Some(profile) = profile.and_then(Value::as_str).map(str::to_owned) else { return };
        let root = self.bases.snapshot(&profile).and_then(|elements| elements.into_iter().next());
        if root.is_some_and(|root| root.get("isModifier").is_some_and(|is| is == true)) {
            node.element.insert("isModifier".to_owned(), Value::from(true));
        }
    }
}

fn capital(code: &str) -> String {
    let mut text = code.to_owned();
    text.get_mut(..1).map(str::make_ascii_uppercase);
    text
}

/// The child with this name; or the choice that the name is a type of (`valueQuantity`), with the type's code.
fn child(node: &Node, name: &str) -> Option<(usize, Option<String>)> {
    if let Some(at) = node.children.iter().position(|child| child.name == name) {
        return Some((at, None));
    }
    node.children.iter().enumerate().find_map(|(at, child)| {
        let suffix = name.strip_prefix(child.name.strip_suffix("[x]")?)?;
        let code = type_codes(&child.element).into_iter().find(|code| capital(code) == suffix)?;
        Some((at, Some(code)))
    })
}

/// What follows for a choice that the differential names by type only (`valueQuantity`): if that one is demanded, or the
/// choice is an extension's value not otherwise narrowed, the types that are not named are out.
fn settle(node: &mut Node) {
    node.children.iter_mut().chain(&mut node.slices).for_each(settle);
    let slicing = node.element.get_mut("slicing").and_then(Value::as_object_mut);
    let Some(as_in_base) = slicing.and_then(|slicing| slicing.shift_remove(IMPLIED)) else { return };
    let min = |node: &Node| node.element.get("min").and_then(|min| whole(&min.to_string())).unwrap_or(0);
    let demanded = node.slices.iter().map(min).fold(0, u64::saturating_add);
    let named: Vec<String> = node.slices.iter().flat_map(|slice| type_codes(&slice.element)).collect();
    let of_extension =
        node.element.get("base").and_then(|base| base.get("path")).is_some_and(|path| path == "Extension.value[x]");
    if named.len() == node.slices.len() && ((of_extension && as_in_base == true) || (named.len() == 1 && demanded == 1))
    {
        node.element.insert("min".to_owned(), Value::from(demanded.max(min(node))));
        if let Some(types) = node.element.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|of| {
                of.get("code").and_then(Value::as_str).is_some_and(|code| named.iter().any(|n| n == code))
            });
        }
        if let Some(slicing) = node.element.get_mut("slicing").and_then(Value::as_object_mut) {
            slicing.insert("rules".to_owned(), Value::from("closed"));
        }
    }
}

#[cfg(test)]
mod tests;
