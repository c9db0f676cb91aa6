//! A snapshot as a tree: elements with their children by name and their slices, so that a differential can be laid
//! upon it without counting positions. Ids and paths are made anew when it is written out.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// One element (as JSON), what is below it, and its slices (re-slices are slices of slices).
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// Last part of the path; the type's name for the root.
    pub(super) name: String,
    pub(super) element: Map<String, Value>,
    pub(super) children: Vec<Node>,
    pub(super) slices: Vec<Node>,
}

impl Node {
    pub(super) fn slice_name(&self) -> Option<&str> {
        self.element.get("sliceName").and_then(Value::as_str)
    }

    /// The tree of a snapshot's elements; `None` if there are none.
    pub(super) fn of(elements: &[Value]) -> Option<Self> {
        let mut routes: HashMap<&str, Vec<Step>> = HashMap::new();
        let mut root: Option<Self> = None;
        for element in elements {
            let Some(path) = element.get("path").and_then(Value::as_str) else { continue };
            let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
            let node = Self { name: name.to_owned(), element: element.as_object()?.clone(), ..Self::default() };
            let Some(tree) = root.as_mut() else {
                routes.insert(path, Vec::new());
                root = Some(node);
                continue;
            };
            let Some(mut route) = routes.get(parent).cloned() else { continue };
            let place = tree.at(&route)?;
            let sliced = place.children.iter().rposition(|child| child.name == name);
            match (node.slice_name().map(str::to_owned), sliced) {
                (Some(slice), Some(sliced)) => {
                    route.push(Step::Child(sliced));
                    let outer = slice.rsplit_once('/').and_then(|(outer, _)| place.children[sliced].slice_route(outer));
                    route.extend(outer.unwrap_or_default());
                    let within = tree.at(&route)?;
                    within.slices.push(node);
                    route.push(Step::Slice(within.slices.len() - 1));
                }
                _ => {
                    place.children.push(node);
                    route.push(Step::Child(place.children.len() - 1));
                }
            }
            routes.insert(path, route);
        }
        root
    }

    fn at(&mut self, route: &[Step]) -> Option<&mut Self> {
        route.iter().try_fold(self, |node, step| match step {
            Step::Child(at) => node.children.get_mut(*at),
            Step::Slice(at) => node.slices.get_mut(*at),
        })
    }

    fn slice_route(&self, name: &str) -> Option<Vec<Step>> {
        self.slices.iter().enumerate().find_map(|(at, slice)| {
            if slice.slice_name() == Some(name) {
                return Some(vec![Step::Slice(at)]);
            }
            let rest = slice.slice_route(name)?;
            Some([vec![Step::Slice(at)], rest].concat())
        })
    }

    /// The node with this id (of a content reference).
    pub(super) fn find(&self, id: &str) -> Option<&Self> {
        let mut parts = id.split('.');
        let first = parts.next()?;
        (first == self.name).then_some(())?;
        parts.try_fold(self, |node, part| {
            let (name, slice) = part.split_once(':').map_or((part, None), |(name, slice)| (name, Some(slice)));
            let child = node.children.iter().find(|child| child.name == name)?;
            match slice {
                Some(slice) => child.slices.iter().find(|known| known.slice_name() == Some(slice)),
                None => Some(child),
            }
        })
    }

    /// How many elements this is, with what is below it.
    pub(super) fn size(&self) -> usize {
        1 + self.children.iter().chain(&self.slices).map(Self::size).sum::<usize>()
    }

    /// Writes the elements out in a snapshot's order, with ids, paths and bases.
    pub(super) fn flatten(&self) -> Vec<Value> {
        let mut out = Vec::new();
        self.write(&self.name, &self.name, &mut out);
        out
    }

    fn write(&self, id: &str, path: &str, out: &mut Vec<Value>) {
        let mut element = Map::new();
        element.insert("id".to_owned(), Value::from(id));
        element.insert("path".to_owned(), Value::from(path));
        for (name, value) in &self.element {
            element.entry(name.clone()).or_insert_with(|| value.clone());
        }
        if !element.contains_key("base") {
            let of = |name: &str, other: Value| element.get(name).cloned().unwrap_or(other);
            let base = serde_json::json!({"path": path, "min": of("min", 0.into()), "max": of("max", "1".into())});
            element.insert("base".to_owned(), base);
        }
        out.push(Value::Object(element));
        for child in &self.children {
            child.write(&format!("{id}.{}", child.name), &format!("{path}.{}", child.name), out);
        }
        for slice in &self.slices {
            let name = slice.slice_name().unwrap_or_default();
            // A re-slice is named `outer/inner` and stands beside its slice's id.
            let id = match self.slice_name().and_then(|own| id.strip_suffix(own)) {
                Some(before) => format!("{before}{name}"),
                None => format!("{id}:{name}"),
            };
            slice.write(&id, path, out);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Child(usize),
    Slice(usize),
}
